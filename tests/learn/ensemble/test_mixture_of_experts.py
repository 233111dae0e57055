from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_table import make_table

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import CheckpointError, EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.ensemble.mixture_of_experts import EXPERT, GATE, LEAST_INSTANCES, MixtureOfExperts
from satcost_gnn.learn.registry import make_estimator


def moved(instance: Instance) -> Instance:
    """Return an instance whose static features are unlike those of others."""
    return replace(instance, static=FeatureVector(instance.static.names, instance.static.values + 100))


def two_populations(n: int = 60) -> TrainingTable:
    """Return easy instances with a limit of 10 s, and others that look otherwise and take a thousand times as long."""
    table = make_table(2 * n, unit="cpu_seconds")
    long = np.arange(2 * n) >= n
    cost = np.where(long[:, None], table.cost - 1.5, table.cost - 4.5)
    instances = [moved(one) if far else one for one, far in zip(table.instances, long, strict=True)]
    return replace(table, instances=instances, cost=cost, limit_s=np.where(long, 5000.0, 10.0))


@pytest.fixture(scope="module")
def table() -> TrainingTable:
    return two_populations()


@pytest.fixture(scope="module")
def fitted(table: TrainingTable) -> MixtureOfExperts:
    return MixtureOfExperts(["constant", {}]).fit(table)


def test_the_expert_is_heard_where_formulas_look_like_those_run_for_long(
    fitted: MixtureOfExperts, table: TrainingTable
) -> None:
    gate_probability = fitted.gate_probability(table.instances)
    assert (gate_probability[:60] < 0.05).all() and (gate_probability[60:] > 0.95).all()
    found, general = fitted.predict(table.instances), make_estimator("constant").fit(table).predict(table.instances)
    np.testing.assert_allclose(found.cdf[:60], general.cdf[:60], atol=0.05)
    # The constant is half a population too hopeful there.
    assert (found.median()[60:] > general.median()[60:]).mean() > 0.8


def test_weights_are_the_gate_times_what_outlives_ten_seconds(fitted: MixtureOfExperts, table: TrainingTable) -> None:
    long = table.subset(table.limit_s > 1000)
    general = make_estimator("constant").fit(table).predict(table.instances)
    expert = make_estimator(EXPERT[0], **EXPERT[1]).fit(long).predict(table.instances)
    share = fitted.gate_probability(table.instances)[:, None] * (1 - general.cdf_at(np.ones(general.shape)))
    expected = CostDistribution.mixture([general, expert], np.stack([1 - share, share]))
    np.testing.assert_allclose(fitted.predict(table.instances).cdf, expected.cdf, atol=1e-9)
    assert 0.3 < share[60:].mean() < 0.9


def test_the_expert_sees_no_other_labels(fitted: MixtureOfExperts, table: TrainingTable) -> None:
    nonsense = replace(table, cost=np.where((table.limit_s < 1000)[:, None], 4.0, table.cost))
    expert = MixtureOfExperts(["constant", {}]).fit(nonsense).parts()["expert"]
    np.testing.assert_array_equal(
        expert.predict(table.instances).cdf, fitted.parts()["expert"].predict(table.instances).cdf
    )


def test_the_gate_sees_no_costs(fitted: MixtureOfExperts, table: TrainingTable) -> None:
    other = replace(table, cost=table.cost[::-1].copy())
    np.testing.assert_array_equal(
        MixtureOfExperts(["constant", {}]).fit(other).gate_probability(table.instances),
        fitted.gate_probability(table.instances),
    )


def test_a_solver_without_long_runs_has_no_expert(table: TrainingTable, tmp_path: Path) -> None:
    known = table.known.copy()
    known[table.limit_s > 1000, 1] = False
    part = replace(table, known=known)
    found = MixtureOfExperts(["constant", {}]).fit(part)
    general = make_estimator("constant").fit(part).predict(table.instances)
    assert found.parts()["expert"].solvers == table.solvers[:1]
    predicted = found.predict(table.instances)
    np.testing.assert_array_equal(predicted.cdf[:, 1], general.cdf[:, 1])
    assert (predicted.cdf[60:, 0] != general.cdf[60:, 0]).any()
    found.save(tmp_path)
    np.testing.assert_array_equal(MixtureOfExperts.load(tmp_path).predict(table.instances).cdf, predicted.cdf)


@pytest.mark.parametrize("long", [LEAST_INSTANCES - 1, 120 - LEAST_INSTANCES + 1, 0])
def test_too_few_of_a_kind_have_no_expert(
    table: TrainingTable, long: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    few = replace(table, limit_s=np.where(np.arange(len(table)) < long, 5000.0, 0.0))
    found = MixtureOfExperts(["constant", {}]).fit(few)
    assert f"no expert: {long} of 120 instances" in caplog.text
    assert set(found.parts()) == {"general"}
    expected = make_estimator("constant").fit(few).predict(table.instances).cdf
    np.testing.assert_array_equal(found.predict(table.instances).cdf, expected)
    found.save(tmp_path)
    np.testing.assert_array_equal(MixtureOfExperts.load(tmp_path).predict(table.instances).cdf, expected)


def test_fitted_parts_give_the_same(fitted: MixtureOfExperts, table: TrainingTable) -> None:
    made = MixtureOfExperts.of(make_estimator("constant").fit(table), table, 1000.0, 10.0)
    np.testing.assert_array_equal(made.predict(table.instances).cdf, fitted.predict(table.instances).cdf)
    assert made.parameters() == fitted.parameters()


def test_what_is_no_gate_is_refused(fitted: MixtureOfExperts, tmp_path: Path) -> None:
    parts = fitted.parts()
    fitted.save(tmp_path, with_parts=False)
    with pytest.raises(CheckpointError, match="found a gate for"):
        MixtureOfExperts.load(tmp_path, parts={**parts, "gate": parts["general"]})
    other = make_estimator(GATE[0], **GATE[1]).fit(make_table(60))
    with pytest.raises(CheckpointError, match="found an expert on"):
        MixtureOfExperts.load(tmp_path, parts={**parts, "expert": other})


@pytest.mark.parametrize("wrong", [{"limit_s": 0.0}, {"after": -1.0}])
def test_limits_are_above_zero(wrong: dict[str, float]) -> None:
    with pytest.raises(EstimatorError, match="above 0"):
        MixtureOfExperts(["constant", {}], limit_s=wrong.get("limit_s", 1.0), after=wrong.get("after", 1.0))


def test_limits_go_with_their_rows(table: TrainingTable) -> None:
    assert table.subset([0, 119]).limit_s.tolist() == [10.0, 5000.0]
    assert table.subset([0]).joined(table.subset([119])).limit_s.tolist() == [10.0, 5000.0]
    assert replace(table, limit_s=np.zeros(0)).limit_s.tolist() == [0.0] * 120
    with pytest.raises(EstimatorError, match="limits"):
        replace(table, limit_s=np.array([-1.0] * 120))
