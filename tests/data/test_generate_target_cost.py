"""Target costs: found within few runs, spread evenly, the same for the same seed."""

from __future__ import annotations

from math import log10

import numpy as np
import pytest

from satcost_gnn.data.generate import FAMILIES, from_recipe
from satcost_gnn.data.generate.base import Family, Parameter
from satcost_gnn.data.generate.target_cost import Tuned, conflict_cost, spread
from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.random_stream import Draws


def _line(draws: Draws, n: int, slope: float) -> Formula:
    # A formula whose size tells the cost functions below all they need: n variables, and a scatter in its clauses.
    noise = draws.one_below(1000)
    return Formula.from_clauses([[1]] * round(slope * 10) + [[v] for v in range(1, noise + 2)], max(n, 1001))


def family(high: float = 400.0) -> Family:
    return Family(
        "line",
        "for these tests",
        (Parameter("n", 10, "size", 1, 10_000), Parameter("slope", 1.0, "slope", 0.1, 9.0)),
        "n",
        (5, high),
        lambda draws, n, slope: _line(draws, n + 1001, slope),
        variants=({"slope": 1.0}, {"slope": 2.0}),
    )


class Exponential:
    """A cost of ``2 ** (slope * n / 10)`` with a scatter of a third of a decade, None over 10^5; counts its runs."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, formula: Formula) -> float | None:
        self.runs += 1
        n = formula.n_vars - 1001
        ones = int((formula.literals == 1).sum()) - 1
        noise = (formula.n_clauses - ones - 1) / 1000 - 0.5
        cost = 10 ** (ones / 10 * n / 10 * log10(2) + 0.66 * noise)
        return cost if cost <= 1e5 else None


def test_spread_fills_every_slice_of_the_range_once() -> None:
    cost = Exponential()
    found = list(spread(family(), 1e2, 1e4, 10, 3, cost, params={}))
    slices = sorted(int((log10(one.cost) - 2) / 0.2) for one in found)
    assert slices == list(range(10))
    assert cost.runs == found[-1].runs <= 100
    assert {one.formula.source.split("slope=")[1][:1] for one in found} == {"1", "2"}


def test_spread_repeats() -> None:
    def make(seed: int) -> list[Tuned]:
        return list(spread(family(), 1e2, 1e4, 6, seed, Exponential(), params={}))

    first = make(1)
    assert [one.formula.source for one in first] == [one.formula.source for one in make(1)]
    assert [one.formula.source for one in first] != [one.formula.source for one in make(2)]


@pytest.mark.parametrize("wish", [(10.0, 20.0), (500.0, 1000.0), (5e4, 9e4)])
def test_a_narrow_range_is_hit_in_few_runs(wish: tuple[float, float]) -> None:
    runs = []
    for seed in range(10):
        (found,) = spread(family(), *wish, 1, seed, Exponential(), params={})
        assert wish[0] <= found.cost <= wish[1]
        runs.append(found.runs)
    assert float(np.mean(runs)) < 20


def test_given_parameters_stay_as_they_are() -> None:
    found = list(spread(family(), 1e2, 1e4, 4, 1, Exponential(), params={"slope": 3.0}))
    assert len(found) == 4
    assert all("slope=3.0" in one.formula.source for one in found)


def test_a_cost_out_of_reach_ends() -> None:
    assert not list(spread(family(), 1e6, 2e6, 1, 1, Exponential(), params={}))
    # With the sizes capped, the dear half of the range cannot be had and the cheap half comes all the same.
    found = list(spread(family(high=40.0), 10, 1e4, 8, 1, Exponential(), params={"slope": 1.0}))
    assert 0 < len(found) < 8


def test_a_family_whose_seeds_change_nothing_ends() -> None:
    flat = FAMILIES["ordering"]
    found = list(spread(flat, 10, 1000, 6, 1, lambda f: float(f.n_vars), params={"degree": 0}))
    assert found
    assert len({one.formula.to_dimacs() for one in found}) == len(found)


@pytest.mark.parametrize(("low", "high"), [(0.5, 10.0), (10.0, 10.0), (100.0, 10.0), (1.0, float("inf"))])
def test_ranges_must_make_sense(low: float, high: float) -> None:
    with pytest.raises(ConfigError, match="LOW < HIGH"):
        list(spread(family(), low, high, 3, 1, Exponential(), params={}))


def test_the_size_cannot_be_fixed_and_tuned() -> None:
    with pytest.raises(ConfigError, match="give it no value"):
        list(spread(family(), 1, 10, 3, 1, Exponential(), params={"n": 4}))
    with pytest.raises(ConfigError, match="unknown parameter"):
        list(spread(family(), 1, 10, 3, 1, Exponential(), params={"m": 4}))


def test_conflicts_of_a_real_solver() -> None:
    with conflict_cost(2000) as cost:
        easy = FAMILIES["pigeonhole"].generate(0, holes=4)
        assert cost(FAMILIES["pigeonhole"].generate(0, holes=9)) is None
        assert cost(easy) == cost(easy)
        found = list(spread(FAMILIES["random-ksat"], 30, 1000, 3, 1, cost, params={"k": 3}))
        assert len(found) == 3
        for one in found:
            assert cost(from_recipe(one.formula.source)) == one.cost
