from typing import Any, cast

import numpy as np
import pytest

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.data.generate import from_recipe
from satcost_gnn.decide.cube_features import cube_features, cube_features_child, simplified
from satcost_gnn.decide.cubes import (
    STATIC_ESTIMATOR,
    CubePrediction,
    hardest_first,
    predict_cubes,
    to_split,
    total_of,
)
from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.sandbox import Limits, Outcome, Sandbox
from satcost_gnn.search.solver_run import solve_child
from satcost_gnn.serve.predictor import Predictor

GRID = GRIDS["conflicts"]


def test_unit_propagation_by_hand() -> None:
    formula = Formula.from_clauses([[1, 2], [-1, 3], [-3, -2, 4, 5], [4, 6, -7], [5, 6]])
    # 1 implies 3; the first two clauses are gone, the third loses a literal, and 2, 4, 5, 6, 7 become 1 to 5.
    assert simplified(formula, [1]).clauses() == [[-1, 2, 3], [2, 4, -5], [3, 4]]
    assert simplified(formula, []).clauses() == formula.clauses()
    assert simplified(formula, [1, 4, 5]).n_clauses == 0


@pytest.mark.parametrize("cube", [[1, -3], [1, -1], [-2, -1]])
def test_a_refuted_cube_is_the_empty_clause(cube: list[int]) -> None:
    formula = Formula.from_clauses([[1, 2], [-1, 3]])
    assert simplified(formula, cube).has_empty_clause


def test_conflicting_units_refute() -> None:
    assert simplified(Formula.from_clauses([[-1, 2], [-1, -2]]), [1]).has_empty_clause


def test_what_is_left_has_the_same_answer() -> None:
    formula = from_recipe("random-ksat:k=3,n=60,ratio=4.26,seed=2")
    for cube in ([1, -2, 3], [-4, 5, -6, 7, -8, 9], [10, 20, -30]):
        with_units = Formula.from_clauses([*formula.clauses(), *([literal] for literal in cube)], formula.n_vars)
        left = simplified(formula, cube)
        found, expected = (solve_child("minisat22", f, 0, 30.0)["status"] for f in (left, with_units))
        assert found == expected
        assert left.n_clauses <= with_units.n_clauses


def cube(number: int, median: float | None, sd: float = 0.3, known: float | None = None) -> CubePrediction:
    cost = None if median is None else CostDistribution.normal(GRID, np.log10(median), sd)
    return CubePrediction(number, (number + 1,), None, cost, known)


def test_the_sum_of_known_costs_is_known() -> None:
    total = total_of([cube(0, 100, known=120.0), cube(1, 100, known=80.0)])
    assert (total.low, total.median, total.high, total.known) == (200.0, 200.0, 200.0, 200.0)


def test_the_sum_of_independent_costs_is_near_the_sum_of_their_means() -> None:
    cubes = [cube(k, 1000.0) for k in range(400)]
    total = total_of([*cubes, cube(400, None)], common_error=0.0)
    # Mean of a lognormal: median exp(s^2 / 2).
    mean = 1000.0 * np.exp((0.3 * np.log(10)) ** 2 / 2)
    assert total.median == pytest.approx(400 * mean, rel=0.03)
    assert total.high / total.low < 1.15


def test_a_common_error_does_not_average_out() -> None:
    cubes = [cube(k, 1000.0) for k in range(400)]
    alone = total_of(cubes, common_error=0.0)
    together = total_of(cubes, common_error=0.5)
    assert together.high / together.low > 2 * (alone.high / alone.low - 1) + 1


def test_the_hardest_come_first_and_the_unknown_before_them() -> None:
    cubes = [cube(0, 100.0), cube(1, 1e5), cube(2, None), cube(3, 50.0, known=7e4)]
    assert hardest_first(cubes) == [2, 1, 3, 0]


def test_what_stands_far_above_the_rest_is_to_be_split() -> None:
    cubes = [cube(k, 1000.0) for k in range(10)]
    assert to_split(cubes) == []
    assert to_split([*cubes, cube(10, 1e5)]) == [10]
    assert to_split([*cubes, cube(10, 1e5)], factor=200.0) == []
    assert to_split([cube(0, 1e5)]) == []
    with pytest.raises(ConfigError, match="more than 1"):
        to_split(cubes, factor=1.0)


def test_cubes_are_predicted_in_their_order() -> None:
    parent = from_recipe("random-ksat:k=3,n=210,ratio=4.4,seed=1")
    made = [(1, -2, 3), (1000,), tuple(range(1, 60))]
    with Predictor.from_checkpoint(start="forest") as predictor:
        found = predict_cubes(parent, made, predictor, "cadical195")
    assert [item.literals for item in found] == made
    assert found[0].cost is not None and found[0].cost.shape == ()
    assert "expected distinct variables in 1..210" in found[1].error and found[1].cost is None
    assert np.isnan(found[1].size)
    # So many units leave nothing to search: the plain run has answered, and its conflicts are the cost.
    assert found[2].known is not None and found[2].known == found[2].size < 100


