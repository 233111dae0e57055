"""Shapley values of a function of few groups, exact or sampled."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def shapley_values(
    evaluate: Callable[[Bools, NDArray[np.int64]], Floats], players: int, rows: int, orders: int, seed: int = 0
) -> tuple[Floats, Floats, Floats, Floats]:
    """Estimate Shapley values from random orders, each taken forwards and backwards.

    Parameters
    ----------
    evaluate
        Takes coalitions ``bool[m, players]`` and, for each, the number of the background row that the others are taken
        from; returns ``float64[m, targets]``.
    players, rows
        Numbers of players, at least 1, and of background rows, which take turns.
    orders
        Random orders at least; rounded up to a multiple of ``rows``.

    Returns
    -------
    values, errors
        ``float64[players, targets]``: Shapley values and their standard errors.
    whole, nothing
        ``float64[targets]``: the value with all players, and with none on average over the rows;
        ``whole == nothing + values.sum(axis=0)`` but for rounding.
    """
    rng = np.random.default_rng(seed)
    orders = rows * math.ceil(orders / rows)
    index: dict[tuple[int, bytes], int] = {}
    coalitions: list[Bools] = []
    row_of: list[int] = []

    def look_up(row: int, coalition: Bools) -> int:
        # With every player in, no background is left.
        key = (0 if coalition.all() else row, coalition.tobytes())
        if key not in index:
            index[key] = len(coalitions)
            coalitions.append(coalition.copy())
            row_of.append(key[0])
        return index[key]

    walks: list[tuple[int, NDArray[np.int64], list[int]]] = []
    for number in range(orders):
        order = rng.permutation(players)
        for taken in (order, order[::-1]):
            inside = np.zeros(players, dtype=bool)
            steps = [look_up(number % rows, inside)]
            for player in taken:
                inside[player] = True
                steps.append(look_up(number % rows, inside))
            walks.append((number, taken, steps))
    found = evaluate(np.stack(coalitions), np.array(row_of))
    each = np.zeros((orders, players, found.shape[1]))
    nothing = np.zeros(found.shape[1])
    for number, taken, steps in walks:
        each[number, taken] += 0.5 * np.diff(found[steps], axis=0)
        nothing += found[steps[0]] / len(walks)
    deviation = each.std(axis=0, ddof=1) if orders > 1 else np.zeros(each.shape[1:])
    whole = found[index[0, np.ones(players, dtype=bool).tobytes()]]
    return each.mean(axis=0), deviation / math.sqrt(orders), whole, nothing
