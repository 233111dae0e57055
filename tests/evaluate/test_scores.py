"""What is computed from contributions of runs is what the plain definitions give, on all runs and on resamples."""

import numpy as np
import pytest

from satcost_gnn.core.distribution import CostDistribution, grid_for
from satcost_gnn.evaluate import metrics
from satcost_gnn.evaluate.metrics import expected_coded
from satcost_gnn.evaluate.scores import LEVELS, MEASURES, Resamples, Runs, Scores

CUTOFF = 5.0


def example(n: int = 80, seed: int = 0) -> tuple[CostDistribution, Runs]:
    rng = np.random.default_rng(seed)
    centre = rng.uniform(3.5, 5.5, n)
    cost = np.round(centre + rng.normal(0, 0.4, n), 1)
    bound = rng.uniform(4.5, 5.8, n)
    censored = cost > bound
    groups = [f"family{k % 3}" for k in range(n)]
    distribution = CostDistribution.normal(grid_for("conflicts"), np.round(centre, 1), 0.3)
    return distribution, Runs(np.arange(n), np.minimum(cost, bound), censored, groups, CUTOFF)


def by_definition(distribution: CostDistribution, runs: Runs, at: np.ndarray) -> dict[str, float]:
    part, y, stopped = distribution[at], runs.cost[at], runs.censored[at]
    point, median, p = expected_coded(part, "solved", 6.0), part.median(), part.cdf_at(CUTOFF)
    outcome = metrics.solved_by(y, stopped, CUTOFF)
    coded = {c: expected_coded(part, c, CUTOFF) for c in ("capped", "par2")}
    size = np.abs(point - y)[~stopped]
    found = {
        "rmse": metrics.rmse(point, y, stopped),
        "rmse_median": metrics.rmse(median, y, stopped),
        "rmse_capped": metrics.rmse(coded["capped"], y, stopped, coding="capped", cutoff=CUTOFF),
        "rmse_par2": metrics.rmse(coded["par2"], y, stopped, coding="par2", cutoff=CUTOFF),
        "spearman": metrics.spearman(point, y, stopped),
        "spearman_within": metrics.spearman_within(point, y, [runs.groups[k] for k in at], stopped),
        "ratio": 10.0 ** size.mean(),
        "within_2": np.mean(size <= np.log10(2) + 1e-12),
        "within_10": np.mean(size <= 1 + 1e-12),
        "c_index": metrics.c_index(median, y, stopped),
        "crps": part.crps(y, stopped).mean(),
        "crps_cutoff": part.crps(y, stopped, CUTOFF).mean(),
        "brier": metrics.brier(p, outcome),
        "auc": metrics.auc(p, outcome),
    }
    for level in LEVELS:
        low, high = part.interval(level / 100)
        inside = (low <= y) & ((y <= high) | part.censored_above(0.5 + level / 200))
        found |= {f"coverage_{level}": inside[~stopped].mean(), f"width_{level}": (high - low).mean()}
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_values_and_resamples_are_those_of_the_definitions(seed: int) -> None:
    distribution, runs = example(seed=seed)
    assert 0.05 < runs.censored.mean() < 0.6
    scores = Scores.of(distribution, runs, 6.0)
    assert set(scores.values()) == set(MEASURES)
    assert scores.values() == pytest.approx(by_definition(distribution, runs, np.arange(len(runs))), rel=1e-5)
    for groups in (None, runs.groups):
        drawn = Resamples.draw(len(runs), groups, 5, seed)
        found = scores.resampled(drawn)
        for number, rows in enumerate(drawn.rows):
            expected = by_definition(distribution, runs, rows)
            assert {name: found[name][number] for name in MEASURES} == pytest.approx(expected, rel=1e-4, nan_ok=True)


def test_cutoff_of_solved_runs_may_differ_from_run_to_run() -> None:
    distribution, runs = example()
    one = Scores.of(distribution, runs, np.full(len(runs), 6.0))
    assert one.point == pytest.approx(Scores.of(distribution, runs, 6.0).point)
    assert (Scores.of(distribution, runs, 4.0).point < one.point).all()