def test_static_features_need_no_search() -> None:
    parent = from_recipe("random-ksat:k=3,n=210,ratio=4.4,seed=1")
    steps: list[None] = []
    some = tuple(int(sign) * v for v, sign in zip(range(1, 11), [1, -1] * 5, strict=True))
    with Predictor.from_checkpoint(start=STATIC_ESTIMATOR) as predictor:
        found = predict_cubes(
            parent,
            [(), some, tuple(range(1, 60))],
            predictor,
            "minisat22",
            features="static",
            on_step=lambda: steps.append(None),
        )
    assert all(item.prediction is not None and item.prediction.source == "forest" for item in found[:2])
    assert all(item.known is None for item in found[:2])
    # Ten units leave a smaller formula; sixty are refuted by propagation alone.
    assert found[1].size < found[0].size
    assert (found[2].known, found[2].result) == (0.0, "UNSAT")
    assert len(steps) == 3


CUBES = [(1, -2, 3), (-1, 2, 3), (), (1000,), tuple(range(1, 60))]


@pytest.mark.parametrize("features", ["shared-graph", "shared"])
def test_the_graph_of_the_formula_is_encoded_once_for_all_cubes(features: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from satcost_gnn.learn.network.array_model import ArrayModel

    encoded: list[int] = []
    vector = ArrayModel.graph_vector

    def counted(self: ArrayModel, graph: Any) -> Any:
        encoded.append(1)
        return vector(self, graph)

    monkeypatch.setattr(ArrayModel, "graph_vector", counted)
    parent = from_recipe("random-ksat:k=3,n=210,ratio=4.4,seed=1")
    steps: list[None] = []
    with Predictor.from_checkpoint() as predictor:
        # What the solver answers alone needs no graph.
        predictor.settings = predictor.settings.with_features(plain=None)
        found = predict_cubes(
            parent, CUBES, predictor, "cadical195", features=features, on_step=lambda: steps.append(None)
        )
        networks = {name for name, one in predictor.checkpoint.config.members.items() if one.kind == "gnn"}
        members = sum(len(predictor._members.get(name)._weights) for name in networks)
        whole = predictor.predict(parent)
    assert [item.literals for item in found] == CUBES and len(steps) == len(CUBES)
    assert [item.prediction.source for item in found[:3] if item.prediction is not None] == ["ensemble"] * 3
    # One batch, and the prediction of the formula itself.
    assert len(encoded) == 2 * members
    assert "1..210" in found[3].error
    assert found[4].result == "UNSAT"
    assert found[0].cost is not None and found[1].cost is not None and found[2].cost is not None
    # Cubes differ, and the empty one is the formula.
    assert found[0].cost.mean() != found[1].cost.mean()
    assert whole.distribution is not None
    assert found[2].cost.mean() == pytest.approx(whole.distribution[0].mean(), abs=0.15)


def test_features_of_many_cubes_come_from_few_children() -> None:
    parent = from_recipe("random-ksat:k=3,n=60,ratio=4.26,seed=2")
    cubes = [(k,) for k in range(1, 61)] + [(-k,) for k in range(1, 11)] + [(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)]
    with Sandbox() as sandbox:
        found = cube_features(parent, cubes, sandbox)
    assert len(found) == len(cubes)
    direct = cube_features_child(parent, cubes[:2])
    for one, other in zip(found, direct, strict=False):
        assert isinstance(one, FeatureVector)
        np.testing.assert_array_equal(one.values, other.values)
    assert cube_features_child(Formula.from_clauses([[1, 2], [-1, 2]]), [(1,), (-2,), (2,)]) == ["SAT", "UNSAT", "SAT"]


def test_a_cube_on_which_the_child_dies_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    good = FeatureVector(("a",), np.zeros(1))

    class Dying:
        calls = 0

        def run(self, function: str, kwargs: dict[str, Any], limits: Limits) -> Outcome:
            self.calls += 1
            if (7,) in map(tuple, kwargs["cubes"]) and self.calls == 1:
                return Outcome("CRASHED", [good], 0.0, 0.0, 0.0, "by signal 11")
            return Outcome("OK", [good] * len(kwargs["cubes"]), 0.0, 0.0, 0.0, "")

    found = cube_features(Formula.from_clauses([[1, 2]]), [(1,), (7,), (2,)], cast(Sandbox, Dying()))
    assert found[0] is good and found[2] is good
    assert isinstance(found[1], str) and "CRASHED" in found[1] and "signal 11" in found[1]


def test_unknown_features_and_solvers_are_refused() -> None:
    parent = Formula.from_clauses([[1, 2]])
    with Predictor.from_checkpoint() as predictor:
        with pytest.raises(ConfigError, match="expected one of probe, shared-graph, shared, static"):
            predict_cubes(parent, [(1,)], predictor, "cadical195", features="all")
        with pytest.raises(ConfigError, match="nosuch"):
            predict_cubes(parent, [(1,)], predictor, "nosuch")
