"""What a command that writes a table of rows says when it is interrupted."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def interrupted(output: Path | None) -> int:
    """Print the command that continues into the output, if there is one, on stderr; return the exit code."""
    if output is None:
        print("interrupted", file=sys.stderr)
    else:
        words = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
        print(f"interrupted; to continue: {shlex.join(['satcost', *words, '--resume'])}", file=sys.stderr)
    return 130
