"""How long `satcost --help` takes beyond the interpreter's own start.

python benchmarks/start_up.py --out docs/benchmarks/start_up.json
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

CODES = {"interpreter": "pass", "help": "from satcost_gnn.cli import main; main()", "import": "import satcost_gnn"}


def once(name: str) -> tuple[float, float]:
    """Return wall and CPU seconds of one start; the latter says more on a busy machine."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", CODES[name], "--help"], stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in CODES}
    for _ in range(options.repeats):
        for name in CODES:
            times[name].append(once(name))
    result = {}
    for kind, position in (("wall", 0), ("cpu", 1)):
        medians = {name: statistics.median(value[position] for value in values) for name, values in times.items()}
        result[kind] = {"median_seconds": medians, "help_beyond_interpreter": medians["help"] - medians["interpreter"]}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
