"""How far the labels that a checkpoint was trained on reach, written into its config.json.

Training writes it; this is for a checkpoint that was made before it did:
python benchmarks/label_bounds.py checkpoints/satcost-v9 datasets/corpus
"""

import argparse
import json
from pathlib import Path

from satcost_gnn.config import TrainingConfig
from satcost_gnn.core.observed import label_bounds
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.learn.labelled_instances import split_sides
from satcost_gnn.serve.checkpoint import Checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("dataset", type=Path)
    options = parser.parse_args()
    config = Checkpoint.open(options.checkpoint).config
    dataset = Dataset.open(options.dataset)
    sides = split_sides(dataset, TrainingConfig.checked(config.training["config"], "the checkpoint's configuration"))
    train = [name for name, side in sides.items() if side == "train"]
    found = label_bounds(dataset, train, config.solvers, config.units)
    Checkpoint.seal(options.checkpoint, config.model_copy(update={"label_bounds": found}))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
