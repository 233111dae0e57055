"""What is said of the rest of a run counts down with what is survived."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satcost_gnn.core.distribution import GRIDS, CostDistribution, CostGrid
from satcost_gnn.core.observed import observed_up_to
from satcost_gnn.decide.reestimate import conditional
from satcost_gnn.decide.solver_child import Glimpse
from satcost_gnn.decide.time_left import LONGER, OPEN, quantile_given, solved_by_given, time_left

GRID = GRIDS["cpu_seconds"]
BOUND = 10.0


def total(mean: float, sd: float, bound: float = BOUND) -> CostDistribution:
    return observed_up_to(CostDistribution.normal(GRID, mean, sd), bound)


@settings(deadline=None)
@given(
    mean=st.floats(-1.5, 1.5),
    sd=st.floats(0.05, 1.0),
    q=st.floats(0.01, 0.99),
    shares=st.lists(st.floats(0.0, 0.999), min_size=2, max_size=8),
)
def test_the_whole_cost_is_never_less_than_what_is_used_and_grows_with_it(
    mean: float, sd: float, q: float, shares: list[float]
) -> None:
    found = total(mean, sd)
    said = [quantile_given(found, share * BOUND, q) for share in sorted(shares)]
    for share, value in zip(sorted(shares), said, strict=True):
        assert value >= share * BOUND
        if math.isfinite(value):
            remaining_s, _, _ = time_left(found, share * BOUND, math.inf)
            assert remaining_s is None or all(part >= 0 for part in remaining_s)
            # It is the quantile of what has survived: of that, a share q ends until then.
            assert solved_by_given(found, share * BOUND, value) >= q - 1e-6
    # A run that has survived longer is expected to cost more in all.
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(said))


@settings(deadline=None)
@given(mean=st.floats(-0.5, 0.6), sd=st.floats(0.05, 0.3), more=st.floats(0.0, 5.0))
def test_between_looks_remaining_and_elapsed_agree(mean: float, sd: float, more: float) -> None:
    found = observed_up_to(conditional(CostDistribution.normal(GRID, mean, sd), 0.5), BOUND)
    later = Glimpse(0.5, 100, 1, None, total=found).after(more)
    assert later.cpu_s == 0.5 + more
    if later.remaining_s is not None:
        assert later.remaining_s[0] + later.cpu_s == pytest.approx(quantile_given(found, 0.5 + more, 0.5))
        low, high = later.remaining_s[1:]
        assert 0 <= low <= later.remaining_s[0] <= high


def test_a_narrow_estimate_counts_down() -> None:
    fine = CostGrid("cpu_seconds", -2.0, 4.0, 600)
    seen = Glimpse(1.0, 100, 1, None, total=observed_up_to(CostDistribution.normal(fine, np.log10(6.0), 0.01), BOUND))
    left = [seen.after(more).remaining_s for more in (0.0, 1.0, 2.0, 3.0)]
    assert [part[0] for part in left if part is not None] == pytest.approx([5.0, 4.0, 3.0, 2.0], abs=0.1)


@pytest.mark.parametrize("used", [10.0, 38.0, 250.0])
def test_beyond_the_labels_it_is_longer_than_anything_seen(used: float) -> None:
    seen = Glimpse(1.0, 100, 1, None, total=total(np.log10(3.0), 0.3)).after(used - 1.0)
    assert seen.remaining_s is None and seen.unknown == LONGER


def test_a_quantile_just_beyond_the_labels_is_unknown() -> None:
    # What is left of the probability shortly before the bound is small beside the rounding of levels.
    assert quantile_given(total(0.6046600764414323, 0.6046600764414323), 0.99 * BOUND, 0.01) == math.inf


def test_an_open_end_is_no_number() -> None:
    remaining_s, unknown, _ = time_left(total(np.log10(8.0), 0.3), 1.0, math.inf)
    assert remaining_s is None and unknown == OPEN


def test_a_run_that_will_not_end_within_its_limit_is_said_to() -> None:
    seen = Glimpse(0.5, 100, 1, None, total=total(np.log10(5.0), 0.1), limit_s=5.0)
    assert not seen.late and not seen.after(3.0).late
    # Nearly at the limit, and most of what survived ends after it.
    assert seen.after(4.45).late and seen.after(20.0).late
    # Of a limit beyond the labels nothing is known.
    assert not Glimpse(0.5, 100, 1, None, total=total(0.9, 0.3), limit_s=100.0).after(1.0).late