def test_observed_share_is_level_where_predictions_are_right_though_runs_are_stopped() -> None:
    rng = np.random.default_rng(0)
    n = 4000
    centre = rng.uniform(3, 5, n)
    cost = centre + 0.5 * rng.normal(size=n)
    bound = rng.uniform(3.5, 6.0, n)
    runs = Runs(np.arange(n), np.minimum(cost, bound), cost > bound, ["a"] * n, CUTOFF)
    scores = Scores.of(CostDistribution.normal(grid_for("conflicts"), centre, 0.5), runs, 6.0)
    levels = np.array([0.1, 0.3, 0.5, 0.8])
    assert scores.observed(levels) == pytest.approx(levels, abs=0.03)
    # Solved runs alone don't show that: those of high levels are missing among them.
    assert float(np.mean(scores.pit[~runs.censored] <= 0.5)) > 0.55


def test_without_censored_runs_the_observed_share_is_a_plain_one() -> None:
    distribution, runs = example()
    runs = Runs(runs.rows, runs.cost, np.zeros(len(runs), dtype=bool), runs.groups, CUTOFF)
    scores = Scores.of(distribution, runs, 6.0)
    assert scores.observed(0.7) == pytest.approx(np.mean(scores.pit <= 0.7))
    low, high = scores.bounds[80]
    assert low == high == scores.values()["coverage_80"]


def covered(distribution: CostDistribution, cost: list[float], censored: list[bool]) -> tuple[float, float, float]:
    """Share of solved runs in the intervals of 80 %, and the bounds on the share of all runs."""
    runs = Runs(np.arange(len(cost)), np.array(cost), np.array(censored), ["a"] * len(cost), CUTOFF)
    scores = Scores.of(distribution, runs, 6.0)
    return (scores.subset(np.ones(len(cost), dtype=bool))["coverage_80"], *scores.bounds[80])


def test_bounds_of_coverage_by_hand() -> None:
    # Intervals of about 3.0 to 4.0; the last distribution has a fifth of its mass beyond the grid.
    grid = grid_for("conflicts")
    normal = CostDistribution.normal(grid, np.full(5, 3.5), 0.5 / 1.2815515655)
    open_ended = CostDistribution(grid, np.where(grid.edges >= 3.0, 0.8, 0.05))
    distribution = CostDistribution.concatenate([normal, open_ended.reshape(1)])
    found = covered(distribution, [3.5, 2.0, 5.0, 3.5, 5.0, 6.0], [False, False, False, True, True, True])
    # Surely: the solved hit and the censored run with an open interval; possibly: the one stopped inside, too.
    assert found == pytest.approx((1 / 3, 2 / 6, 3 / 6))


def test_coverage_of_the_true_distribution_is_nominal() -> None:
    rng = np.random.default_rng(0)
    mean = rng.uniform(3, 5, 4000)
    distribution = CostDistribution.normal(grid_for("conflicts"), mean, 0.5)
    solved, least, most = covered(distribution, (mean + 0.5 * rng.normal(size=4000)).tolist(), [False] * 4000)
    assert solved == pytest.approx(least) == pytest.approx(most) == pytest.approx(0.8, abs=0.03)


def test_the_ends_of_an_interval_belong_to_it() -> None:
    # Tenths in the bins from 2.0 to 4.5: the interval of 80 % is that from 2.25 to 4.25.
    grid = grid_for("conflicts")
    cdf = np.clip((grid.edges - 2.0) / 2.5, 0.0, 1.0)
    for y, solved, possible in ((2.25, 1.0, 1.0), (4.25, 1.0, 0.0), (2.2, 0.0, 1.0), (4.3, 0.0, 0.0)):
        one = CostDistribution(grid, cdf[None])
        assert covered(one, [y], [False])[0] == solved
        # One that is stopped at the upper end costs more than that.
        assert covered(one, [y], [True])[1:] == (0.0, possible)
    # With a fifth beyond the grid the interval has no end.
    one = CostDistribution(grid, np.minimum(cdf, 0.8)[None])
    for y, surely in ((2.25, 1.0), (2.2, 0.0)):
        assert covered(one, [y], [True])[1:] == (surely, 1.0)
