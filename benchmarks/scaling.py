"""How time and memory of predictions grow: with the size of a formula, the number of files, and `--jobs`.

python benchmarks/scaling.py --out docs/benchmarks/scaling.json --plot docs/pictures/scaling.svg

Formulas are random 3-SAT with 4.2 clauses a variable; each is preprocessed in a process of its own, with the settings
of the shipped checkpoint. Nothing is kept between runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.data.execution import machine_description
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import write_dimacs
from satcost_gnn.runtime.pictures import new_figure, write_picture

_RATIO = 4.2
# A small process between: the kernel counts what a process held before it became another program, too.
_LAUNCHER = """
import json, os, sys
_, status, usage = os.wait4(os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ), 0)
with open(sys.argv[1], "w") as stream:
    json.dump([usage.ru_utime + usage.ru_stime, usage.ru_maxrss], stream)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def random_formula(n_literals: int, seed: int) -> Formula:
    """Return a random 3-SAT formula of about so many literals."""
    rng = np.random.default_rng(seed)
    n_clauses = max(1, n_literals // 3)
    n_vars = max(3, round(n_clauses / _RATIO))
    literals = rng.integers(1, n_vars + 1, 3 * n_clauses) * rng.choice([-1, 1], 3 * n_clauses)
    return Formula.from_arrays(literals.astype(np.int32), np.arange(0, 3 * n_clauses + 1, 3), n_vars)


def spent(arguments: list[str]) -> dict[str, Any]:
    """Return seconds and mebibytes of a program in Python, all its processes together, and the last line it prints."""
    start = time.monotonic()
    environment = {**os.environ, "SATCOST_CACHE_MIB": "0", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as output, tempfile.NamedTemporaryFile() as used:
        command = [sys.executable, "-S", "-c", _LAUNCHER, used.name, sys.executable, *arguments]
        process = subprocess.run(command, stdout=output, env=environment, check=False)
        output.seek(0)
        lines = output.read().decode().splitlines()
        cpu_s, peak = json.loads(used.read() or b"[0, 0]")
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with exit code {process.returncode}")
    return {
        "cpu_s": round(cpu_s, 3),
        "wall_s": round(time.monotonic() - start, 3),
        # Of the largest process.
        "peak_mb": round(peak / 1024),
        "last": lines[-1] if lines else "",
    }


def stages(path: str) -> None:
    """Preprocess and predict a file, and print the CPU seconds of each stage; run in a process of its own."""
    from satcost_gnn.serve.predictor import Predictor

    with Predictor.from_checkpoint(device="cpu") as predictor:
        found = predictor.predict(path)
    print(json.dumps({name: round(seconds, 4) for name, seconds in found.timings.items()}))


def by_size(folder: Path, sizes: list[int]) -> list[dict[str, Any]]:
    rows = []
    for size in sizes:
        path = folder / f"{size}.cnf"
        write_dimacs(random_formula(size, 0), path)
        found = spent([__file__, "--stages", str(path)])
        found["stages"] = json.loads(found.pop("last"))
        rows.append({"literals": size, **found})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        path.unlink()
    return rows


def by_files(folder: Path, counts: list[int], jobs: list[int]) -> list[dict[str, Any]]:
    """Predict small files, as many as are named with one job, and the most of them with several."""
    place = folder / "many"
    place.mkdir()
    for k in range(max(counts)):
        write_dimacs(random_formula(1000, k), place / f"{k:05d}.cnf")
    rows = []
    for count, job in [*((count, 1) for count in counts), *((max(counts), job) for job in jobs if job > 1)]:
        listing = folder / "list.txt"
        listing.write_text("".join(f"{place / f'{k:05d}.cnf'}\n" for k in range(count)))
        output = folder / f"{count}-{job}.jsonl"
        found = spent(["-m", "satcost_gnn", "predict", f"@{listing}", "-o", str(output), "-j", str(job)])
        del found["last"]
        rows.append({"files": count, "jobs": job, **found})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def model(files: list[dict[str, Any]]) -> dict[str, float]:
    """Return what a command and a file cost in CPU seconds, by all lists but the longest, and how far that is off.

    Nothing if there are fewer than two others.
    """
    *shorter, longest = sorted((row for row in files if row["jobs"] == 1), key=lambda row: row["files"])
    if len(shorter) < 2:
        return {}
    each, start = np.polyfit([row["files"] for row in shorter], [row["cpu_s"] for row in shorter], 1)
    foretold = float(start + each * longest["files"])
    return {
        "start_s": float(start),
        "file_s": float(each),
        "longest_foretold_s": foretold,
        "longest_measured_s": longest["cpu_s"],
    }


def plot(result: dict[str, Any], path: Path) -> None:
    figure = new_figure(11, 3.2)
    time_axis, memory_axis, files_axis = figure.subplots(1, 3)
    sizes = [row["literals"] for row in result["sizes"]]
    time_axis.loglog(sizes, [row["cpu_s"] for row in result["sizes"]], "o-", label="all")
    for stage in ("parse", "plain run", "features", "probe", "graph", "probe replicate"):
        seconds = [row["stages"].get(stage, 0.0) or np.nan for row in result["sizes"]]
        if not np.isnan(seconds).all():
            time_axis.loglog(sizes, seconds, ".-", linewidth=0.8, label=stage)
    time_axis.set(xlabel="literals", ylabel="CPU seconds")
    time_axis.legend(fontsize=6)
    memory_axis.semilogx(sizes, [row["peak_mb"] for row in result["sizes"]], "o-")
    memory_axis.set(xlabel="literals", ylabel="MiB, largest process")
    for job in sorted({row["jobs"] for row in result["files"]}):
        rows = [row for row in result["files"] if row["jobs"] == job]
        files_axis.plot([r["files"] for r in rows], [r["wall_s"] for r in rows], "o-", label=f"wall, -j{job}")
    rows = [row for row in result["files"] if row["jobs"] == 1]
    files_axis.plot([r["files"] for r in rows], [r["cpu_s"] for r in rows], "s--", label="CPU, -j1")
    files_axis.set(xlabel="files of 1,000 literals", ylabel="seconds")
    files_axis.legend(fontsize=6)
    for axis in (time_axis, memory_axis):
        axis.minorticks_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(figure, path)


def main() -> None:
    if sys.argv[1:2] == ["--stages"]:
        stages(sys.argv[2])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e3, 1e4, 1e5, 1e6, 1e7])
    parser.add_argument("--files", type=int, nargs="+", default=[10, 50, 200])
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="satcost-") as scratch:
        sizes = by_size(Path(scratch), [int(size) for size in options.sizes])
        files = by_files(Path(scratch), options.files, options.jobs)
    result = {"machine": machine_description(), "sizes": sizes, "files": files, "model": model(files)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result) + "\n")
    print(json.dumps(result["model"], indent=2))
    if options.plot is not None:
        plot(result, options.plot)


if __name__ == "__main__":
    main()
