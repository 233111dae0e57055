"""The other direction of a sparse table: from the columns of each row to the rows of each column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Importing scipy's sparse matrices takes as long as sorting so many entries without them.
_ENTRIES_FOR_SCIPY = 500_000
_DIGIT = 16


def transposed(
    offsets: NDArray[np.integer[Any]], columns: NDArray[np.integer[Any]], n_columns: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the rows of each column; repeated entries stay repeated.

    Parameters
    ----------
    offsets
        ``int[n_rows + 1]``: row ``i`` has the entries ``columns[offsets[i]:offsets[i + 1]]``.
    columns
        ``int[n]``, not negative, less than ``n_columns``.
    n_columns
        Number of columns.

    Returns
    -------
    offsets : int64[n_columns + 1]
        Column ``j`` has the entries ``[offsets[j], offsets[j + 1])`` of ``rows``.
    rows : int32[n]
        Rising within a column.
    """
    if len(columns) >= _ENTRIES_FOR_SCIPY:
        from scipy.sparse import csr_array

        shape = (len(offsets) - 1, n_columns)
        turned = csr_array((np.ones(len(columns), dtype=np.int8), columns, offsets), shape=shape).tocsc()
        return turned.indptr.astype(np.int64), turned.indices.astype(np.int32)
    bounds = np.zeros(n_columns + 1, dtype=np.int64)
    np.cumsum(np.bincount(columns, minlength=n_columns), out=bounds[1:])
    # numpy sorts integers of 16 bits by counting: one digit after the other, the lower one first.
    order = np.argsort((columns & (2**_DIGIT - 1)).astype(np.uint16), kind="stable")
    if n_columns > 2**_DIGIT:
        order = order[np.argsort((columns[order] >> _DIGIT).astype(np.uint16), kind="stable")]
    rows = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
    return bounds, rows[order]
