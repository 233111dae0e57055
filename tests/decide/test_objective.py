import numpy as np
import pytest

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.decide.objective import Objective, effect_size, partial_moment, scores
from satcost_gnn.errors import ConfigError

GRID = GRIDS["cpu_seconds"]


def samples(distribution: CostDistribution, count: int = 200_000) -> np.ndarray:
    levels = (np.arange(count) + 0.5) / count
    return 10.0 ** distribution.quantile(levels)


@pytest.mark.parametrize("power", [1, 2])
def test_partial_moment_agrees_with_samples(power: int) -> None:
    distribution = CostDistribution.normal(GRID, 0.3, 0.5)
    cost = samples(distribution)
    for limit in (0.05, 1.0, 7.0, 1e9):
        expected = float(np.where(cost <= limit, cost**power, 0.0).mean())
        assert float(partial_moment(distribution, limit, power)) == pytest.approx(expected, rel=1e-2, abs=1e-6)
    assert float(partial_moment(distribution, 0.0, power)) == 0.0


@pytest.mark.parametrize(("objective", "k"), [("expected-cost", 1), ("par2", 2), ("par10", 10)])
def test_scores_charge_the_overhead(objective: str, k: float) -> None:
    distribution = CostDistribution.normal(GRID, 0.6, 0.4)
    overhead, cutoff = 1.5, 8.0
    total = samples(distribution) + overhead
    penalised = np.where(total <= cutoff, total, k * cutoff)
    found = scores(distribution, Objective.of(objective), cutoff, overhead)
    assert float(found.value) == pytest.approx(penalised.mean(), rel=2e-3)
    assert float(found.sd) == pytest.approx(penalised.std(), rel=2e-3)


def test_without_overhead_it_is_the_expected_par() -> None:
    distribution = CostDistribution.normal(GRID, [0.0, 1.0, 3.0], 0.7)
    found = scores(distribution, Objective.PAR2, 10.0)
    assert found.value == pytest.approx(distribution.expected_par(2, 10.0))


def test_probability_of_not_solving() -> None:
    distribution = CostDistribution.normal(GRID, [0.0, 1.0], 0.5)
    found = scores(distribution, Objective.P_SOLVED, 10.0, 0.1)
    assert found.value == pytest.approx(1 - distribution.p_solved_by(9.9))
    assert scores(distribution, Objective.P_SOLVED, 1.0, 2.0).value == pytest.approx([1.0, 1.0])


def test_effect_size_is_the_difference_in_standard_deviations() -> None:
    value, sd = np.array([[5.0, 2.0], [1.0, 2.0], [3.0, 3.0]]), np.array([[3.0, 4.0], [1.0, 1.0], [0.0, 0.0]])
    assert effect_size(value, sd, 0) == pytest.approx([0.6, 0.0, 0.0])
    assert effect_size(np.array([2.0, 1.0]), np.zeros(2), 0) > 1e300


def test_unknown_objective_says_which_there_are() -> None:
    with pytest.raises(ConfigError, match="expected-cost, par2, par10, p-solved"):
        Objective.of("speed")


def test_not_being_solved_has_the_mean_and_spread_of_a_coin() -> None:
    found = scores(CostDistribution.normal(GRIDS["cpu_seconds"], [0.0, 0.5, 1.0], 0.7), Objective.P_SOLVED, 5.0, 1.0)
    p = CostDistribution.normal(GRIDS["cpu_seconds"], [0.0, 0.5, 1.0], 0.7).p_solved_by(4.0)
    np.testing.assert_allclose(found.value, 1.0 - p)
    np.testing.assert_allclose(found.sd, np.sqrt(p * (1.0 - p)))


def test_what_costs_less_than_the_grid_counts_as_its_low_end() -> None:
    low = CostDistribution(GRIDS["cpu_seconds"], np.ones(GRIDS["cpu_seconds"].bins + 1))
    assert partial_moment(low, 5.0, 1) == pytest.approx(1e-3)
    assert partial_moment(low, 1e-4, 1) == 0.0


def test_the_mass_at_the_low_end_is_what_lies_below_the_grid() -> None:
    # A fifth below the grid, which counts as its low end; the rest within the first bin, with log10 cost uniform.
    cdf = np.ones(GRID.bins + 1)
    cdf[0] = 0.2
    end = 10.0 ** GRID.edges[1]
    for power in (1, 2):
        low, high = 1e-3**power, end**power
        expected = 0.2 * low + 0.8 * (high - low) / (power * np.log(10) * GRID.width)
        assert partial_moment(CostDistribution(GRID, cdf), 5.0, power) == pytest.approx(expected)


def test_what_is_certain_has_no_spread() -> None:
    never = CostDistribution(GRID, np.zeros(GRID.bins + 1))
    for objective, value in ((Objective.PAR2, 20.0), (Objective.EXPECTED_COST, 10.0), (Objective.PAR10, 100.0)):
        assert (objective.penalty, float(scores(never, objective, 10.0).value)) == (value / 10, pytest.approx(value))
        assert float(scores(never, objective, 10.0).sd) == pytest.approx(0.0, abs=1e-6)
    assert Objective.P_SOLVED.penalty == 0.0
