"""Messages to the user: on standard error, above a progress bar if there is one, and in a file if one is named."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satcost_gnn.errors import ConfigError
from satcost_gnn.runtime.file_names import one_line
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.progress import duration, print_above, show_progress

if TYPE_CHECKING:
    from satcost_gnn.serve.predictor import Predictor

_chosen: dict[str, Any] = {}


class Messages(logging.Handler):
    """Writes each message on a line of standard error that begins with ``satcost:``."""

    #: Value of ``time.monotonic()`` from which messages tell the time that has passed; None for no times.
    since: float | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message."""
        passed = "" if self.since is None else f"[{duration(time.monotonic() - self.since)}] "
        try:
            print_above(f"satcost: {passed}{record.getMessage()}")
        except (OSError, ValueError):
            # Standard error is full or closed: a command goes on without it.
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: there is nowhere to say it."""


def start_messages(*, quiet: bool = False, verbose: bool = False, log_file: Path | None = None) -> None:
    """Set the logger up; again, if it was.

    Parameters
    ----------
    quiet
        Warnings and errors only, and no progress.
    verbose
        What explains a result, too.
    log_file
        File that all messages are appended to, with their times, whatever standard error gets.

    Raises
    ------
    ConfigError
        If both ``quiet`` and ``verbose`` are asked for, or the file can't be written.
    """
    if quiet and verbose:
        raise ConfigError("found --quiet and --verbose; expected one of them")
    _chosen.update(quiet=quiet, verbose=verbose, log_file=log_file)
    for handler in [one for one in log.handlers if not isinstance(one, logging.NullHandler)]:
        log.removeHandler(handler)
        handler.close()
    show_progress(not quiet)
    shown = Messages(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    log.addHandler(shown)
    log.setLevel(shown.level)
    log.propagate = False
    if log_file is not None:
        try:
            written = logging.FileHandler(log_file, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            why = f"cannot be written ({error.strerror}); name another file"
            raise ConfigError(f"--log-file: {log_file}: {why}") from None
        written.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(written)
        log.setLevel(logging.DEBUG)
        log.debug("%s", one_line(" ".join(sys.argv)))


def in_another_process() -> Callable[[], None]:
    """Return what sets the logger up in another process as it is in this one."""
    return partial(start_messages, **_chosen)


def started() -> bool:
    """Whether the logger has been set up."""
    return any(isinstance(one, Messages) for one in log.handlers)


def tell_times() -> None:
    """Let messages begin with the time that has passed from now on."""
    for handler in log.handlers:
        if isinstance(handler, Messages):
            handler.since = time.monotonic()


def _tell_warning(path: str, warning: str) -> None:
    log.warning("%s: %s", path, warning)


def tell_about(predictor: Predictor) -> None:
    """Say what one should know of its predictions, and from now on what is odd about inputs that can be read."""
    predictor.on_warning = _tell_warning
    for note in predictor.notes:
        log.warning(f"{predictor.checkpoint.config.label}: {note}")


__all__ = ["Messages", "in_another_process", "start_messages", "started", "tell_about", "tell_times"]
