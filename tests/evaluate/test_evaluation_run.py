"""Whole evaluations of classical estimators on a data set in memory."""

import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from synthetic_setup import make_setup, without_features

import satcost_gnn.evaluate.protocol as protocol
import satcost_gnn.evaluate.run as evaluation
from satcost_gnn.config import EnsembleConfig
from satcost_gnn.errors import EvaluationError
from satcost_gnn.evaluate.comparison import holm
from satcost_gnn.evaluate.document import Document
from satcost_gnn.evaluate.methods import Method, method
from satcost_gnn.evaluate.protocol import EvaluationSetup, plan
from satcost_gnn.evaluate.run import EvaluationSettings, run_evaluation
from satcost_gnn.evaluate.stored_predictions import StoredPredictions
from satcost_gnn.runtime.progress import ProgressLine

SMALL_FOREST = Method("forest", "forest", "a small forest", {"n_trees": 10})
METHODS = [method("constant"), method("size"), method("linear"), SMALL_FOREST]
FAILING = Method("broken", "forest", "a forest that can't grow", {"features": "both", "max_features": 0.0})


def evaluate(
    monkeypatch: pytest.MonkeyPatch,
    setup: EvaluationSetup,
    output: Path,
    methods: list[Method],
    *,
    seeds: tuple[int, ...] = (0, 1),
    resume: bool = False,
    pictures: bool = False,
    cutoff: float | None = None,
) -> tuple[dict, dict, list[str]]:
    monkeypatch.setattr(evaluation, "open_setup", lambda *arguments: setup)
    # Names of a test's own methods have no label in the list of known ones.
    monkeypatch.setattr("satcost_gnn.evaluate.comparison.method", lambda name: Method(name, name, name))
    if not pictures:
        monkeypatch.setattr(evaluation, "report", lambda *arguments: Document("none"))
    settings = EvaluationSettings(
        setup.config,
        methods,
        setup.split,
        seeds,
        None,
        "conflicts",
        "cadical195",
        [],
        cutoff,
        50,
        1,
        resume,
        "a command",
    )
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("satcost_gnn")
    log.addHandler(handler)
    before = log.level
    log.setLevel(logging.INFO)
    try:
        html, failed = run_evaluation(settings, output, ProgressLine)
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
    assert html == output / "report.html"
    return json.loads((output / "metrics.json").read_text()), failed, said


@pytest.mark.slow
def test_a_cutoff_beyond_the_labels_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [
        [line for line in evaluate(monkeypatch, make_setup(tmp_path), tmp_path / name, METHODS[:1], cutoff=cutoff)[2]
         if "nothing is known of costs above" in line]
        for name, cutoff in (("within", 100.0), ("beyond", 1e12))
    ]  # fmt: skip
    assert not said[0] and len(said[1]) == 1 and "P(solved) within 1e+12 is unknown" in said[1][0]


