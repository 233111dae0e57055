import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from satcost_gnn.decide.cube_sampling import Design, design, estimate, expected_of_censored
from satcost_gnn.errors import ConfigError

Floats = NDArray[np.float64]


def costs(seed: int, m: int = 200, error: float = 0.15) -> tuple[Floats, Floats]:
    """Predicted and true costs, spread over a decade and a half."""
    rng = np.random.default_rng(seed)
    predicted = 10.0 ** rng.normal(3.0, 0.5, m)
    return predicted, predicted * 10.0 ** rng.normal(0.1, error, m)


@pytest.mark.parametrize("n", [2, 5, 8, 20, 60])
@pytest.mark.parametrize("m", [2, 3, 9, 200])
@pytest.mark.parametrize("unit", [1.0, 1e-6])
def test_a_design_spends_what_it_may(n: int, m: int, unit: float) -> None:
    predicted = unit * costs(0, m)[0]
    plan = design(predicted, n)
    sizes = np.bincount(plan.stratum)
    assert plan.counts.sum() == min(n, m)
    assert (plan.counts <= sizes).all()
    assert (plan.counts >= np.minimum(sizes, 2)).all()
    rows = plan.draw(np.random.default_rng(1))
    assert len(set(rows.tolist())) == len(rows) == min(n, m)


def test_strata_follow_the_predictions_and_the_costly_ones_get_more() -> None:
    predicted, _ = costs(0)
    plan = design(predicted, 24)
    ends = [(predicted[plan.stratum == h].min(), predicted[plan.stratum == h].max()) for h in range(len(plan.counts))]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(ends))
    share = plan.counts / np.bincount(plan.stratum)
    assert share[-1] > 2 * share[0]


def test_two_cubes_are_a_stratum_of_their_own() -> None:
    plan = design(np.array([1.0] * 8 + [500.0] * 2), 8)
    assert np.bincount(plan.stratum).tolist() == [8, 2] and plan.counts.tolist() == [6, 2]
    # One alone joins its neighbour.
    assert np.bincount(design(np.array([1.0] * 8 + [500.0]), 8).stratum).tolist() == [9]


def test_equal_predictions_are_one_pot() -> None:
    plan = design(np.full(50, 10.0), 12)
    assert plan.counts.sum() == 12


def test_all_cubes_give_the_sum_itself() -> None:
    predicted, true = costs(0, 30)
    plan = design(predicted, 30)
    rows = plan.draw(np.random.default_rng(0))
    found = estimate(plan, rows, true[rows])
    assert found.value == pytest.approx(true.sum())
    assert found.low == pytest.approx(found.high)


def test_perfect_predictions_leave_no_error_but_the_scale() -> None:
    predicted, _ = costs(0)
    plan = design(predicted, 12)
    for seed in range(20):
        rows = plan.draw(np.random.default_rng(seed))
        assert estimate(plan, rows, 3.0 * predicted[rows]).value == pytest.approx(3.0 * predicted.sum())


def simulate(predicted: Floats, true: Floats, n: int) -> tuple[Floats, Floats, float]:
    rng = np.random.default_rng(7)
    plan = design(predicted, n)
    ours, inside = [], []
    for _ in range(800):
        rows = plan.draw(rng)
        found = estimate(plan, rows, true[rows])
        ours.append(found.value)
        inside.append(found.low <= true.sum() <= found.high)
    plain = [len(true) * rng.choice(true, n, replace=False).mean() for _ in range(800)]
    return np.array(ours), np.array(plain), float(np.mean(inside))


@pytest.mark.parametrize("n", [8, 16, 32])
def test_good_predictions_halve_the_error(n: int) -> None:
    predicted, true = costs(3)
    ours, plain, inside = simulate(predicted, true, n)
    total = true.sum()
    assert abs(ours.mean() / total - 1) < 0.02
    assert np.std(ours) < 0.5 * np.std(plain)
    # An interval of 80 %, with so few runs only roughly.
    assert 0.7 < inside < 0.95


def test_useless_predictions_cost_little() -> None:
    predicted, true = costs(4)
    shuffled = np.random.default_rng(0).permutation(predicted)
    ours, plain, _ = simulate(shuffled, true, 24)
    assert abs(ours.mean() / true.sum() - 1) < 0.08
    assert np.std(ours) < 1.8 * np.std(plain)


