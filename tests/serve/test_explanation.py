import itertools
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from satcost_gnn.errors import CheckpointError, ConfigError
from satcost_gnn.features.instance import Instance
from satcost_gnn.formula.static_feature_list import STATIC_FEATURE_NAMES
from satcost_gnn.search.online import ONLINE_FEATURE_NAMES, SPEED_FEATURE_NAMES
from satcost_gnn.search.probe_replicate import REPLICATE_FEATURE_NAMES
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.explanation import BACKGROUND_FILE, Background, Explainer, Explanation
from satcost_gnn.serve.feature_groups import GROUPS, group_of
from satcost_gnn.serve.predictor import Predictor
from satcost_gnn.serve.shapley import shapley_values

SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"
HARD = SAMPLES / "random3-240.cnf"
OTHERS = ("quasigroup-30.cnf.xz", "colouring-120.cnf", "modular-600.cnf", "tseitin-22.cnf")
SHIPPED = Checkpoint.open()


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    with Predictor.from_checkpoint() as shipped:
        yield shipped


@pytest.fixture(scope="module")
def others(predictor: Predictor) -> list[Instance]:
    found = [predictor.preprocess(SAMPLES / name, plain=False).instance for name in OTHERS]
    return [instance for instance in found if instance is not None and instance.probe and not instance.probe.solved]


def linked(directory: Path) -> Path:
    """Return a copy of the shipped checkpoint without a background; sealed again once it has what it is to have."""
    shutil.copytree(SHIPPED.directory, directory, ignore=shutil.ignore_patterns(BACKGROUND_FILE))
    Checkpoint.seal(directory)
    return directory


def explained(start: str, **options: str) -> Explanation:
    with Predictor.from_checkpoint(start=start, **options) as predictor:
        return Explainer(predictor).explain(HARD)


def test_every_feature_is_in_a_group_and_every_group_has_one() -> None:
    names = (*STATIC_FEATURE_NAMES, *ONLINE_FEATURE_NAMES, *REPLICATE_FEATURE_NAMES, *SPEED_FEATURE_NAMES)
    assert {group_of(name) for name in names} | {"graph"} == {group.name for group in GROUPS}
    assert all(group_of(group.measure) == group.name for group in GROUPS if group.measure)
    assert group_of("rates.to_root_share") == "backjumps" and group_of("gbdc_vcg_vdegree_mean_log") == "degrees"
    for name in ("no_such", "levels", "speed"):
        with pytest.raises(KeyError):
            group_of(name)


# Rows of a background with three features each, and an instance's.
ROWS = np.array([[0.0, 1.0, 2.0], [3.0, 1.0, -1.0]])
OWN = np.array([5.0, -2.0, 4.0])


