"""What a command that writes a table of rows says when it is interrupted."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from satcost_gnn.runtime.logs import log


def interrupted(output: Path | None) -> int:
    """Print the command that continues into the output, if there is one, on stderr; return the exit code."""
    if output is None:
        log.warning("interrupted")
    else:
        words = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
        log.warning(f"interrupted; to continue: {shlex.join(['satcost', *words, '--resume'])}")
    return 130
