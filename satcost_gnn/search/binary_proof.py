"""Proofs of unsatisfiability in binary DRAT, as CaDiCaL and Kissat write them: decoding, and the same proof as text.

Each step is ``a`` (addition) or ``d`` (deletion), the literals as 7-bit groups, the least significant first, of
``2 |literal| + (literal < 0)``, and a zero byte (M. Heule, "The DRAT format and DRAT-trim checker", 2016).
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import SolverError

Integers: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]

_ADDITION, _DELETION = ord("a"), ord("d")
# Bytes of a proof that are turned into text at a time.
_CHUNK_BYTES = 1 << 22


def proof_additions(data: bytes) -> tuple[Integers, Integers, Integers] | None:
    """Decode the clauses added in a binary proof. A last step without its zero byte is left out.

    Returns
    -------
    literals
        ``int64[...]``: literals of all added clauses.
    offsets
        ``int64[A + 1]``: clause ``i`` is ``literals[offsets[i]:offsets[i + 1]]``.
    ends
        ``int64[A]``: position in the proof just behind each added clause.

    None if this is no binary proof.
    """
    raw, starts, zeros = _steps(data)
    if not len(zeros):
        return zeros, np.zeros(1, dtype=np.int64), zeros
    kinds = raw[starts]
    added = kinds == _ADDITION
    if not (added | (kinds == _DELETION)).all():
        return None
    literals, offsets = _literals(raw, starts, zeros, added)
    return literals, offsets, zeros[added] + 1


def is_binary(path: Path) -> bool:
    """Whether a proof is a binary one: text has no zero bytes."""
    with path.open("rb") as stream:
        return b"\0" in stream.read(_CHUNK_BYTES)


def write_as_text(source: Path, target: Path) -> None:
    """Write a binary proof as text: a clause a line, ended by 0, deletions behind ``d``.

    Raises
    ------
    SolverError
        If the proof is not a binary one, or ends within a step.
    OSError
        If a file can't be read or written.
    """
    rest = b""
    with source.open("rb") as binary, target.open("wb") as text:
        while data := binary.read(_CHUNK_BYTES):
            # What stands behind the last zero byte is the beginning of a step.
            whole, zero, rest = (rest + data).rpartition(b"\0")
            text.write(_text_of(whole + zero, source))
    if rest:
        raise SolverError(f"{source}: the proof ends within a step; expected a zero byte")


def _text_of(data: bytes, source: Path) -> bytes:
    raw, starts, zeros = _steps(data)
    if not len(zeros):
        return b""
    kinds = raw[starts]
    if not np.isin(kinds, (_ADDITION, _DELETION)).all():
        found = chr(kinds[~np.isin(kinds, (_ADDITION, _DELETION))][0])
        raise SolverError(f"{source}: found a step {found!r} in the proof; expected a or d: it is no binary proof")
    literals, offsets = _literals(raw, starts, zeros, np.ones(len(zeros), dtype=np.bool_))
    words = [*map(str, literals.tolist())]
    ends = offsets.tolist()
    lines = [
        f"{'d ' if kind == _DELETION else ''}{' '.join([*words[first:last], '0'])}\n"
        for kind, first, last in zip(kinds.tolist(), ends[:-1], ends[1:], strict=True)
    ]
    return "".join(lines).encode()


def _steps(data: bytes) -> tuple[NDArray[np.uint8], Integers, Integers]:
    """Return the bytes of whole steps, where each begins, and where its zero byte is."""
    raw = np.frombuffer(data, dtype=np.uint8)
    zeros = np.flatnonzero(raw == 0)
    if not len(zeros):
        return raw[:0], zeros, zeros
    return raw[: zeros[-1] + 1], np.concatenate(([0], zeros[:-1] + 1)), zeros


def _literals(raw: NDArray[np.uint8], starts: Integers, zeros: Integers, wanted: Bools) -> tuple[Integers, Integers]:
    """Return the literals of the wanted steps, and their offsets."""
    inside = np.repeat(wanted, zeros + 1 - starts)
    inside[starts] = False
    inside[zeros] = False
    body = raw[inside].astype(np.int64)
    group_ends = np.flatnonzero(body < 128)
    group_starts = np.concatenate(([0], group_ends[:-1] + 1)) if len(group_ends) else group_ends
    within = np.arange(len(body)) - np.repeat(group_starts, group_ends + 1 - group_starts)
    codes = np.add.reduceat((body & 127) << (7 * within), group_starts) if len(body) else body
    literals = np.where(codes & 1, -(codes >> 1), codes >> 1)
    # Literals up to each byte of the whole proof, read off at the clauses' ends.
    closes = np.zeros(len(raw), dtype=np.int64)
    closes[np.flatnonzero(inside)[group_ends]] = 1
    return literals, np.concatenate(([0], np.cumsum(closes)[zeros[wanted]]))
