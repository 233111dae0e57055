"""An earlier network counts up to the reach of its labels, where a formula is not new to it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.calibration import Calibration
from satcost_gnn.learn.network.earlier import EarlierNetwork

GRID = GRIDS["cpu_seconds"]
EARLY = CostDistribution.normal(GRID, [[0.0, 1.0]], 0.5)
LATE = CostDistribution.normal(GRID, [[2.0, 3.0, 2.5]], 1.0)
SOLVERS = ("kissat404", "cadical195", "glucose42")


class Known:
    """Stands for a fitted network of two solvers to which a formula is new to a degree."""

    solvers = ("cadical195", "glucose42")
    units = ("cpu_seconds",)

    def __init__(self, degree: float) -> None:
        self.degree = degree

    def for_unit(self, unit: str) -> "Known":
        return self

    def predict(self, instances):  # type: ignore[no-untyped-def]
        return CostDistribution(GRID, np.repeat(EARLY.cdf, len(instances), axis=0))

    predict_variants = predict

    def degree_of_novelty(self, instances):  # type: ignore[no-untyped-def]
        return np.full(len(instances), self.degree)


def mixed(degree: float, unit: str = "cpu_seconds") -> CostDistribution:
    network = EarlierNetwork(Known(degree), {"cpu_seconds": 10.0})  # type: ignore[arg-type]
    return network.mixed(LATE, unit, SOLVERS, [SimpleNamespace(graph=object())])  # type: ignore[list-item]


def test_where_a_formula_is_known_the_earlier_network_counts_up_to_its_reach_and_the_later_one_beyond() -> None:
    found = mixed(0.0)
    edge = int(np.abs(GRID.edges - 1.0).argmin())
    np.testing.assert_allclose(found.cdf[0, 1:, : edge + 1], EARLY.cdf[0, :, : edge + 1])
    # Given that the reach was passed, the later one's chances hold: here of 100 s and 3,162 s.
    for solver in (1, 2):
        early, late = EARLY.cdf[0, solver - 1], LATE.cdf[0, solver]
        for at in (2.0, 3.5):
            where = int(np.abs(GRID.edges - at).argmin())
            expected = early[edge] + (1 - early[edge]) * (late[where] - late[edge]) / (1 - late[edge])
            assert found.cdf[0, solver, where] == pytest.approx(expected)
    # It does not know the first solver.
    np.testing.assert_array_equal(found.cdf[0, 0], LATE.cdf[0, 0])


def test_where_a_formula_is_new_the_later_one_counts_alone_and_between_both() -> None:
    np.testing.assert_allclose(mixed(1.0).cdf, LATE.cdf)
    np.testing.assert_allclose(mixed(0.25).cdf, 0.75 * mixed(0.0).cdf + 0.25 * LATE.cdf)


def test_of_another_unit_it_says_nothing() -> None:
    assert mixed(0.0, "conflicts") is LATE


def test_what_the_later_one_gives_no_chance_ends_at_the_reach() -> None:
    network = EarlierNetwork(Known(0.0), {"cpu_seconds": 10.0})  # type: ignore[arg-type]
    certain = CostDistribution.from_points(GRID, [[0.0, 0.0, 0.0]])
    found = network.mixed(certain, "cpu_seconds", SOLVERS, [SimpleNamespace(graph=object())])  # type: ignore[list-item]
    edge = int(np.abs(GRID.edges - 1.0).argmin())
    assert (found.cdf[0, 1:, edge + 1 :] == 1.0).all() and found.cdf[0, 1, edge] == pytest.approx(EARLY.cdf[0, 0, edge])
    assert replace(found, cdf=found.cdf).shape == (1, 3)


class ByName(Known):
    """A formula is new to it if its file's name says so."""

    def __init__(self) -> None:
        super().__init__(0.0)

    def degree_of_novelty(self, instances):  # type: ignore[no-untyped-def]
        return np.array([float(one.path == "new") for one in instances])


class Later:
    """A later network that says one thing of everything."""

    solvers = SOLVERS

    def for_unit(self, unit: str) -> "Later":
        return self

    def predict(self, instances):  # type: ignore[no-untyped-def]
        return CostDistribution(GRID, np.repeat(LATE.cdf, len(instances), axis=0))


def test_the_later_network_is_calibrated_on_formulas_that_are_new_to_the_earlier_one() -> None:
    # New formulas take it ten times as long as it says, known ones a hundredth: of those it is told nothing.
    rng = np.random.default_rng(0)
    instances = [Instance(path, "", FeatureVector.missing(())) for path in ("new", "known") for _ in range(60)]
    shift = np.repeat([1.0, -2.0], 60)[:, None]
    cost = np.array([2.0, 3.0, 2.5]) + shift + rng.normal(0.0, 0.3, (120, 3))
    nothing = np.zeros(cost.shape, dtype=bool)
    table = TrainingTable(
        instances, SOLVERS, "cpu_seconds", cost, nothing, ~nothing, ["f"] * 120, np.zeros(120, dtype=np.int8)
    )
    network = EarlierNetwork(ByName(), {"cpu_seconds": 10.0})  # type: ignore[arg-type]
    fitted = network.calibrated_out_of_distribution(Later(), {"cpu_seconds": table})  # type: ignore[arg-type]
    assert isinstance(fitted.ood_calibrations["cpu_seconds"], Calibration)
    assert [one.runs for one in fitted.ood_calibrations["cpu_seconds"].maps] == [60, 60, 60]
    new = Instance("new", "", FeatureVector.missing(()))
    found = fitted.mixed(LATE, "cpu_seconds", SOLVERS, [new])
    np.testing.assert_allclose(found.median()[0], LATE.median()[0] + 1.0, atol=0.25)
