"""How long `satcost predict` takes for a file, end to end but for imports, and whether every file gets a row.

python benchmarks/predict_speed.py DIR --count 200 --out docs/benchmarks/predict_speed.json
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from pathlib import Path

import numpy as np

from satcost_gnn.data.execution import machine_description
from satcost_gnn.runtime.file_names import is_cnf_name
from satcost_gnn.serve.predictor import Predictor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    files = sorted(path for path in options.directory.rglob("*") if is_cnf_name(path.name))
    chosen = random.Random(options.seed).sample(files, min(options.count, len(files)))
    seconds, stages = [], []
    sources: Counter[str] = Counter()
    with Predictor.from_checkpoint() as predictor:
        # The first prediction loads the estimators and starts the helper process.
        predictor.predict(chosen[0])
        for path in chosen:
            start = time.monotonic()
            found = predictor.predict(path)
            seconds.append(time.monotonic() - start)
            stages.append(found.timings)
            sources[found.source or found.status] += 1
    quantiles = {name: float(np.quantile(seconds, q)) for name, q in (("median", 0.5), ("q95", 0.95), ("max", 1.0))}
    result = {
        "machine": machine_description(),
        "checkpoint": predictor.checkpoint.config.label,
        "files": len(chosen),
        "predicted": len(chosen) - sources["error"],
        "sources": dict(sources),
        "seconds": quantiles,
        "mean_seconds_by_stage": {
            stage: float(np.mean([timings.get(stage, 0.0) for timings in stages]))
            for stage in ("parse", "features", "probe", "graph", "probe replicate", "inference")
        },
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
