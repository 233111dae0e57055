"""What a command costs, all processes together, against another checkout of this repository: of one file, or many.

python benchmarks/one_file.py predict unsolved.cnf --against ../earlier --out docs/benchmarks/one_file.json

Both are run in turn with the same interpreter, and keep nothing between runs; memory is that of the largest process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from satcost_gnn.data.execution import machine_description

_RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); from satcost_gnn.cli import main; main()"


def once(checkout: Path, command: list[str]) -> tuple[float, float]:
    """Return CPU seconds and mebibytes of one run; those who ended are counted by the kernel, whoever started them."""
    environment = {**os.environ, "SATCOST_CACHE_MIB": "0", "PYTHONPATH": str(checkout)}
    # Modules are compiled once, as they are where a package is installed.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _RUN, str(checkout), *command],
        # Not in the checkout: what lies in the current directory is never imported, and its processes are not forked.
        cwd=os.sep,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    _, status, spent = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{checkout}: {' '.join(command)} ended with exit code {process.returncode}")
    return spent.ru_utime + spent.ru_stime, spent.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", nargs="+", help="a command of satcost with its arguments; '--' before options")
    parser.add_argument("--against", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    places = {"now": Path(__file__).resolve().parent.parent, "against": options.against.resolve()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in places}
    for place in places.values():
        once(place, options.command)  # writes compiled modules
    for _ in range(options.repeats):
        for name, place in places.items():
            found[name].append(once(place, options.command))
    result = {
        "machine": machine_description(),
        "command": options.command,
        "cpu_seconds": {name: statistics.median(one[0] for one in each) for name, each in found.items()},
        "largest_process_mb": {name: statistics.median(one[1] for one in each) for name, each in found.items()},
        "ratio": statistics.median(a[0] / b[0] for a, b in zip(found["now"], found["against"], strict=True)),
    }
    print(json.dumps(result, indent=2))
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