def test_what_has_been_measured_is_the_least() -> None:
    predicted, true = costs(5, 12)
    plan = design(predicted, 11)
    rows = plan.draw(np.random.default_rng(0))
    found = estimate(plan, rows, true[rows])
    assert found.value >= true[rows].sum() and found.low >= true[rows].sum()


def test_censored_runs_never_count_less_than_they_used() -> None:
    assert expected_of_censored([10.0, 20.0], [5.0, 50.0]).tolist() == [10.0, 50.0]


@pytest.mark.parametrize(("m", "n"), [(1, 5), (10, 1)])
def test_too_few_cubes_or_runs_are_refused(m: int, n: int) -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        design(np.ones(m), n)


def test_the_estimate_is_that_of_the_formula() -> None:
    # One stratum: two values of its sum over all cubes, shrunk to the ratio by twelve pairs' weight.
    predicted = np.array([1.0, 2.0, 4.0, 5.0, 8.0])
    plan = design(predicted, 2)
    assert len(plan.counts) == 1
    rows, y = np.array([0, 2, 4]), np.array([2.0, 5.0, 6.0])
    x = predicted[rows]
    ratio = y.sum() / x.sum()
    slope = np.polyfit(x, y, 1)[0]
    trust = 2 / (2 + 12)
    expected = 5 * y.mean() + (trust * slope + (1 - trust) * ratio) * (predicted.sum() - 5 * x.mean())
    assert estimate(plan, rows, y).value == pytest.approx(expected, rel=1e-12)


def test_what_is_left_goes_to_the_costly_stratum() -> None:
    plan = design(np.array([1.0] * 50 + [156.25] * 4), 6)
    assert plan.counts.tolist() == [2, 4]


@pytest.mark.parametrize("shape", ["equal", "steep", "one", "few"])
def test_no_stratum_has_a_single_cube(shape: str) -> None:
    for m in (9, 12, 40):
        x = {
            "equal": np.full(m, 7.0),
            "steep": 10.0 ** np.arange(m),
            "one": np.append(np.ones(m - 1), 1e9),
            "few": np.append(np.full(m - 3, 1e-9), [1.0, 1.0, 1.0]),
        }[shape]
        for n in range(2, m + 1):
            sizes = np.bincount(design(x, n).stratum)
            assert sizes.min() >= 2 and sizes.sum() == m


def by_the_book(
    predicted: Floats, strata: list[list[int]], chosen: list[list[int]], y: dict[int, float], coverage: float
) -> tuple[float, float, float, float]:
    """The combined regression estimator and its interval, stratum by stratum (Cochran 1977, section 7.10)."""
    n = sum(map(len, chosen))
    pairs = [(len(all_), len(some), [predicted[i] for i in some], [y[i] for i in some]) for all_, some in
             zip(strata, chosen, strict=True)]  # fmt: skip
    total_x = sum(size * np.mean(xs) for size, _, xs, _ in pairs)
    total_y = sum(size * np.mean(ys) for size, _, _, ys in pairs)
    sxx = sum((size / k) ** 2 * ((xs - np.mean(xs)) ** 2).sum() for size, k, xs, _ in pairs)
    sxy = sum((size / k) ** 2 * ((xs - np.mean(xs)) * (ys - np.mean(ys))).sum() for size, k, xs, ys in pairs)
    trust = max(n - len(strata), 1) / (max(n - len(strata), 1) + 12)
    ratio = total_y / total_x
    slope = trust * max(sxy / sxx, 0.0) + (1 - trust) * ratio
    value = total_y + slope * (sum(predicted) - total_x)
    within = pooled = 0.0
    relative = sum(((b - ratio * a) / a) ** 2 for _, _, xs, ys in pairs for a, b in zip(xs, ys, strict=True)) / (n - 1)
    for (size, k, xs, ys), everything in zip(pairs, strata, strict=True):
        rest = [b - np.mean(ys) - slope * (a - np.mean(xs)) for a, b in zip(xs, ys, strict=True)]
        times = size**2 * (1 - k / size) / k
        within += times * sum(r**2 for r in rest) / max(k - 1, 1)
        pooled += times * relative * np.mean([predicted[i] ** 2 for i in everything])
    half = stats.t.ppf(0.5 + coverage / 2, n - 1) * np.sqrt(max(within, pooled)) / value
    return value, max(value * np.exp(-half), sum(y.values())), value * np.exp(half), slope


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("spread", [0.02, 3.0])
@pytest.mark.parametrize("unit", [1.0, 1e-6])
def test_an_estimate_from_two_strata_is_that_of_the_book(coverage: float, spread: float, unit: float) -> None:
    predicted = unit * np.array([1.0, 2.0, 3.0, 4.0, 5.0, 40.0, 60.0, 90.0])
    plan = Design(predicted, np.array([0] * 5 + [1] * 3), np.array([2, 2]))
    strata, chosen = [[0, 1, 2, 3, 4], [5, 6, 7]], [[1, 4], [5, 7]]
    # Once predictions err in proportion, once the costly ones by more than that.
    y = {1: unit * 2.2, 4: unit * 4.5, 5: unit * (38.0 - 10 * spread), 7: unit * (95.0 + 10 * spread)}
    rows = np.array([i for part in chosen for i in part])
    found = estimate(plan, rows, np.array([y[i] for i in rows]), coverage)
    expected = by_the_book(predicted, strata, chosen, y, coverage)
    assert (found.value, found.low, found.high, found.slope) == pytest.approx(expected, rel=1e-9)
    assert found.runs == 4 and found.low < found.value < found.high