def test_split_by_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = make_setup(tmp_path)
    found, failed, _ = evaluate(monkeypatch, setup, tmp_path / "out", [*METHODS, FAILING], pictures=True)
    assert set(failed) == {"broken"} and "max_features" in failed["broken"]
    rows = found["estimators"]
    assert list(rows) == ["constant", "size", "linear", "forest"]
    assert found["best_classical"] == "linear"
    assert rows["linear"]["values"]["rmse"]["value"] < 0.3 < rows["size"]["values"]["rmse"]["value"]
    assert rows["constant"]["seeds"] == [] and rows["forest"]["seeds"] == [0, 1]
    assert len(rows["forest"]["by_seed"]["crps"]) == 2 and rows["forest"]["values"]["crps"]["sd"] > 0
    for row in rows.values():
        value = row["values"]["rmse"]
        assert value["low"] <= value["value"] <= value["high"]
        assert set(row["calibration"]) == {"50", "80", "95"}
    against = found["against_best_classical"]
    assert set(against) == {"constant", "size", "forest"}
    assert against["size"]["rmse"]["low"] > 0 and against["size"]["rmse"]["p_holm"] < 0.2
    assert found["selection"]["portfolio"] == ["cadical195", "minisat22"]
    assert found["selection"]["selectors"]["linear"]["gap_uncharged"] > 0.3
    assert "minisat22" in rows["linear"]["other_solvers"]
    assert rows["linear"]["untouched"] == {}
    at = rows["linear"]["horizons"]["cadical195"]["own"]
    assert at["overall"]["runs"] == found["n"] and at["overall"]["solved"] == found["n_solved"]
    assert at["overall"]["crps"] < rows["constant"]["horizons"]["cadical195"]["own"]["overall"]["crps"]
    assert any(name.startswith("by ") for name in at) and any("least" in numbers for numbers in at.values())

    table = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pydict()
    test = sum(side == "test" for side in setup.data.sides)
    # Three estimators without a seed and a forest in two units, another forest in one; two solvers each.
    assert len(table["instance"]) == (2 * 4 + 1) * 2 * test
    low, high = np.array(table["log10_q10"]), np.array(table["log10_q90"])
    assert (low <= high).all()
    assert {None, 0, 1} == set(table["seed"]) and set(table["fold"]) == {None}
    mine = np.array(table["estimator"]) == "linear"
    mine &= (np.array(table["unit"]) == "conflicts") & (np.array(table["solver"]) == "cadical195")
    mine &= np.array(table["known"]) & ~np.array(table["censored"])
    cost = np.array(table["log10_cost"], dtype=float)
    coverage = float(((low <= cost) & (cost <= high))[mine].mean())
    assert coverage == pytest.approx(rows["linear"]["calibration"]["80"]["solved"], abs=0.02)

    html = (tmp_path / "out" / "report.html").read_text()
    assert "broken" in html and "a command" in html and html.count("<figure>") >= 7
    # Nothing is loaded from elsewhere.
    loaded = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert all(where.startswith(("data:", "#")) for where in loaded)
    markdown = (tmp_path / "out" / "report.md").read_text()
    assert "## At every horizon" in markdown and "**cadical195, runs of our own**" in markdown
    assert "## Selection" in markdown and "| broken | failed |" in markdown
    # Whoever sees more has more to prepare.
    little, more = (
        float(re.findall(rf"^\| {seen} \| {name} \|.* ([0-9.]+) \| [0-9.]+ \|$", markdown, re.MULTILINE)[0])
        for seen, name in (("size only", "size"), ("static features and early search", "forest"))
    )
    assert 0 < little < more
    for name in re.findall(r"\]\((figures/[^)]*)\)", markdown):
        assert (tmp_path / "out" / name).stat().st_size > 500


def test_split_by_family_pools_folds_that_never_saw_the_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = make_setup(tmp_path, 200, "family")
    found, failed, _ = evaluate(monkeypatch, setup, tmp_path / "out", METHODS[:3], seeds=(0,), pictures=True)
    assert not failed and found["folds"] == [0, 1]
    assert found["n"] == len(setup.data.instances)
    family = dict(
        zip((one.gbdhash for one in setup.data.instances), setup.data.tables["conflicts"].groups, strict=True)
    )
    for fold in (0, 1):
        stored = StoredPredictions.read(tmp_path / "out" / "predictions" / f"size.fold{fold}.npz")
        assert stored is not None
        data = setup.at(fold)
        learnt = {family[data.instances[k].gbdhash] for k in data.side("train", "validation", "calibration")}
        assert not learnt & {family[name] for name in stored.instances["test"]}
    table = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pydict()
    assert set(table["fold"]) == {0, 1}
    # Apart from all others, those that are on the test side of the other split too.
    sides = setup.side_names(None)
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    mine = [
        row for row in rows if (row["estimator"], row["solver"], row["unit"]) == ("size", "cadical195", "conflicts")
    ]
    apart = [row for row in mine if sides[row["instance"]] == "test"]
    inside = [row["log10_q10"] <= row["log10_cost"] <= row["log10_q90"] for row in apart if not row["censored"]]
    untouched = found["estimators"]["size"]["untouched"]
    assert (untouched["n"], untouched["n_solved"]) == (len(apart), len(inside)) and len(apart) < len(mine)
    assert untouched["coverage_80"] == pytest.approx(np.mean(inside))
    assert "nothing was chosen by" in (tmp_path / "out" / "report.md").read_text()


def test_resuming_fits_only_what_is_missing_or_made_from_other_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup, output = make_setup(tmp_path, 200), tmp_path / "out"
    first, _, _ = evaluate(monkeypatch, setup, output, METHODS[:2])
    with pytest.raises(EvaluationError, match="--resume"):
        evaluate(monkeypatch, setup, output, METHODS[:2])
    times = {path.name: path.stat().st_mtime_ns for path in (output / "predictions").iterdir()}
    second, _, _ = evaluate(monkeypatch, setup, output, METHODS[:3], resume=True)
    kept = {path.name: path.stat().st_mtime_ns for path in (output / "predictions").iterdir()}
    assert {name: kept[name] for name in times} == times and "linear.npz" in kept
    assert second["estimators"]["size"]["values"] == first["estimators"]["size"]["values"]
    # Another label of one instance: everything is fitted again.
    table = setup.data.tables["conflicts"]
    tables = {**setup.data.tables, "conflicts": replace(table, cost=table.cost + 0.1)}
    changed = replace(setup, data=replace(setup.data, tables=tables))
    evaluate(monkeypatch, changed, output, METHODS[:2], resume=True)
    assert all((output / "predictions" / name).stat().st_mtime_ns != times[name] for name in times)


