"""One estimator counts up to the reach of its labels, where a formula is not new to it, another one beyond."""

from pathlib import Path

import numpy as np
import pytest
from synthetic_table import make_table

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import CheckpointError, EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Estimator, TrainingTable
from satcost_gnn.learn.calibration import Calibration
from satcost_gnn.learn.ensemble.within_reach import WithinReach
from satcost_gnn.learn.registry import make_estimator

GRID = GRIDS["cpu_seconds"]
EARLY = CostDistribution.normal(GRID, [[0.0, 1.0]], 0.5)
LATE = CostDistribution.normal(GRID, [[2.0, 3.0, 2.5]], 1.0)
SOLVERS = ("kissat404", "cadical195", "glucose42")


class Fixed(Estimator):
    """Says one thing of everything; how new a formula is, is in its file's name."""

    name = "constant"

    def __init__(self, said: CostDistribution = LATE, solvers: tuple[str, ...] = SOLVERS) -> None:
        self._said, self._solvers, self._unit = said, solvers, GRID.unit

    def parameters(self):  # type: ignore[no-untyped-def]
        return {}

    def _fit(self, table):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def _predict(self, instances):  # type: ignore[no-untyped-def]
        return CostDistribution(GRID, np.repeat(self._said.cdf, len(instances), axis=0))

    def degree(self, instances):  # type: ignore[no-untyped-def]
        return np.array([float(one.path) for one in instances])


def instance(degree: float) -> Instance:
    return Instance(str(degree), "", FeatureVector.missing(()))


def spliced(far: CostDistribution = LATE) -> WithinReach:
    return WithinReach.of(Fixed(EARLY, ("cadical195", "glucose42")), Fixed(far), 10.0)


def mixed(degree: float, far: CostDistribution = LATE) -> CostDistribution:
    return spliced(far).predict([instance(degree)])


def test_where_a_formula_is_known_the_first_counts_up_to_its_reach_and_the_other_beyond() -> None:
    found = mixed(0.0)
    edge = int(np.abs(GRID.edges - 1.0).argmin())
    np.testing.assert_allclose(found.cdf[0, 1:, : edge + 1], EARLY.cdf[0, :, : edge + 1])
    # Given that the reach was passed, the other's chances hold: here of 100 s and 3,162 s.
    for solver in (1, 2):
        early, late = EARLY.cdf[0, solver - 1], LATE.cdf[0, solver]
        for at in (2.0, 3.5):
            where = int(np.abs(GRID.edges - at).argmin())
            expected = early[edge] + (1 - early[edge]) * (late[where] - late[edge]) / (1 - late[edge])
            assert found.cdf[0, solver, where] == pytest.approx(expected)
    # It does not know the first solver.
    np.testing.assert_array_equal(found.cdf[0, 0], LATE.cdf[0, 0])


def test_where_a_formula_is_new_the_other_counts_alone_and_between_both() -> None:
    np.testing.assert_allclose(mixed(1.0).cdf, LATE.cdf)
    np.testing.assert_allclose(mixed(0.25).cdf, 0.75 * mixed(0.0).cdf + 0.25 * LATE.cdf)
    np.testing.assert_allclose(spliced().predict_variants([instance(0.25)]).cdf, mixed(0.25).cdf)


def test_what_the_other_gives_no_chance_ends_at_the_reach() -> None:
    found = mixed(0.0, CostDistribution.from_points(GRID, [[0.0, 0.0, 0.0]]))
    edge = int(np.abs(GRID.edges - 1.0).argmin())
    assert (found.cdf[0, 1:, edge + 1 :] == 1.0).all() and found.cdf[0, 1, edge] == pytest.approx(EARLY.cdf[0, 0, edge])


def test_the_other_is_calibrated_on_formulas_that_are_new_to_the_first() -> None:
    # New formulas take it ten times as long as it says, known ones a hundredth: of those it is told nothing.
    rng = np.random.default_rng(0)
    instances = [instance(degree) for degree in (1.0, 0.0) for _ in range(60)]
    shift = np.repeat([1.0, -2.0], 60)[:, None]
    cost = np.array([2.0, 3.0, 2.5]) + shift + rng.normal(0.0, 0.3, (120, 3))
    nothing = np.zeros(cost.shape, dtype=bool)
    table = TrainingTable(
        instances, SOLVERS, "cpu_seconds", cost, nothing, ~nothing, ["f"] * 120, np.zeros(120, dtype=np.int8)
    )
    fitted = spliced().calibrated_out_of_distribution(table)
    assert isinstance(fitted.new_calibration, Calibration)
    assert [one.runs for one in fitted.new_calibration.maps] == [60, 60, 60]
    found = fitted.predict([instance(1.0)])
    np.testing.assert_allclose(found.median()[0], LATE.median()[0] + 1.0, atol=0.25)


def test_a_fit_shows_the_first_nothing_beyond_the_reach(tmp_path: Path) -> None:
    table = make_table(60)
    reach = float(10 ** np.median(table.cost[table.known]))
    settings = (("knn", {}), ("constant", {}), reach)
    estimator = WithinReach(*settings).fit(table)
    beyond = table.cost > np.log10(reach)
    changed = WithinReach(*settings).fit(
        TrainingTable(
            table.instances,
            table.solvers,
            table.unit,
            np.where(beyond, table.cost + 0.5, table.cost),
            table.censored,
            table.known,
            table.groups,
            table.satisfiable,
        )
    )
    near = estimator.parts()["near"].predict(table.instances).cdf
    np.testing.assert_array_equal(near, changed.parts()["near"].predict(table.instances).cdf)
    estimator.save(tmp_path)
    again = WithinReach.load(tmp_path).predict(table.instances).cdf
    np.testing.assert_allclose(again, estimator.predict(table.instances).cdf)
    make_estimator("constant").fit(make_table(30, unit="cpu_seconds")).save(tmp_path / "far")
    with pytest.raises(CheckpointError, match="another unit"):
        WithinReach.load(tmp_path)


def test_a_reach_that_is_no_cost_is_refused() -> None:
    with pytest.raises(EstimatorError, match="positive"):
        WithinReach(reach=0.0)