def game(coalitions: NDArray[np.bool_], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    x = np.where(coalitions, OWN, ROWS[rows])
    return np.stack([x @ [1.0, 2.0, -3.0], x[:, 0] * x[:, 1] + np.exp(0.3 * x[:, 2])], axis=1)


def exact(target: int) -> NDArray[np.float64]:
    """Shapley values by their definition: the mean over all orders and rows."""
    total = np.zeros(3)
    for order in itertools.permutations(range(3)):
        for row in range(len(ROWS)):
            inside = np.zeros(3, dtype=bool)
            before = game(inside[None], np.array([row]))[0, target]
            for player in order:
                inside[player] = True
                after = game(inside[None], np.array([row]))[0, target]
                total[player] += after - before
                before = after
    return total / 12


def test_shapley_values_of_a_linear_function_are_exact() -> None:
    values, errors, whole, nothing = shapley_values(game, 3, 2, 4)
    np.testing.assert_allclose(values[:, 0], [1, 2, -3] * (OWN - ROWS.mean(axis=0)))
    np.testing.assert_allclose(whole, game(np.ones((1, 3), dtype=bool), np.zeros(1, dtype=int))[0])
    np.testing.assert_allclose(nothing[0], (ROWS @ [1.0, 2.0, -3.0]).mean())
    assert (errors >= 0).all()


@pytest.mark.parametrize("orders", [1, 3, 50])
def test_shapley_values_add_up(orders: int) -> None:
    values, _, whole, nothing = shapley_values(game, 3, 2, orders, seed=1)
    np.testing.assert_allclose(nothing + values.sum(axis=0), whole, atol=1e-12)


def test_shapley_values_approach_the_exact_ones() -> None:
    values, errors, _, _ = shapley_values(game, 3, 2, 2000, seed=2)
    assert (np.abs(values[:, 1] - exact(1)) < 4 * errors[:, 1] + 1e-9).all()
    assert (np.abs(values[:, 1] - exact(1)) < 0.2).all()


@pytest.mark.parametrize(
    "start", [pytest.param("ensemble", marks=pytest.mark.slow), "forest", "forest_static", "linear"]
)
def test_effects_add_up_to_the_prediction(start: str, predictor: Predictor) -> None:
    found = explained(start)
    assert found.prediction.estimator == start and found.prediction.status == "ok"
    assert found.background + sum(effect.decades for effect in found.effects) == pytest.approx(found.value, abs=1e-9)
    # What is taken apart is what `predict` says.
    assert found.prediction.distribution is not None
    said = found.prediction.distribution.median()[found.prediction.solvers.index(found.solver)]
    assert found.value == pytest.approx(said, abs=1e-4)
    names = {effect.group.name for effect in found.effects}
    assert ("backjumps" in names) == (start != "forest_static")
    assert ("graph" in names) == (start == "ensemble")
    assert "speed" not in names and {"size", "clauses", "degrees"} <= names
    assert max(abs(effect.decades) for effect in found.effects) > 0.01


def test_the_graph_is_encoded_once_or_counts_as_missing(predictor: Predictor) -> None:
    instance = predictor.preprocess(HARD).instance
    assert instance is not None
    network = predictor.estimator("ensemble")
    assert network.can_miss == {"graph"}
    plain = network.predict([instance]).cdf
    varied = network.predict_variants([instance, replace(instance, graph=None), instance]).cdf
    np.testing.assert_allclose(varied[[0, 2]], np.concatenate([plain, plain]), atol=1e-5)
    assert np.abs(varied[1] - varied[0]).max() > 1e-5


def test_a_stored_background_is_what_the_prediction_is_compared_with(
    tmp_path: Path, predictor: Predictor, others: list[Instance]
) -> None:
    directory = linked(tmp_path / "checkpoint")
    background = Background.sample(others)
    assert len(background.values) == len(others) >= 3
    background.save(directory / BACKGROUND_FILE)
    Checkpoint.seal(directory)
    loaded = Background.load(directory / BACKGROUND_FILE)
    assert loaded.names == background.names and loaded.what == background.what
    np.testing.assert_array_equal(loaded.values, background.values)
    found = explained("forest", where=str(directory))
    # What the plain run has survived holds for all variants of an instance.
    survivor = predictor.preprocess(HARD).instance
    assert survivor is not None and survivor.plain is not None
    alike = [replace(one, plain=survivor.plain) for one in others]
    mean = predictor.predict_variants("forest", alike).median()[:, predictor.solvers.index(found.solver)].mean()
    assert found.background == pytest.approx(mean, abs=1e-6)
    assert found.compared_with == f"{len(others)} instances of the training data"
    in_seconds = explained("forest", where=str(directory), unit="cpu_seconds")
    assert "speed" in {effect.group.name for effect in in_seconds.effects}
    total = in_seconds.background + sum(effect.decades for effect in in_seconds.effects)
    assert total == pytest.approx(in_seconds.value, abs=1e-9)
    with Predictor.from_checkpoint(unit="cpu_seconds", machine_factor=1.0) as seconds:
        stage = replace(survivor.plain.stages[-1], cpu_s=in_seconds.prediction.survived["cadical195"])
        alike = [replace(one, plain=replace(survivor.plain, stages=(stage,))) for one in others]
        mean = seconds.predict_variants("forest", alike).median()[:, seconds.solvers.index(found.solver)].mean()
    assert in_seconds.background == pytest.approx(mean, abs=0.02)


def test_damaged_background(tmp_path: Path) -> None:
    path = tmp_path / BACKGROUND_FILE
    path.write_bytes(b"no zip")
    with pytest.raises(CheckpointError, match=BACKGROUND_FILE):
        Background.load(path)


def test_words_and_bars() -> None:
    # Of an estimator that the formula is far from the median to.
    found = max(
        (explained(start) for start in ("forest", "forest_static", "linear")),
        key=lambda one: abs(one.value - one.background),
    )
    text = found.sentence()
    assert text.startswith(f"{found.solver} is predicted to need ") and "decades" in text and "because" in text
    difference = found.value - found.background
    assert (f"{abs(difference):.2f} decades {'more' if difference > 0 else 'less'}") in text
    bars = found.bars()
    assert len(bars) == len(found.effects) and "█" in bars[0]
    for effect, line in zip(found.effects, bars, strict=True):
        left, _, right = line.partition("|")
        assert not (left.endswith("█") and "█" in right)
        assert not (effect.decades < 0 and "█" in right) and not (effect.decades > 0 and "█" in left)
    sizes = [abs(effect.decades) for effect in found.effects]
    assert sizes == sorted(sizes, reverse=True)


def test_what_cannot_be_taken_apart_is_said(predictor: Predictor, tmp_path: Path) -> None:
    explainer = Explainer(predictor)
    solved = explainer.explain(SAMPLES / "pigeonhole-5.cnf")
    assert solved.prediction.status == "solved" and not solved.effects
    assert "cadical195 solved it after 133 conflicts" in solved.sentence() and "UNSAT" in solved.sentence()
    unreadable = explainer.explain(SAMPLES / "malformed.cnf")
    assert unreadable.prediction.status == "error" and "malformed.cnf:6" in unreadable.sentence()
    assert math.isnan(unreadable.value) and unreadable.to_json()["median_log10"] is None
    constant = explained("constant")
    assert not constant.effects and "constant estimate" in constant.sentence()
    with pytest.raises(ConfigError, match="nothing to draw"):
        constant.plot(tmp_path / "a.png")


def test_unknown_solver(predictor: Predictor) -> None:
    with pytest.raises(ConfigError, match="expected one of"):
        Explainer(predictor, "nosuch")
