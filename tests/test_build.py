"""What a build makes of the compiled part of the reader, with a C compiler and without."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = "satcost_gnn/formula/_dimacs_scan.so"

if importlib.util.find_spec("hatchling") is None:
    pytest.skip("hatchling is not installed", allow_module_level=True)


def built_wheel(directory, compiler):
    environment = dict(os.environ, CC=compiler)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    (wheel,) = directory.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        about = next(name for name in archive.namelist() if name.endswith("/WHEEL"))
        return wheel.name, set(archive.namelist()), archive.read(about).decode()


@pytest.mark.parametrize("compiler", ["/bin/false", "/no/such/compiler", "true", "unbalanced '"])
def test_without_a_compiler_the_wheel_is_pure(tmp_path, compiler):
    name, files, about = built_wheel(tmp_path, compiler)
    assert name.endswith("-py3-none-any.whl")
    assert LIBRARY not in files and "satcost_gnn/formula/compiled_scan.py" in files
    assert "Root-Is-Purelib: true" in about


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_with_a_compiler_the_wheel_is_for_this_platform(tmp_path):
    before = (ROOT / LIBRARY).stat().st_mtime_ns if (ROOT / LIBRARY).exists() else None
    name, files, about = built_wheel(tmp_path, "cc")
    assert "-py3-none-" in name and not name.endswith("-any.whl")
    assert LIBRARY in files
    assert "Root-Is-Purelib: false" in about
    # Nothing is written into the sources.
    assert before == ((ROOT / LIBRARY).stat().st_mtime_ns if (ROOT / LIBRARY).exists() else None)
