"""Fallbacks are tested by making their causes happen to a copy of the checkpoint that ships with the package."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from satcost_gnn.errors import CheckpointError, ConfigError, FormulaError
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.learn.out_of_distribution import OODVerdict
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.predictor import Predictor

SHIPPED = Checkpoint.open()


def random_3sat(n: int, ratio: float = 4.26, seed: int = 0) -> Formula:
    rng = random.Random(seed)
    return Formula.from_clauses(
        [[v * rng.choice((-1, 1)) for v in rng.sample(range(1, n + 1), 3)] for _ in range(int(ratio * n))]
    )


HARD = random_3sat(250, 4.6, seed=3)


def copy(target: Path, without: tuple[str, ...] = (), limits: dict[str, Any] | None = None) -> Path:
    """Copy the shipped checkpoint without some of its parts, or with other limits on preprocessing."""
    shutil.copytree(SHIPPED.directory, target)
    for part in without:
        shutil.rmtree(target / part)
    if limits is not None:
        path = target / "config.json"
        config = json.loads(path.read_text())
        config["limits"].update(limits)
        path.write_text(json.dumps(config))
        Checkpoint.seal(target)
    return target


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    with Predictor.from_checkpoint() as shipped:
        yield shipped


def test_files_of_the_checkpoint_are_as_they_were_made() -> None:
    assert SHIPPED.check_files() == []


def test_another_release_of_the_solver_is_noted_not_refused(tmp_path: Path) -> None:
    other = copy(tmp_path / "c")
    config = json.loads((other / "config.json").read_text())
    config["feature_versions"]["release"] = "0.0"
    (other / "config.json").write_text(json.dumps(config))
    Checkpoint.seal(other)
    with Predictor.from_checkpoint(other) as older:
        assert len(older.notes) == 1 and "another release" in older.notes[0]
        assert older.predict(HARD).source == "ensemble"


def test_formula_file_clauses_and_pysat_formula_agree(predictor: Predictor, tmp_path: Path) -> None:
    from pysat.formula import CNF

    path = tmp_path / "hard.cnf"
    path.write_text(HARD.to_dimacs())
    medians = [
        predictor.predict(source).quantile(0.5)
        for source in (HARD, path, str(path), HARD.clauses(), CNF(from_clauses=HARD.clauses()))
    ]
    assert all(median == medians[0] for median in medians)
    assert list(medians[0]) == list(SHIPPED.config.solvers)


def test_prediction_answers_in_the_unit(predictor: Predictor) -> None:
    found = predictor.predict(HARD)
    assert (found.status, found.source, found.unit) == ("ok", "ensemble", "conflicts")
    low, high = found.quantile(0.05), found.quantile(0.95)
    for solver in found.solvers:
        # The upper one may lie beyond what the labels tell about.
        assert low[solver] >= 1 and not low[solver] >= high[solver]
        # A quarter of the mass lies below the quartile.
        assert found.p_solved_by(found.quantile(0.25)[solver])[solver] == pytest.approx(0.25, abs=0.02)


def test_batches_and_single_predictions_agree(predictor: Predictor) -> None:
    formulas = [random_3sat(220, 4.6, seed=k) for k in range(5)] + [HARD]
    single = [predictor.predict(formula).quantile(0.5) for formula in formulas]
    many = {p.gbdhash: p.quantile(0.5) for p in predictor.predict_many(formulas, jobs=2)}
    together = [many[predictor.predict(formula).gbdhash] for formula in formulas]
    for one, other in zip(single, together, strict=True):
        assert list(one.values()) == pytest.approx(list(other.values()), rel=1e-3)


def test_an_answer_of_the_listening_probe_is_told_beside_the_prediction(predictor: Predictor) -> None:
    item = predictor.preprocess([[1, 2], [-1, 2], [1, -2], [-1, -2]], plain=False)
    found = predictor.predict_preprocessed([item])[0]
    assert (found.status, found.source, found.result, found.answered_by) == ("ok", "probe", "UNSAT", "probe")
    # The solver alone may need more, or less.
    assert not found.known and found.quantile(0.05)["cadical195"] < found.quantile(0.99)["cadical195"]


def test_an_answer_of_the_second_search_is_told_beside_the_prediction(predictor: Predictor) -> None:
    # Formulas that the first search leaves open and the second one, by luck, does not.
    formulas = [random_3sat(250, 4.2, seed) for seed in (4, 18, 31, 48)]
    items = [predictor.preprocess(formula, plain=False) for formula in formulas]
    searched = zip(formulas, predictor.predict_preprocessed(items), strict=True)
    formula, found = next((formula, found) for formula, found in searched if found.estimator and found.result)
    assert (found.status, found.result, found.answered_by) == ("ok", "SAT", "probe")
    assert found.model is not None and satisfies(formula, found.model)
    assert found.source == "ensemble" and {row["result"] for row in found.rows()} == {"SAT"}
    assert found.rows()[0]["probe_s"] == pytest.approx(found.timings["probe"] + found.timings["probe replicate"])


@pytest.mark.parametrize("clauses", [[], [[]], [[1]], [[1, -1]], [[1, 1]]])
def test_trivial_formulas_get_a_prediction(predictor: Predictor, clauses: list[list[int]]) -> None:
    assert predictor.predict(clauses).status == "solved"


def test_malformed_clauses_are_an_error(predictor: Predictor) -> None:
    with pytest.raises(FormulaError):
        predictor.predict([[1, 0, 2]])


def test_unreadable_file_is_a_prediction_with_status_error(predictor: Predictor, tmp_path: Path) -> None:
    found = predictor.predict(tmp_path / "missing.cnf")
    assert found.status == "error"
    with pytest.raises(CheckpointError, match=r"missing\.cnf"):
        found.quantile(0.5)


@pytest.mark.parametrize(
    ("without", "source"),
    [
        (("ensemble",), "forest"),
        (("ensemble", "forest"), "forest"),
        (("ensemble", "forest", "forest_static"), "linear"),
        (("ensemble", "forest", "forest_static", "linear"), "tree_size"),
        (("ensemble", "forest", "forest_static", "linear", "tree_size"), "constant"),
    ],
)
def test_missing_parts_of_the_checkpoint(tmp_path: Path, without: tuple[str, ...], source: str) -> None:
    with Predictor.from_checkpoint(copy(tmp_path / "c", tuple(f"conflicts/{part}" for part in without))) as partial:
        found = partial.predict(HARD)
    assert (found.status, found.source) == ("ok", source)
    for part in without:
        assert f"{part}: cannot be loaded" in found.reason


@pytest.mark.parametrize(
    ("lacking", "expected"),
    [("torch", "ensemble | \n"), ("safetensors", "forest | ensemble: safetensors.numpy is not installed\n")],
)
def test_without_a_package(tmp_path: Path, lacking: str, expected: str) -> None:
    path = tmp_path / "hard.cnf"
    path.write_text(HARD.to_dimacs())
    script = (
        f"import sys; sys.modules[{lacking!r}] = None\n"
        "from satcost_gnn.serve.predictor import Predictor\n"
        "with Predictor.from_checkpoint(device='cpu') as p:\n"
        f"    found = p.predict({str(path)!r})\n"
        "print(found.source, '|', found.reason)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == expected


def test_formula_over_the_graph_limit(tmp_path: Path) -> None:
    with Predictor.from_checkpoint(copy(tmp_path / "c", limits={"graph_size_limit": 1000})) as small:
        found = small.predict(HARD)
    assert (found.status, found.source) == ("ok", "forest")
    assert "1000" in found.reason and "literal occurrences" in found.reason


def test_probe_that_runs_out_of_memory(tmp_path: Path) -> None:
    # The solver keeps room for every variable up to the largest, the features close the gaps. A tenth of the numbers is
    # in use, so that the formula is not renumbered.
    others = np.arange(1, 900_001).reshape(-1, 3) * 9 + HARD.n_vars
    sparse = Formula.from_clauses([*HARD.clauses(), *others.tolist()])
    with Predictor.from_checkpoint(copy(tmp_path / "c", limits={"memory_mb": 700})) as tight:
        found = tight.predict(sparse)
    assert found.status == "ok"
    assert found.source == "forest"
    assert "probe ran out of memory" in found.reason and "ensemble: no graph" in found.reason
    assert "forest: no early search" in found.reason


def test_out_of_memory_costs_one_instance_not_the_batch(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    network = predictor._estimator("ensemble")
    assert not isinstance(network, str)
    whole = type(network).predict

    def limited(self: Any, instances: Any) -> Any:
        if any(instance.graph.n_variables > 230 for instance in instances):
            raise MemoryError
        return whole(self, instances)

    monkeypatch.setattr(type(network), "predict", limited)
    sources = {p.source: p.reason for p in predictor.predict_many([HARD, random_3sat(220, 4.6, seed=1)])}
    assert set(sources) == {"forest", "ensemble"}
    assert "ensemble: out of memory" in sources["forest"]


def test_the_network_alone_is_asked_in_the_place_of_the_ensemble() -> None:
    with Predictor.from_checkpoint(start="gnn") as alone:
        found = alone.predict(HARD)
        assert (found.source, alone.chain[1:]) == ("gnn", SHIPPED.config.chain[1:])
        assert not any("not calibrated" in note for note in alone.notes)
    with Predictor.from_checkpoint() as mixed:
        whole = mixed.predict(HARD)
        assert not any("not calibrated" in note for note in mixed.notes)
    assert found.distribution is not None and whole.distribution is not None
    assert found.distribution.median()[0] != whole.distribution.median()[0]


def test_far_from_the_training_data(predictor: Predictor) -> None:
    # Long clauses over few variables, all of one sign but two: nothing in the training data is like it.
    rng = random.Random(0)
    wide = [[v if rng.random() < 0.999 else -v for v in range(1, 401)] for _ in range(600)]
    hard = HARD.clauses()
    shifted = [[lit + 400 if lit > 0 else lit - 400 for lit in clause] for clause in hard]
    found = predictor.predict([*wide, *shifted])
    assert found.status == "ok"
    assert found.in_distribution is False
    if found.source != "ensemble":
        assert "far outside the training distribution" in found.reason


def test_a_network_that_is_not_for_new_formulas_is_not_asked_about_them(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = predictor._estimator("ensemble")
    monkeypatch.setattr(predictor.ood_detector, "judge", lambda found: [OODVerdict(9.0, False, True) for _ in found])
    for able, source in ((True, "ensemble"), (False, "forest")):
        monkeypatch.setattr(network, "for_new", able)
        found = predictor.predict(HARD)
        assert (found.source, found.in_distribution) == (source, False)
        assert ("ensemble: far outside the training distribution" in found.reason) == (not able)


@pytest.mark.parametrize(
    "options", [{"unit": "parsecs"}, {"solvers": ["nosuch"]}, {"start": "oracle"}], ids=["unit", "solver", "estimator"]
)
def test_unknown_options_name_what_there_is(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Predictor.from_checkpoint(**options)


def test_cpu_seconds_and_a_subset_of_the_solvers() -> None:
    chosen = SHIPPED.config.solvers[1]
    with Predictor.from_checkpoint(unit="cpu_seconds", solvers=[chosen], cutoff=5.0) as seconds:
        rows = seconds.predict(HARD).rows()
    assert [row["solver"] for row in rows] == [chosen]
    assert rows[0]["cost_unit"] == "cpu_seconds" and rows[0]["cutoff"] == 5.0
    assert 0 < rows[0]["q05"] < rows[0]["q95"] < 1e5


def test_renaming_moves_the_prediction_by_less_than_an_order_of_magnitude(predictor: Predictor) -> None:
    # The graph and the features don't see names; the probe does, since another search is watched.
    from satcost_gnn.formula.shuffle import seeded

    solver = SHIPPED.config.probe_solver
    own = predictor.predict(HARD).quantile(0.5)[solver]
    other = predictor.predict(seeded(HARD, 5)).quantile(0.5)[solver]
    assert 0.1 < own / other < 10


def test_seconds_are_converted_to_this_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "machine.json"
    place.write_text('{"factor": 3.0}')
    monkeypatch.setenv("SATCOST_MACHINE", str(place))
    solver = SHIPPED.config.solvers[0]
    with (
        Predictor.from_checkpoint(unit="cpu_seconds", start="forest") as slow,
        Predictor.from_checkpoint(unit="cpu_seconds", start="forest", machine_factor=1.0) as plain,
        Predictor.from_checkpoint(unit="conflicts", start="forest") as conflicts,
    ):
        item = slow.preprocess(HARD, plain=False)
        assert item.instance is not None and item.instance.probe is not None
        # The same probe, a third as fast: what a machine of a third of the speed would have seen.
        probe = replace(item.instance.probe, timings={k: 3.0 * v for k, v in item.instance.probe.timings.items()})
        slowly = replace(item, instance=replace(item.instance, probe=probe))
        here = slow.predict_preprocessed([slowly])[0].quantile(0.5)[solver]
        there = plain.predict_preprocessed([item])[0].quantile(0.5)[solver]
    # Exact but for the bins of the grid.
    assert here == pytest.approx(3.0 * there, rel=0.1)
    assert any("machine.json" in note for note in slow.notes)
    assert plain.notes == conflicts.notes
    assert conflicts.machine_factor == 1.0


def test_without_a_search_there_is_no_stage_of_one() -> None:
    with Predictor.from_checkpoint(search=False) as bare:
        assert bare.chain[0] == "forest_static" and bare.settings.searches_s == 0
        found = bare.predict(HARD)
    assert (found.status, found.source, found.survived) == ("ok", "forest", {})
    assert set(found.timings) == {"parse", "features", "graph", "inference"}
    assert found.distribution is not None and found.distribution.shape == (len(found.solvers),)
