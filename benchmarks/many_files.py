"""CPU seconds of `satcost predict` over real files, all processes together, against an earlier commit, in turn.

python benchmarks/many_files.py --root CNF --count 200 --against 2a41eaa --out docs/benchmarks/many_files.json

The files are drawn with a fixed seed, one from each of as many equal slices of the list by size. Each piece of the list
is predicted by every candidate before the next piece, with one interpreter and its packages, and nothing is kept:

- ``earlier``: the command of the earlier commit, in a work tree of its own;
- ``same stages``: this package with that commit's stages of the early search, probe and replicate: equal evidence;
- ``today``: the command as it is, which lets the solver run alone first: more evidence.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from satcost_gnn.data.execution import machine_description
from satcost_gnn.runtime.file_names import is_cnf_name

_COMMAND = "import sys; sys.path.insert(0, sys.argv.pop(1)); from satcost_gnn.cli import main; main()"
_SAME_STAGES = """
import json, sys
sys.path.insert(0, sys.argv[1])
from dataclasses import replace
from pathlib import Path
from satcost_gnn.serve.predictor import Predictor
with Predictor.from_checkpoint(device="cpu") as predictor:
    predictor.settings = predictor.settings.with_features(plain=None)
    for prediction in predictor.predict_many(Path(sys.argv[2]).read_text().splitlines()):
        print(json.dumps({"path": prediction.path}))
"""
_PR_SET_CHILD_SUBREAPER = 36


def drawn(root: Path, count: int, seed: int) -> list[Path]:
    """Return files of all sizes: one from each of so many slices of the list sorted by size."""
    files = sorted((path for path in root.rglob("*") if is_cnf_name(path.name)), key=lambda path: path.stat().st_size)
    rng = random.Random(seed)
    slices = np.array_split(np.arange(len(files)), min(count, len(files)))
    chosen = [files[rng.choice(part)] for part in slices]
    # Pieces of the list are to be alike.
    rng.shuffle(chosen)
    return chosen


def cpu_seconds(arguments: list[str], checkout: Path, files: list[Path]) -> float:
    """Return the CPU seconds of a program in Python and of all that it starts, whoever is their parent in the end.

    It has to write at least one row for each file.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile() as rows, tempfile.TemporaryFile() as errors:
        environment = {**os.environ, "SATCOST_CACHE_MIB": "0", "PYTHONPATH": str(checkout)}
        command = [sys.executable, "-P", "-c", *arguments]
        subprocess.run(command, cwd=checkout, stdin=subprocess.DEVNULL, stdout=rows, stderr=errors, env=environment)
        rows.seek(0)
        if {json.loads(row)["path"] for row in rows} != set(map(str, files)):
            errors.seek(0)
            raise SystemExit(f"{checkout}: files without a row: {errors.read().decode()[-2000:]}")
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def programs(here: Path, earlier: Path, listing: Path) -> dict[str, tuple[list[str], Path]]:
    """Return each candidate's program with its arguments, and where it runs."""
    return {
        "earlier": ([_COMMAND, str(earlier), "predict", f"@{listing}"], earlier),
        "same stages": ([_SAME_STAGES, str(here), str(listing)], here),
        "today": ([_COMMAND, str(here), "predict", f"@{listing}"], here),
    }


def measured(files: list[Path], piece: int, earlier: Path) -> dict[str, list[float]]:
    """Return the seconds that each candidate took for each piece."""
    here = Path(__file__).resolve().parent.parent
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch) / "list.txt"
        pieces = [files[start : start + piece] for start in range(0, len(files), piece)]
        # One file before them, so that compiled modules, and the packages' files in memory, are there for all.
        for number, part in enumerate([files[:1], *pieces]):
            listing.write_text("".join(f"{path}\n" for path in part))
            for name, (arguments, place) in programs(here, earlier, listing).items():
                seconds = cpu_seconds(arguments, place, part)
                if number:
                    found.setdefault(name, []).append(seconds)
                    print(f"piece {number}: {name} {seconds:.1f} CPU s", file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="directory of CNFs")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--piece", type=int, default=20, help="files that a command is given at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--against", default="2a41eaa", help="commit (default: %(default)s)")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    files = drawn(options.root.resolve(), options.count, options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        earlier = Path(scratch) / "earlier"
        subprocess.run(["git", "worktree", "add", "--detach", "-q", str(earlier), options.against], check=True)
        try:
            found = measured(files, options.piece, earlier)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(earlier)], check=True)
    total = {name: sum(seconds) for name, seconds in found.items()}
    result = {
        "machine": machine_description(),
        "files": len(files),
        "bytes": {"min": min(p.stat().st_size for p in files), "max": max(p.stat().st_size for p in files)},
        "against": options.against,
        "cpu_seconds": total,
        "ratio": {name: seconds / total["earlier"] for name, seconds in total.items()},
        "ratio_of_each_piece": {
            name: [a / b for a, b in zip(seconds, found["earlier"], strict=True)] for name, seconds in found.items()
        },
    }
    print(json.dumps(result, indent=2))
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
