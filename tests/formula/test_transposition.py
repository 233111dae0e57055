"""The transposed table: against a plain loop, on both sides of every way of sorting."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from satcost_gnn.formula import transposition
from satcost_gnn.formula.transposition import transposed


@pytest.mark.parametrize("for_scipy", [500_000, 0], ids=["numpy", "scipy"])
@pytest.mark.parametrize(
    ("n_rows", "n_columns", "seed"), [(0, 0, 0), (3, 0, 0), (1, 1, 1), (40, 7, 2), (300, 70_000, 3), (50, 65_536, 4)]
)
def test_rows_of_each_column(
    monkeypatch: pytest.MonkeyPatch, for_scipy: int, n_rows: int, n_columns: int, seed: int
) -> None:
    monkeypatch.setattr(transposition, "_ENTRIES_FOR_SCIPY", for_scipy)
    random = np.random.default_rng(seed)
    lengths = random.integers(0, 9, n_rows) if n_columns else np.zeros(n_rows, dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    columns = random.integers(0, n_columns, offsets[-1]) if n_columns else np.zeros(0, dtype=np.int64)
    expected: list[list[int]] = [[] for _ in range(n_columns)]
    for row in range(n_rows):
        for column in columns[offsets[row] : offsets[row + 1]]:
            expected[column].append(row)
    bounds, rows = transposed(offsets, columns.astype(np.int32), n_columns)
    assert rows.dtype == np.int32 and bounds.dtype == np.int64
    assert [rows[a:b].tolist() for a, b in pairwise(bounds.tolist())] == expected
