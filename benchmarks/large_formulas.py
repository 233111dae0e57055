"""What a prediction does with formulas of millions of literal occurrences: source, seconds by stage, memory.

Formulas are named by their files, by recipes of `satcost generate` (written to a scratch directory first), or by
several files joined with `+`, which stand side by side over variables of their own.

python benchmarks/large_formulas.py --root CNF FORMULA... --out docs/benchmarks/large_formulas.json
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
from satcost_gnn.data.generate import from_recipe
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import read_dimacs, write_dimacs
from satcost_gnn.runtime.file_names import is_cnf_name
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.predictor import Predictor


def side_by_side(parts: list[Formula]) -> Formula:
    """Return one formula that holds all parts, each over variables of its own."""
    literals, offsets, n_vars = [], [np.zeros(1, dtype=np.int64)], 0
    for part in parts:
        offsets.append(part.offsets[1:] + offsets[-1][-1])
        literals.append(part.literals + np.sign(part.literals) * np.int32(n_vars))
        n_vars += part.n_vars
    return Formula.from_arrays(np.concatenate(literals), np.concatenate(offsets), n_vars)


def predicted(path: str) -> dict[str, Any]:
    """Return what the predictor says of a file, and what its network says whether or not it was asked."""
    with Predictor.from_checkpoint() as predictor:
        item = predictor.preprocess(path)
        found = predictor.predict_preprocessed([item])[0]
        result: dict[str, Any] = {
            "status": found.status,
            "source": found.source,
            "why_not_an_earlier_source": found.reason,
            "in_distribution": found.in_distribution,
            "wall_seconds": {stage: round(seconds, 2) for stage, seconds in found.timings.items()},
        }
        if item.instance is None or item.instance.probe is None:
            return result
        if found.status != "ok" or found.distribution is None:
            return result
        result["probe"] = {"conflicts": item.instance.probe.conflicts, "cpu_s": round(item.instance.probe.cpu_s, 2)}
        result["graph"] = repr(item.instance.graph)
        result["mean_log10_conflicts"] = dict(zip(found.solvers, found.distribution.mean().round(3), strict=True))
        instance = predictor.as_in_training(item.instance)
        start = time.process_time()
        mean = predictor.predict_variants("ensemble", [instance]).mean()[0]
        result["network"] = {
            "mean_log10_conflicts": dict(zip(found.solvers, mean.round(3), strict=True)),
            "cpu_s": round(time.process_time() - start, 2),
        }
    return result


def measured(name: str, path: Path, formula: Formula) -> dict[str, Any]:
    """Return what became of a prediction in a process of its own."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([sys.executable, __file__, "--child", str(path)], stdout=output)
        # The largest resident set of it and of all its descendants.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        output.seek(0)
        found = json.loads(output.read()) if status == 0 else {}
    return {
        "formula": name,
        "n_vars": formula.n_vars,
        "n_clauses": formula.n_clauses,
        "n_literals": formula.n_literals,
        "exit_code": os.waitstatus_to_exitcode(status),
        **found,
        "all_wall_seconds": round(seconds, 1),
        "all_cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_memory_mb": round(usage.ru_maxrss / 1024),
    }


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(predicted(sys.argv[2]), default=float))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formulas", nargs="+")
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="satcost-") as scratch:
        for name in options.formulas:
            files = [options.root / part for part in name.split("+")]
            if len(files) == 1 and is_cnf_name(files[0].name):
                path, formula = files[0], read_dimacs(files[0])
            else:
                path = Path(scratch) / "formula.cnf"
                generated = not is_cnf_name(files[0].name)
                formula = from_recipe(name) if generated else side_by_side([read_dimacs(part) for part in files])
                write_dimacs(formula, path)
            found.append(measured(name, path, formula))
            print(json.dumps(found[-1]), flush=True)
    result = {
        "machine": machine_description(),
        "checkpoint": Checkpoint.open(None).config.label,
        "formulas": found,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
