"""Write the hashes of a checkpoint's files anew: ``python benchmarks/seal_checkpoint.py DIRECTORY``.

For a checkpoint whose files were changed on purpose, or whose ``config.json`` is of an earlier format. No other file is
touched.
"""

from __future__ import annotations

import sys
from pathlib import Path

from satcost_gnn.serve.checkpoint import Checkpoint

if __name__ == "__main__":
    sealed = Checkpoint.seal(Path(sys.argv[1]))
    print(f"{sealed.directory / 'config.json'}: hashes of {len(sealed.config.files)} files")
