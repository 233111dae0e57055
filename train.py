"""Train a checkpoint: ``python train.py --config configs/small.toml``, the same as ``satcost train``."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        # This directory is looked at last, and only for the package: no other module is to be taken from there.
        sys.path.append(sys.path.pop(0))
    import satcost_gnn  # noqa: F401

    if not sys.flags.safe_path:
        del sys.path[-1]
    from satcost_gnn.cli import main

    sys.argv.insert(1, "train")
    main()