def test_an_estimate_from_two_runs_has_one_degree_of_freedom() -> None:
    predicted = np.array([1.0, 2.0, 3.0, 4.0])
    found = estimate(design(predicted, 2), np.array([0, 3]), np.array([1.5, 3.5]))
    value, low, high, slope = by_the_book(predicted, [[0, 1, 2, 3]], [[0, 3]], {0: 1.5, 3: 3.5}, 0.8)
    assert (found.value, found.low, found.high, found.slope) == pytest.approx((value, low, high, slope), rel=1e-9)


def test_costs_that_fall_where_predictions_rise_do_not_make_the_slope_negative() -> None:
    found = estimate(design(np.array([1.0, 2.0, 3.0, 4.0]), 3), np.array([0, 2, 3]), np.array([5.0, 3.0, 1.0]))
    # Nothing but the share of the prior is left: twelve pairs of fourteen say the ratio of the means.
    assert found.slope == pytest.approx(12 / 14 * 9 / 8)


def test_cubes_that_cost_nothing_have_nothing_for_a_total() -> None:
    found = estimate(design(np.array([1.0, 2.0, 3.0, 4.0]), 2), np.array([0, 3]), np.zeros(2))
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("n", "strata"), [(2, 1), (5, 1), (6, 2), (11, 3), (23, 7), (24, 8), (40, 8)])
def test_there_is_a_stratum_for_three_runs_up_to_eight(n: int, strata: int) -> None:
    # Of equal predictions all strata are of one size, as far as the number divides.
    sizes = np.bincount(design(np.full(840, 7.0), n).stratum)
    assert sizes.tolist() == [840 // strata] * strata


@pytest.mark.parametrize("seed", range(6))
def test_runs_are_allocated_as_well_as_they_can_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    predicted = 10.0 ** rng.normal(0.0, 0.4, 40)
    plan = design(predicted, 11)
    within = [predicted[plan.stratum == h] for h in range(3)]
    # The variance that is expected, if a cost varies as its prediction, over all numbers of runs that there may be.
    error = {
        counts: sum((len(x) * np.sqrt(np.mean(x**2))) ** 2 / k for x, k in zip(within, counts, strict=True))
        for counts in itertools.product(range(2, 10), repeat=3)
        if sum(counts) == 11 and all(k <= len(x) for x, k in zip(within, counts, strict=True))
    }
    assert tuple(plan.counts.tolist()) == min(error, key=lambda counts: error[counts])


def test_equal_predictions_leave_the_mean() -> None:
    found = estimate(design(np.full(10, 7.0), 3), np.array([0, 4, 9]), np.array([5.0, 6.0, 10.0]))
    assert found.value == pytest.approx(70.0) and found.slope == pytest.approx(1.0)
    assert (found.runs, found.censored) == (3, 0)
