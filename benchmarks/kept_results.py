"""What a second prediction of the same files costs, beginning with what the first has kept.

python benchmarks/kept_results.py DIR --count 100 --out docs/benchmarks/kept_results.json
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from satcost_gnn.data.execution import machine_description
from satcost_gnn.runtime.file_names import is_cnf_name


def predict(files: list[str], place: str) -> tuple[dict[str, float], str]:
    """Return CPU and wall-clock seconds of the command, all processes together, and its output without seconds."""
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "satcost_gnn", "predict", "--json", *files],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "XDG_CACHE_HOME": place},
        check=False,
        text=True,
    )
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = spent.ru_utime + spent.ru_stime - before.ru_utime - before.ru_stime
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    known = [{name: value for name, value in row.items() if not name.endswith("_s")} for row in rows]
    # Files get ready in any order.
    told = json.dumps(sorted(known, key=lambda row: (row["path"], row["solver"])))
    return {"cpu_seconds": cpu_s, "wall_seconds": time.monotonic() - start}, told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    files = sorted(path for path in options.directory.rglob("*") if is_cnf_name(path.name))
    chosen = [str(path) for path in random.Random(options.seed).sample(files, min(options.count, len(files)))]
    with tempfile.TemporaryDirectory() as place:
        runs = [predict(chosen, place) for _ in range(2)]
        kept = [path.stat().st_size for path in Path(place).rglob("*.npz")]
        one = predict(chosen[:1], place)[0]
    (first, told), (second, told_again) = runs
    result = {
        "machine": machine_description(),
        "files": len(chosen),
        "kept": len(kept),
        "kept_mb": sum(kept) / 2**20,
        "first": first,
        "second": second,
        "one_file_again": one,
        "ratio": first["cpu_seconds"] / second["cpu_seconds"],
        "the_same_rows": told == told_again,
    }
    print(json.dumps(result, indent=2))
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
