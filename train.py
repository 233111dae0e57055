"""Train a checkpoint: ``python train.py --config configs/small.toml``, the same as ``satcost train``."""

import sys

from satcost_gnn.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    main()
