"""Members of a portfolio, by what each adds to the virtual best of those before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_MEMBERS = 8
#: What a member has to take off the virtual best, as a share of what the single best solver costs: near copies do less.
LEAST_CONTRIBUTION = 0.01


def members(penalised: Floats, count: int = MOST_MEMBERS, least: float = LEAST_CONTRIBUTION) -> Integers:
    """Return columns, the single best solver first, each the one that lowers the virtual best's mean most.

    Parameters
    ----------
    penalised
        ``float64[n, m]``: penalised costs on training instances.
    count
        Largest number.
    least
        Smallest contribution of any but the first, as a share of the single best solver's mean.
    """
    chosen: list[int] = []
    best = np.full(len(penalised), np.inf)
    for _ in range(min(count, penalised.shape[1])):
        means = np.minimum(best[:, None], penalised).mean(axis=0)
        means[chosen] = np.inf
        next_one = int(means.argmin())
        if chosen and best.mean() - means[next_one] <= least * penalised[:, chosen[0]].mean():
            break
        chosen.append(next_one)
        best = np.minimum(best, penalised[:, next_one])
    return np.array(chosen, dtype=np.int64)
