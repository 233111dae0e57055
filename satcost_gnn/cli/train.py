"""``satcost train``: a training configuration to a checkpoint, with a log on standard error and beside the run."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path

from satcost_gnn.config import read_config
from satcost_gnn.experiment import run_experiment
from satcost_gnn.progress import ProgressLine, duration


def run_train(config: Path, root: Path | None = None, cache: Path | None = None) -> int:
    """Train what a configuration describes; return the exit code."""
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"[{duration(time.monotonic() - start)}] {text}", file=sys.stderr, flush=True)

    try:
        checkpoint = run_experiment(read_config(config, root=root, cache=cache), say, ProgressLine)
    except KeyboardInterrupt:
        print(f"interrupted; to continue: {shlex.join(['satcost', *sys.argv[1:]])}", file=sys.stderr)
        return 130
    print(checkpoint.directory)
    return 0
