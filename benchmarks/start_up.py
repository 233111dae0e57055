"""How long `satcost --help` takes beyond the interpreter's own start.

python benchmarks/start_up.py --out docs/benchmarks/start_up.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

CODES = {"interpreter": "pass", "help": "from satcost_gnn.cli import main; main()", "import": "import satcost_gnn"}


def once(name: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", CODES[name], "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in CODES}
    for _ in range(options.repeats):
        for name in CODES:
            times[name].append(once(name))
    medians = {name: statistics.median(values) for name, values in times.items()}
    result = {"median_seconds": medians, "help_beyond_interpreter": medians["help"] - medians["interpreter"]}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
