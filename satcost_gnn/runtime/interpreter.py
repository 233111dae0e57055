"""How interpreters of ours are started: no module is ever looked for in the current directory.

``python -m`` and ``python -c`` put the current directory before everything else. Where that is a directory of
formulas, any ``random.py`` that lies in it would be run.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import satcost_gnn

_SAFE_PATH = "PYTHONSAFEPATH"

# Loads this very package from where the caller has it, whatever is on the path.
_BOOT = """
import sys
from importlib import import_module, util
place, module, extra = sys.argv[1:4]
if extra and extra not in sys.path:
    sys.path.append(extra)
spec = util.spec_from_file_location("satcost_gnn", place + "/__init__.py", submodule_search_locations=[place])
package = sys.modules["satcost_gnn"] = util.module_from_spec(spec)
spec.loader.exec_module(package)
import_module(module).main()
"""


def command(module: str) -> list[str]:
    """Return the command line of an interpreter that calls ``main()`` of a module of this package.

    It finds this package where the caller has it, and everything else on the usual path and on ``PYTHONPATH``.
    """
    flags = ["-P"]
    if sys.flags.ignore_environment:
        flags.append("-E")
    if sys.flags.no_user_site:
        flags.append("-s")
    package = Path(satcost_gnn.__file__).resolve().parent
    # Installed there (`pip install --target`), so are the packages that this one needs. A checkout is no such place.
    installed = package.parent if any(package.parent.glob("satcost_gnn-*.dist-info")) else ""
    return [sys.executable, *flags, "-c", _BOOT, str(package), module, str(installed)]


def environment() -> dict[str, str]:
    """Return the environment of such an interpreter.

    An empty part of ``PYTHONPATH`` stands for the current directory and comes about by mistake
    (``PYTHONPATH=$PYTHONPATH:/somewhere``); it is left out.
    """
    found = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    if "PYTHONPATH" in found:
        found["PYTHONPATH"] = os.pathsep.join(part for part in found["PYTHONPATH"].split(os.pathsep) if part)
        if not found["PYTHONPATH"]:
            del found["PYTHONPATH"]
    return found


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Within the block, interpreters that a library starts don't look for modules in the current directory either."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before
