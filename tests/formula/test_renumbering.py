"""Formulas with large gaps: solvers get them without gaps, and everything comes back in the formula's own numbers."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from satcost_gnn.formula import Formula
from satcost_gnn.formula.renumbering import MOST_HARMLESS, Renumbering, renumbered

SPARSE = Formula.from_clauses([[5, -3_000_000], [2_000_000, 5, -7], [-5]], 20_000_000, "sparse")


def test_only_variables_that_occur_are_left_and_come_back() -> None:
    dense, numbering = renumbered(SPARSE)
    assert dense.clauses() == [[1, -4], [3, 1, -2], [-1]]
    assert (dense.n_vars, dense.source) == (4, "sparse")
    assert numbering.numbers is not None and numbering.numbers.tolist() == [5, 7, 2_000_000, 3_000_000]
    assert np.array_equal(numbering.original(dense.literals), SPARSE.literals)
    assert numbering.dense(np.array([-3_000_000, 6, 5])).tolist() == [-4, 1]
    # Variables that a solver adds stay behind all others.
    assert numbering.original(np.array([5, -6], dtype=np.int32)).tolist() == [20_000_001, -20_000_002]


def test_named_variables_are_kept() -> None:
    dense, numbering = renumbered(SPARSE, keep=np.array([6, -9]))
    assert dense.n_vars == 6 and numbering.dense(np.array([9, -6])).tolist() == [4, -2]


@pytest.mark.parametrize(
    "formula",
    [
        Formula.from_clauses([[1, 2], [-MOST_HARMLESS]]),
        Formula.from_clauses([[1, 2]], MOST_HARMLESS),
        Formula.from_arrays(np.arange(1, 30_001), np.array([0, 30_000]), 250_000),
        Formula.from_clauses([]),
    ],
)
def test_ordinary_formulas_are_left_as_they_are(formula: Formula) -> None:
    same, numbering = renumbered(formula)
    assert same is formula and numbering.numbers is None
    literals = np.array([1, -2], dtype=np.int32)
    assert numbering.original(literals) is literals


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def binary(lines: list[tuple[str, list[int]]]) -> bytes:
    return b"".join(
        kind.encode() + b"".join(varint(2 * abs(one) + (one < 0)) for one in literals) + b"\0"
        for kind, literals in lines
    )


def text(lines: list[tuple[str, list[int]]]) -> bytes:
    return b"".join(
        (b"d " if kind == "d" else b"") + b" ".join(b"%d" % one for one in [*literals, 0]) + b"\n"
        for kind, literals in lines
    )


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize("write", [binary, text])
def test_proofs_are_renumbered_line_by_line(
    write: Callable[[list[tuple[str, list[int]]]], bytes], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("satcost_gnn.formula.renumbering._CHUNK", chunk)
    rng = np.random.default_rng(4)
    numbers = np.unique(rng.integers(1, 40_000_000, 300)).astype(np.int32)
    numbering = Renumbering(numbers, 50_000_000)
    lines: list[tuple[str, list[int]]] = []
    wanted: list[tuple[str, list[int]]] = []
    # Variables 48 and 50 are written as the bytes of 'a' and 'd' are.
    fixed: list[list[int]] = [[48, -48, 50, -50], [], [len(numbers) + 1, -len(numbers) - 2], [1]]
    for k in range(200):
        drawn: NDArray[np.int64] = rng.integers(1, len(numbers) + 1, rng.integers(0, 9)) * rng.choice([-1, 1])
        literals = fixed[k] if k < len(fixed) else drawn.tolist()
        kind = "d" if k % 3 == 2 else "a"
        lines.append((kind, literals))
        there = {**{i + 1: int(n) for i, n in enumerate(numbers)}}
        wanted.append(
            (kind, [(1 if x > 0 else -1) * there.get(abs(x), abs(x) - len(numbers) + 50_000_000) for x in literals])
        )
    target = io.BytesIO()
    numbering.write_original_proof(io.BytesIO(write(lines)), target, binary=write is binary)
    assert target.getvalue() == write(wanted)
    same = io.BytesIO()
    Renumbering(None, 300).write_original_proof(io.BytesIO(write(lines)), same, binary=write is binary)
    assert same.getvalue() == write(lines)


def test_files_keep_their_numbers(tmp_path: Path) -> None:
    # What is written for people and programs of theirs is not renumbered.
    assert SPARSE.to_dimacs().startswith("p cnf 20000000 3\n5 -3000000 0\n")
