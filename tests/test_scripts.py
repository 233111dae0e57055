"""The scripts that no other test runs: all of them import what they name, and tell their options."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmarks", "research", "docs_tools", "tests/kill")
# Modules of pytest, and of mkdocs, which the tests do without.
LEFT_OUT = ("research/conftest.py", "tests/kill/test_kills.py", "docs_tools/site_hooks.py")
# All in one process, which loads what they have in common once. A module without options is only imported.
RUN_ALL = """
import contextlib, io, json, runpy, sys, traceback
failed = {}
for path, has_options in json.loads(sys.argv[1]):
    said = io.StringIO()
    sys.argv = [path, "--help"]
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_path(path, run_name="__main__" if has_options else "module")
        ended = None
    except SystemExit as end:
        ended = end.code
    except BaseException:
        failed[path] = traceback.format_exc()
        continue
    if has_options and (ended != 0 or "--help" not in said.getvalue()):
        failed[path] = f"--help ended with {ended!r} and said {said.getvalue()!r}"
print(json.dumps(failed))
"""


def test_every_script_imports_what_there_is_and_tells_its_options() -> None:
    scripts = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.py"))]
    scripts = [path for path in scripts if path.relative_to(ROOT).as_posix() not in LEFT_OUT]
    named = [(str(path), "ArgumentParser(" in path.read_text()) for path in scripts]
    assert sum(has_options for _, has_options in named) > 35
    places = [str(ROOT / folder) for folder in FOLDERS]
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUN_ALL, json.dumps(named)],
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(places), OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    failed: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    assert not failed, "\n".join(f"{path}:\n{what}" for path, what in failed.items())
