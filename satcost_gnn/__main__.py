"""``python -m satcost_gnn``, the same as ``satcost``."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        # Python has put the current directory first; no module is to be taken from there.
        del sys.path[0]

    from satcost_gnn.cli import main

    main()
