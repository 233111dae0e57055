"""Time the DIMACS reader against PySAT's on the same file in the same run.

A random 3-SAT formula is written to a temporary directory and read by both readers in turn, and by ours without its
compiled part, so that all meet the same load of the machine. Results are compared before anything is reported. Packed
copies of it are read and only decompressed in turn, as the standard library and zstandard do in one go; and a process
of its own tells how much memory reading takes at most, beside the arrays that stay.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import zstandard
from pysat.formula import CNF

from satcost_gnn.formula import Formula, dimacs, read_dimacs, write_dimacs
from satcost_gnn.formula.compiled_scan import compiled_scan


def write_random_formula(path: Path, megabytes: float, n_vars: int, seed: int) -> Formula:
    """Write a random 3-SAT formula of about the size asked for."""
    rng = np.random.default_rng(seed)
    n_clauses = int(megabytes * 1e6 / (3 * (len(str(n_vars)) + 0.95) + 2))
    literals = rng.integers(1, n_vars + 1, 3 * n_clauses) * rng.choice([-1, 1], 3 * n_clauses)
    formula = Formula.from_arrays(literals, np.arange(0, 3 * n_clauses + 1, 3), n_vars)
    write_dimacs(formula, path)
    return formula


def read_in_python(path: Path) -> Formula:
    """Read as where the package was built without a C compiler."""
    with patch.object(dimacs, "compiled_scan", lambda: None):
        return read_dimacs(path)


def packed_over_decompressor(plain: Path, expected: Formula, repeats: int) -> dict[str, float]:
    """Return the CPU time of reading a packed file over that of decompressing it, by kind: medians of pairs in turn."""
    data = plain.read_bytes()
    kinds: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
        "gz": (gzip.compress(data, 6), gzip.decompress),
        "xz": (lzma.compress(data, preset=6), lzma.decompress),
        "zst": (zstandard.compress(data, 3), zstandard.decompress),
    }
    found = {}
    for kind, (content, decompress) in kinds.items():
        path = plain.with_suffix(f".cnf.{kind}")
        path.write_bytes(content)
        ratios = []
        for _ in range(repeats):
            begin = time.process_time()
            formula = read_dimacs(path)
            middle = time.process_time()
            decompress(content)
            ratios.append((middle - begin) / (time.process_time() - middle))
            assert np.array_equal(formula.literals, expected.literals)
        found[kind] = statistics.median(ratios)
    return found


_PEAK = """
import re, sys
from pathlib import Path
from satcost_gnn.formula import read_dimacs
def peak():
    # Of this program alone: what getrusage tells begins with the memory of whoever started it.
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
read_dimacs(sys.argv[1])
before = peak()
formula = read_dimacs(sys.argv[2])
print(peak() - before, formula.literals.nbytes + formula.offsets.nbytes)
"""


def peak_over_arrays(plain: Path) -> float:
    """Return the most memory that reading takes over the size of the formula's arrays, the interpreter left out."""
    small = plain.with_name("small.cnf")
    small.write_text("p cnf 2 1\n1 -2 0\n")
    made = subprocess.run([sys.executable, "-c", _PEAK, small, plain], check=True, capture_output=True, text=True)
    peak, arrays = map(int, made.stdout.split())
    return peak / arrays


def main() -> None:
    """Time both readers and print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=20.0, help="size of the file (default: %(default)s)")
    parser.add_argument("--variables", type=int, default=200_000, help="of the formula (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="timings of each reader (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    arguments = parser.parse_args()

    readers: dict[str, Callable[[Path], Any]] = {
        "satcost_gnn": read_dimacs,
        "in_python": read_in_python,
        "pysat": lambda file: CNF(from_file=str(file)),
    }
    seconds: dict[str, dict[str, list[float]]] = {name: {"wall": [], "cpu": []} for name in readers}
    with TemporaryDirectory() as directory:
        path = Path(directory) / "random.cnf"
        formula = write_random_formula(path, arguments.megabytes, arguments.variables, arguments.seed)
        n_bytes = path.stat().st_size
        for _ in range(arguments.repeats):
            for name, read in readers.items():
                wall, cpu = time.perf_counter(), time.process_time()
                found = read(path)
                seconds[name]["wall"].append(time.perf_counter() - wall)
                seconds[name]["cpu"].append(time.process_time() - cpu)
                if name != "pysat":
                    assert np.array_equal(found.literals, formula.literals)
                    assert np.array_equal(found.offsets, formula.offsets)
                else:
                    assert len(found.clauses) == formula.n_clauses
                del found
        packed = packed_over_decompressor(path, formula, arguments.repeats)
        peak = peak_over_arrays(path)

    figures = {}
    print(
        f"{n_bytes / 1e6:.1f} MB, {formula.n_vars} variables, {formula.n_clauses} clauses; {arguments.repeats} timings"
    )
    print(f"{'reader':12} {'MB/s best':>10} {'MB/s median':>12} {'MB/s of CPU time':>17}")
    for name, times in seconds.items():
        figures[name] = {
            "best_mb_per_s": n_bytes / 1e6 / min(times["wall"]),
            "median_mb_per_s": n_bytes / 1e6 / statistics.median(times["wall"]),
            "median_mb_per_cpu_s": n_bytes / 1e6 / statistics.median(times["cpu"]),
        }
        print(f"{name:12} " + "{:10.1f} {:12.1f} {:17.1f}".format(*figures[name].values()))
    ratio = {key: figures["satcost_gnn"][key] / figures["pysat"][key] for key in figures["pysat"]}
    print(f"{'ratio':12} " + "{:10.1f} {:12.1f} {:17.1f}".format(*ratio.values()))
    is_compiled = compiled_scan() is not None
    if not is_compiled:
        print("The package was built without the reader's compiled part.")

    print("CPU time over the decompressor's: " + ", ".join(f".{kind} {value:.2f}" for kind, value in packed.items()))
    print(f"memory at most over the arrays': {peak:.2f}")
    if arguments.out:
        result = {
            "what": "DIMACS reader of satcost_gnn against pysat.formula.CNF(from_file=...), same file, in turn",
            "bytes": n_bytes,
            "n_vars": formula.n_vars,
            "n_clauses": formula.n_clauses,
            "repeats": arguments.repeats,
            "compiled": is_compiled,
            **figures,
            "ratio": ratio,
            "packed_cpu_over_decompressor": packed,
            "peak_over_arrays": peak,
            "seconds": seconds,
            "versions": {name: version(name) for name in ("numpy", "python-sat")}
            | {"python": platform.python_version()},
            "machine": {"processor": platform.machine(), "cpus": os.cpu_count(), "load": os.getloadavg()[0]},
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
