"""Accuracy of every estimator of a checkpoint on the test side of its data set, measured again from the saved files.

    python benchmarks/accuracy.py --config configs/corpus.toml --root CNF --out docs/benchmarks/accuracy.json

The instances that the probe solves are left out. CNF is the directory of the real instances.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from satcost_gnn.calibration import Calibration
from satcost_gnn.checkpoint import Checkpoint
from satcost_gnn.config import read_config
from satcost_gnn.estimators import load_estimator
from satcost_gnn.evaluation.accuracy import COLUMNS, markdown
from satcost_gnn.experiment import CLASSICAL, largest_solved, measure, predict_all, prepare
from satcost_gnn.progress import ProgressLine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    checkpoint = Checkpoint.open(options.checkpoint)
    dataset, data = prepare(
        read_config(options.config, root=options.root, cache=options.cache),
        lambda text: print(text, file=sys.stderr),
        ProgressLine,
    )
    test_rows = data.side("test")
    origins = Counter(str(dataset.by_instance[data.instances[k].gbdhash].origin) for k in test_rows)
    calibrations = checkpoint.read_json("calibration.json")
    result = {"checkpoint": checkpoint.config.label, "test_origins": dict(origins), "units": {}}
    for unit in checkpoint.config.units:
        test = data.tables[unit].subset(test_rows)
        fitted = {
            name: load_estimator(kind, checkpoint.directory / unit / name) for name, (kind, _) in CLASSICAL.items()
        }
        fitted["gnn"] = load_estimator("gnn", checkpoint.directory / "gnn", unit=unit, device="cpu")
        maps = {name: Calibration.from_json(calibrations[unit][name]) for name in fitted}
        result["units"][unit] = measure(predict_all(fitted, maps, test.instances), test, largest_solved(data, unit))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    first = checkpoint.config.solvers[0]
    print(f"{first}, conflicts, test instances by origin: {dict(origins)}\n")
    print(markdown(result["units"]["conflicts"]["solvers"][first]))
    for name, text in COLUMNS.items():
        print(f"- `{name}`: {text}")


if __name__ == "__main__":
    main()