def test_a_damaged_file_of_predictions_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup, output = make_setup(tmp_path, 200), tmp_path / "out"
    evaluate(monkeypatch, setup, output, METHODS[:2])
    path = output / "predictions" / "size.npz"
    path.write_bytes(path.read_bytes()[:300])
    _, failed, _ = evaluate(monkeypatch, setup, output, METHODS[:2], resume=True)
    assert not failed and StoredPredictions.read(path) is not None


def test_the_constant_stands_in_for_instances_without_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = make_setup(tmp_path, 200)
    lost = [setup.data.instances[k].gbdhash for k in [*setup.test[:3], *setup.data.side("train")[:5]]]
    found, failed, _ = evaluate(monkeypatch, without_features(setup, lost), tmp_path / "out", METHODS[:3])
    assert not failed
    assert found["estimators"]["linear"]["lacking"] == 3 and found["estimators"]["size"]["lacking"] == 0


def test_no_estimator_at_all_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EvaluationError, match="max_features"):
        evaluate(monkeypatch, make_setup(tmp_path, 100), tmp_path / "out", [FAILING])


def test_networks_of_two_seeds_have_no_member_in_common(tmp_path: Path) -> None:
    setup = make_setup(tmp_path, 100)
    setup = replace(setup, config=setup.config.model_copy(update={"members": 3}))
    fits, failed = plan(setup, [method("gnn"), method("gnn:graph")], (0, 1), [])
    assert not failed
    assert [fit.settings["seed"] for fit in fits] == [0, 3, 0, 3]
    assert {tuple(fit.settings["model"]["modalities"]) for fit in fits} == {("graph", "static", "online"), ("graph",)}
    assert len({fit.key for fit in fits}) == 4
    assert {fit.file for fit in fits} >= {"gnn.seed0.npz", "gnn~graph.seed1.npz"}


def test_networks_can_have_fewer_seeds(tmp_path: Path) -> None:
    setup = make_setup(tmp_path, 100)
    fits, _ = plan(setup, [method("forest"), method("gnn")], (0, 1), [], (1,))
    assert [(fit.method.name, fit.seed) for fit in fits] == [("forest", 0), ("forest", 1), ("gnn", 1)]


def test_holm_corrects_in_order() -> None:
    assert holm([0.01, 0.04, 0.03, float("nan")])[:3] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(holm([float("nan")])[0])


def test_a_network_is_trained_for_the_units_that_it_is_measured_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = make_setup(tmp_path, 60)
    data = setup.config.data.model_copy(update={"units": ("conflicts",)})
    setup = replace(setup, config=setup.config.model_copy(update={"data": data}))
    fits, failed = plan(setup, [method("gnn")], [0], [])
    trained = []
    monkeypatch.setattr(protocol, "fit_network", lambda data, config, *_: trained.append(config.data.units))
    monkeypatch.setattr(protocol, "ensemble", lambda *_: {})
    protocol._networks(setup, setup.data, fits[0], tmp_path)
    assert not failed and trained == [("conflicts", "cpu_seconds")]


def test_alone_and_in_the_ensemble_it_is_one_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = make_setup(tmp_path, 60)
    mixed = setup.config.model_copy(update={"ensemble": EnsembleConfig(member="forest")})
    setup = replace(setup, config=mixed)
    fits, _ = plan(setup, [method("gnn"), method("ensemble"), method("gnn:graph")], [0, 1], [])
    runs: list[Path] = []
    members: list[str] = []
    monkeypatch.setattr(protocol, "fit_network", lambda data, config, *_: runs.append(config.directory))
    monkeypatch.setattr(protocol, "ensemble", lambda network, data, config, *_: members.append(config.ensemble.member))
    for fit in fits:
        protocol._networks(setup, setup.data, fit, tmp_path)
    assert runs[:2] == runs[2:4] and len(set(runs)) == 4 and len({fit.key for fit in fits}) == 6
    assert members == ["none", "none", "forest", "forest", "none", "none"]
