"""What a run has shown holds for every quantile of every distribution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satcost_gnn.core.bounded import BoundedDistribution, join, known_cost, survived
from satcost_gnn.core.distribution import CostDistribution, CostGrid

GRID = CostGrid("conflicts", 0.0, 8.0, 32)
LEVELS = np.linspace(0.0, 1.0, 21)


@st.composite
def distributions(draw: st.DrawFn) -> CostDistribution:
    steps = draw(st.lists(st.floats(0.0, 1.0), min_size=GRID.bins + 2, max_size=GRID.bins + 2))
    cdf = np.cumsum(steps) / max(sum(steps), 1e-9)
    return CostDistribution(GRID, np.clip(cdf[:-1], 0.0, 1.0))


@settings(max_examples=200, deadline=None)
@given(distributions(), st.floats(-1.0, 9.0))
def test_no_quantile_lies_below_what_was_survived(distribution: CostDistribution, floor: float) -> None:
    found = survived(distribution, floor)
    quantiles = found.quantile(LEVELS)
    assert (quantiles >= floor).all() and (np.diff(quantiles) >= 0).all()
    assert found.mean() >= min(floor, GRID.high)
    # A shade less than what was spent: nothing has been solved by then.
    assert found.p_solved_by(10.0**floor * 0.999) == 0.0
    # Far above, it is the truncated distribution.
    if floor > 0 and distribution.cdf_at(floor) < 0.9:
        edge = GRID.edges[GRID.edges > floor + GRID.width]
        expected = (distribution.cdf_at(edge) - distribution.cdf_at(floor)) / (1.0 - distribution.cdf_at(floor))
        np.testing.assert_allclose(found.cdf_at(edge), expected, atol=1e-9)


@given(st.floats(-4.0, 9.0) | st.just(-np.inf))
def test_a_known_cost_has_one_quantile(cost: float) -> None:
    found = known_cost(GRID, cost)
    assert (found.quantile(LEVELS) == cost).all() and found.sd() == 0.0
    assert found.mean() == np.clip(cost, GRID.low, GRID.high)
    assert found.p_solved_by(10.0**cost * 1.001 + 1e-9) == 1.0
    assert cost < -3 or found.p_solved_by(10.0**cost * 0.999) == 0.0


def test_bounds_stay_through_views() -> None:
    wide = CostDistribution.normal(GRID, 3.0, 1.0)
    both = join([wide, survived(wide, 3.5), known_cost(GRID, 2.2)])
    assert both.shape == (3,)
    assert both[0].quantile(0.05) == pytest.approx(wide.quantile(0.05))
    assert both[1].quantile(0.0) == 3.5 and both[2].quantile(0.5) == 2.2
    assert both[1:].quantile([0.05, 0.95]).shape == (2, 2)
    assert both.reshape(3, 1).quantile(0.0)[:, 0].tolist() == both.quantile(0.0).tolist()
    assert both.scaled(10.0)[2].quantile(0.5) == pytest.approx(3.2)
    assert survived(wide, -np.inf) is wide
    assert not known_cost(GRID, 2.0).censored_above(1.0)
    # What was survived doesn't hide what is within the grid, nor show what is beyond.
    near_the_end = survived(CostDistribution.normal(GRID, 7.5, 1.0), 1.0)
    assert near_the_end.censored_above([0.1, 0.95]).tolist() == [False, True]


def test_wrong_bounds() -> None:
    cdf = np.ones(GRID.bins + 1)
    for lower, upper in ((2.0, 1.0), (np.nan, 1.0), (1.0, np.nan)):
        with pytest.raises(ValueError, match="bound"):
            BoundedDistribution(GRID, cdf, np.array(lower), np.array(upper))
        with pytest.raises(ValueError, match="bound"):
            BoundedDistribution(GRID, np.stack([cdf, cdf]), np.array([0.0, lower]), np.array([1.0, upper]))


@pytest.mark.parametrize(("cost", "first"), [(2.2, 9), (2.25, 9), (2.26, 10), (-1.0, 0), (8.0, 32), (9.0, 32)])
def test_a_known_cost_lies_in_its_bin(cost: float, first: int) -> None:
    # Bins of a quarter: the ninth ends at 2.25, which belongs to it.
    assert known_cost(GRID, cost).cdf.tolist() == [0.0] * first + [1.0] * (33 - first)


def test_the_bounds_move_with_the_cost() -> None:
    moved = survived(CostDistribution.normal(GRID, 3.0, 1.0), 2.0).scaled(100.0)
    assert moved.quantile(0.0) == pytest.approx(4.0)
    assert known_cost(GRID, 3.0).scaled(0.1).quantile(1.0) == pytest.approx(2.0)


def test_a_bound_is_reached_when_it_is_met() -> None:
    known = known_cost(GRID, 2.3)
    assert known.cdf_at([2.29999, 2.3, 2.5]).tolist() == [0.0, 1.0, 1.0]
    both = BoundedDistribution(
        GRID, np.tile(np.linspace(0.1, 0.9, 33), (2, 1)), np.array([2.0, -np.inf]), np.array([4.0, np.inf])
    )
    # At the lower bound what is expected by there, below it nothing, from the upper on everything.
    assert both.cdf_at([1.9, 1.9]).tolist() == [0.0, pytest.approx(0.1 + 0.8 * 1.9 / 8)]
    assert both.cdf_at([2.0, 2.0]).tolist() == pytest.approx([0.3, 0.3])
    assert both.cdf_at([4.0, 4.0]).tolist() == pytest.approx([1.0, 0.5])
    assert np.isnan(both.cdf_at([np.nan, 1.0])).tolist() == [True, False]


def test_some_of_several_have_run() -> None:
    wide = CostDistribution.normal(GRID, [3.0, 3.0], 1.0)
    found = survived(wide, [-np.inf, 2.5])
    assert found.quantile(0.0).tolist() == [pytest.approx(float(wide.quantile(0.0)[0])), 2.5]
    assert found.cdf[0].tolist() == wide.cdf[0].tolist() and found.cdf_at([2.4, 2.4])[1] == 0.0
