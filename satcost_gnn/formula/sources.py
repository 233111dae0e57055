"""Whatever a formula may be given as: an object in memory, or the name of something that can be read.

A child process reads files itself, under its limits. What only this process can read (standard input, pipes,
``/dev/fd/N``) it reads into a file without a name, which is gone when it is closed, however this process ends, and
which children reach through ``/proc``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from satcost_gnn.errors import FormulaError, FormulaTooLargeError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.compressed import PIECE
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.formula.in_memory import from_memory
from satcost_gnn.formula.text_stream import STANDARD_LIMITS, ReadLimits, is_regular, open_bytes

if TYPE_CHECKING:
    from pysat.formula import Formula as PysatFormula

__all__ = ["FormulaFile", "FormulaInChild", "FormulaSource", "UnreadableName", "for_children", "load"]


@dataclass(frozen=True)
class FormulaFile:
    """A file that a formula is read from, and how; what a child process is sent in place of the formula.

    Parameters
    ----------
    path
        Where it is.
    name
        What it is called in messages.
    limits
        How much is read of it, and how strictly.
    """

    path: str
    name: str
    limits: ReadLimits = STANDARD_LIMITS


class UnreadableName(str):
    """A name of an input that is known to be of no use, and why."""

    reason: str

    def __new__(cls, name: str, reason: str) -> UnreadableName:
        """Make one."""
        made = super().__new__(cls, name)
        made.reason = reason
        return made


#: What functions that are executed in child processes take: a formula, or the file that they are to read.
FormulaInChild: TypeAlias = Formula | FormulaFile | str
#: What the package takes for a formula.
FormulaSource: TypeAlias = "Formula | FormulaFile | PysatFormula | str | os.PathLike[str] | Iterable[Iterable[int]]"


def load(source: FormulaSource, limits: ReadLimits = STANDARD_LIMITS, deadline: float | None = None) -> Formula:
    """Return the formula, read in this process.

    Parameters
    ----------
    source
        A formula, an object of PySAT, clauses, or the path of a DIMACS file (``-`` for standard input).
    limits
        How much of a file is read, and how strictly; a :class:`FormulaFile` has its own.
    deadline
        When to give up reading, on the clock of :func:`time.monotonic`; None for never.

    Raises
    ------
    FormulaError
        If it can't be read or is malformed.
    """
    if isinstance(source, FormulaFile):
        return read_dimacs(source.path, limits=source.limits, name=source.name, deadline=deadline)
    if isinstance(source, UnreadableName):
        raise FormulaError(source.reason, str(source))
    if isinstance(source, str | os.PathLike):
        return read_dimacs(source, limits=limits, deadline=deadline)
    return from_memory(source)


@contextmanager
def for_children(
    source: FormulaSource, limits: ReadLimits = STANDARD_LIMITS, deadline: float | None = None
) -> Iterator[Formula | FormulaFile]:
    """Give a form of a formula that child processes can be sent, as long as the context lasts.

    The parameters are those of :func:`load`.

    Raises
    ------
    FormulaError
        If what only this process can read can't be read, does not end by the deadline, or is too large; or if an object
        in memory is malformed. Files are left to the children.
    """
    if isinstance(source, UnreadableName):
        raise FormulaError(source.reason, str(source))
    if isinstance(source, FormulaFile):
        yield source
        return
    if not isinstance(source, str | os.PathLike):
        yield from_memory(source)
        return
    path = os.fsdecode(source)
    name = "<stdin>" if path == "-" else path
    if path and path != "-" and is_regular(path):
        yield FormulaFile(path, name, limits)
        return
    with tempfile.TemporaryFile() as spool:
        size = 0
        with open_bytes(path, deadline) as stream:
            while piece := stream.read(PIECE):
                size += len(piece)
                if size > limits.max_bytes:
                    raise FormulaTooLargeError(f"more than {limits.max_bytes} bytes; raise max_bytes to read it", name)
                spool.write(piece)
        spool.flush()
        yield FormulaFile(f"/proc/{os.getpid()}/fd/{spool.fileno()}", name, limits)
