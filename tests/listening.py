"""What the package logs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def listening() -> Iterator[list[str]]:
    """Yield the messages, of any level, that are logged within the block."""
    log, kept = logging.getLogger("satcost_gnn"), _Kept()
    level = log.level
    log.addHandler(kept)
    log.setLevel(logging.DEBUG)
    try:
        yield kept.lines
    finally:
        log.removeHandler(kept)
        log.setLevel(level)
