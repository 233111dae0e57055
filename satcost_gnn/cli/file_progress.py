"""The progress of a command that goes through files."""

from __future__ import annotations

from collections.abc import Sequence

from satcost_gnn.cli.inputs import sizes_of
from satcost_gnn.runtime.progress import ProgressLine

#: What is being done before the first file has ended.
FIRST = "starting"


def file_progress(names: Sequence[str], longest_s: float, jobs: int) -> ProgressLine:
    """Return a progress line of files, which reckons what is left by their bytes and the seconds that each may take."""
    return ProgressLine(len(names), "files", first=FIRST, longest_s=longest_s, jobs=jobs, sizes=sizes_of(names))


def skip_done(progress: ProgressLine, names: Sequence[str], left: Sequence[object]) -> None:
    """Count the files that need not be done, since an output that is continued has them."""
    wanted = set(map(str, left))
    progress.skip(len(names) - len(left), [name for name in names if name not in wanted])
