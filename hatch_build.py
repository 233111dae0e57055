"""Compile the hot step of the DIMACS reader into the wheel, where there is a C compiler; without, the wheel is pure."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "satcost_gnn/formula/_dimacs_scan.c"
LIBRARY = "satcost_gnn/formula/_dimacs_scan.so"
# No -march: the wheel is for every machine of its platform.
FLAGS = ("-std=c99", "-O3", "-fPIC", "-shared")


def compiled(source: Path, library: Path) -> str:
    """Compile and load the library once; return why not, empty if it is there now."""
    try:
        command = [*shlex.split(os.environ.get("CC") or "cc"), *FLAGS, "-o", str(library), str(source)]
        library.unlink(missing_ok=True)
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        ctypes.CDLL(str(library)).satcost_scan_abi()
    except (OSError, AttributeError, ValueError, subprocess.SubprocessError) as error:
        return str(error)
    return ""


class CompiledScan(BuildHookInterface[Any]):
    """Puts the library into the wheel, or beside its source where the package is installed editable."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say that the wheel is one for this platform."""
        # Elsewhere only what is packed is written to: the source may lie where nobody may write.
        self._directory = TemporaryDirectory()
        editable = version == "editable"
        library = Path(self.root, LIBRARY) if editable else Path(self._directory.name, "scan.so")
        if reason := compiled(Path(self.root, SOURCE), library):
            self.app.display_warning(f"The DIMACS reader's compiled part is left out: {reason}")
            return
        if not editable:
            build_data["force_include"][str(library)] = LIBRARY
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was packed."""
        self._directory.cleanup()
