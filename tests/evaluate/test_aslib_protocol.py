import json
from dataclasses import replace

import numpy as np
import pytest

from satcost_gnn.cli.evaluate_aslib import run_evaluate_aslib
from satcost_gnn.cli.messages import start_messages
from satcost_gnn.core.distribution import CostDistribution, grid_for
from satcost_gnn.data.aslib_export import write_scenario
from satcost_gnn.data.aslib_scenario import AslibScenario, FeatureStep
from satcost_gnn.data.runtime_table import read_runtime_table
from satcost_gnn.decide.pickers import PICKERS
from satcost_gnn.errors import ConfigError, DatasetError
from satcost_gnn.evaluate import aslib_protocol as protocol
from satcost_gnn.evaluate.aslib_report import aslib_report
from satcost_gnn.evaluate.aslib_selection import FoldSelection
from satcost_gnn.evaluate.metrics import expected_coded


@pytest.fixture(autouse=True)
def messages_on_standard_error():
    start_messages()


QUICK = tuple(
    protocol.TabularMethod(c.name, c.estimator, c.label, {**c.settings, "n_trees": 10})
    if c.estimator == "forest"
    else c
    for c in protocol.METHODS
    if c.name in ("constant", "random_forest_untuned", "forest_ranks", "gaussian_process")
)


def scenario(n=80, seed=0, folds=True):
    """Two solvers, each good where the other is not; what tells them apart is a cheap feature, its copy is dear."""
    rng = np.random.default_rng(seed)
    kind = rng.normal(size=n)
    log_cost = np.stack([1.5 + 1.5 * kind, 1.5 - 1.5 * kind, 2.0 + 0 * kind], axis=1) + 0.1 * rng.normal(size=(n, 3))
    seconds = 10.0**log_cost
    solved = seconds <= 1000
    features = np.stack([np.exp(3 * kind), kind + 0.01 * rng.normal(size=n), seconds[:, 0]], axis=1)
    features[::7, 1] = np.nan
    return AslibScenario(
        name="tiny",
        instances=tuple(f"i{k}" for k in range(n)),
        algorithms=("down", "up", "flat"),
        cutoff_s=1000.0,
        runtimes=np.where(solved, seconds, 1000.0)[:, :, None],
        statuses=np.where(solved, "ok", "timeout")[:, :, None],
        feature_names=("cheap", "dear", "dear-featuretime"),
        features=features,
        steps=(FeatureStep("base", ("cheap",)), FeatureStep("more", ("dear", "dear-featuretime"), ("base",))),
        feature_costs=np.stack([np.full(n, 0.5), np.full(n, 400.0)], axis=1),
        default_steps=("base", "more"),
        folds=(np.arange(n) % 4 + 1)[:, None] if folds else None,
    )


def test_times_of_features_are_no_features():
    problem = protocol.pose(scenario())
    assert problem.table.instances[0].static.names == ("cheap", "dear")
    assert problem.with_steps(("base",)).instances[0].static.names == ("cheap",)


def test_the_cutoff_lies_on_an_edge_and_solvers_are_in_order_of_par2():
    problem = protocol.pose(scenario(), solvers=2)
    assert np.isclose(grid_for("cpu_seconds").edges, problem.cutoff).any()
    stopped = problem.table.censored
    np.testing.assert_allclose(problem.table.cost[stopped], problem.cutoff)
    assert (problem.table.cost[~stopped] <= problem.cutoff).all()
    penalised = scenario().par(2.0).mean(axis=0)
    assert problem.columns.tolist() == np.argsort(penalised)[:2].tolist()


def test_without_folds_or_features_there_is_a_clear_error():
    with pytest.raises(DatasetError, match=r"cv\.arff"):
        protocol.pose(scenario(folds=False))


def test_weights_recover_a_mixture():
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 200))
    found = protocol.least_squares_weights([a, b, c], 0.3 * a + 0.7 * b)
    np.testing.assert_allclose(found, [0.3, 0.7, 0.0], atol=1e-3)
    assert (protocol.least_squares_weights([a, b], -a) >= 0).all()


def test_scores_are_the_levels_whose_intervals_just_hold_the_cost():
    grid = grid_for("cpu_seconds")
    found = CostDistribution.normal(grid, np.linspace(0, 4, 9), 0.7)
    cutoff = float(grid.edges[27])
    cost = np.minimum(np.linspace(3.5, 1.0, 9), cutoff)
    censored = np.arange(9) == 0
    cost[0] = cutoff
    scores = protocol.interval_scores(found, cost, censored, cutoff)
    coded = np.where(censored, cutoff + np.log10(2), cost)
    for level in (0.2, 0.5, 0.8, 0.95):
        low, high = found.quantile((1 - level) / 2), found.quantile((1 + level) / 2)
        low, high = (np.where(end >= cutoff, cutoff + np.log10(2), end) for end in (low, high))
        inside = (low <= coded + 1e-9) & (coded <= high + 1e-9)
        np.testing.assert_array_equal(inside, scores <= level)
        np.testing.assert_allclose(protocol.coded_widths(found, level, cutoff), high - low)


def test_conformal_level_is_the_right_order_statistic():
    scores = np.arange(1, 10) / 10
    assert protocol.conformal_level(scores, 0.8) == pytest.approx(0.8)
    assert protocol.conformal_level(scores, 0.95) == 1.0
    rng = np.random.default_rng(0)
    covered = [(rng.random(500) <= protocol.conformal_level(rng.random(19), 0.8)).mean() for _ in range(400)]
    assert 0.78 < np.mean(covered) < 0.84


@pytest.fixture(scope="module")
def result():
    return protocol.evaluate_scenario(scenario(), methods=QUICK)


def test_estimators_beat_the_constant_and_selection_pays(result):
    rows = result["methods"]
    assert rows["mixture"]["rmse_par2"] < 0.5 * rows["constant"]["rmse_par2"]
    assert result["versus_reference"]["constant"]["difference"] > 0
    assert result["errors"] == {}
    assert sum(result["mixture"]["weights"].values()) == pytest.approx(1.0)
    selection = result["selection"]
    assert selection["par2"]["closed_gap"] > 0.5
    # Here, the training folds know which solver is the single best.
    assert selection["par2_single"]["closed_gap"] == pytest.approx(0.0)
    assert set(selection["closed_gap_free_by_picker"]) == {"expected_par", *PICKERS, "committee"}
    assert min(selection["closed_gap_free_by_picker"].values()) > 0.5
    # The dear feature says no more than the cheap one.
    assert all(policy["steps"] in (["base"], []) for policy in selection["policies"])
    assert selection["par2_plain"]["selector_s"] > selection["par2"]["selector_s"]


def test_rmse_is_the_mean_over_solvers_in_the_named_coding():
    problem = protocol.pose(scenario())
    found = CostDistribution.normal(problem.table.grid, problem.table.cost + 0.1, 0.2)
    point = expected_coded(found, "par2", problem.cutoff)
    coded = np.where(problem.table.censored, problem.cutoff + np.log10(2), problem.table.cost)
    expected = np.sqrt(((point - coded) ** 2).mean(axis=0)).mean()
    measured = protocol._measures(found, problem, np.full(80, 0.8))
    assert measured["rmse_par2"] == pytest.approx(expected)


def test_a_failing_contender_does_not_lose_the_others():
    broken = protocol.TabularMethod("broken", "size", "needs what is not there")
    absent = protocol.TabularMethod("absent", "no_such_estimator", "not there")
    found = protocol.evaluate_scenario(scenario(40), methods=[QUICK[0], broken, absent])
    assert list(found["methods"]) == ["constant"]
    assert set(found["errors"]) == {"broken", "absent"}


def test_what_is_learnt_for_a_fold_does_not_see_it(monkeypatch):
    """Costs of a fold changed: nothing predicted for that fold may change."""
    original = scenario(40)
    runtimes = original.runtimes.copy()
    held = original.folds[:, 0] == 1
    runtimes[held] = np.clip(runtimes[held][:, ::-1] * 3, 0.1, 1000)
    changed = replace(original, runtimes=runtimes)
    seen = []

    class Spy(FoldSelection):
        def select(self, rest, held, expected):
            seen.append(expected)
            super().select(rest, held, expected)
            seen.append((self._policies[-1], self._picks[held].tolist()))

    monkeypatch.setattr(protocol, "FoldSelection", Spy)
    for one in (original, changed):
        protocol.evaluate_scenario(one, methods=QUICK[2:])
    half = len(seen) // 2
    # Columns may be in another order of PAR2; this change keeps it.
    assert protocol.pose(original).columns.tolist() == protocol.pose(changed).columns.tolist()
    np.testing.assert_array_equal(seen[0][0], seen[half][0])
    np.testing.assert_array_equal(seen[0][1], seen[half][1])
    assert seen[1] == seen[half + 1]
    assert not np.array_equal(seen[2][0], seen[half + 2][0])


def test_report(result):
    text = aslib_report([result], {"other": "found no cv.arff"}, "satcost x").to_markdown()
    assert "found no cv.arff" in text
    assert f"{result['methods']['mixture']['rmse_par2']:.3f}" in text


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(protocol, "METHODS", QUICK)
    write_scenario(scenario(40), tmp_path / "tiny")
    write_scenario(scenario(40, folds=False), tmp_path / "unfolded")
    rows = [f"h{k},x{k}.cnf,{10.0 ** (k % 4):g},{10000.0 if k % 3 else 7.5:g}" for k in range(40)]
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "table.csv").write_text("hash,benchmark,one,two\n" + "\n".join(rows) + "\n")
    features = [f"h{k},{k % 4},{k % 3},{k}" for k in range(40)]
    (tmp_path / "t" / "table_features.csv").write_text("hash,a,b,base_features_runtime\n" + "\n".join(features) + "\n")
    options = ([tmp_path / "tiny", tmp_path / "unfolded"], tmp_path / "out", tmp_path / "t", 0, 1)
    assert run_evaluate_aslib(*options) == 1
    captured = capsys.readouterr()
    assert "no cv.arff" in captured.out
    stored = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert [one["scenario"] for one in stored["scenarios"]] == ["tiny", "table"]
    assert stored["scenarios"][1]["features"] == 2
    assert stored["scenarios"][1]["cutoff_s"] == 5000
    assert (tmp_path / "out" / "report.md").read_text() in captured.out
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!DOCTYPE html>")
    # What is there is not done again.
    assert run_evaluate_aslib(*options) == 1
    assert "tiny: taken from" in capsys.readouterr().err
    assert run_evaluate_aslib(*options, ["constant"]) == 1
    captured = capsys.readouterr()
    assert "taken from" not in captured.err
    assert "Gaussian process |" not in captured.out
    # What an older version stored means something else.
    monkeypatch.setattr(protocol, "RESULT_VERSION", protocol.RESULT_VERSION + 1)
    assert run_evaluate_aslib(*options, ["constant"]) == 1
    assert "taken from" not in capsys.readouterr().err
    with pytest.raises(ConfigError, match="magic"):
        run_evaluate_aslib(*options, ["magic"])


def named(name, **values):
    return replace(scenario(), name=name, **values)


def test_a_scenario_in_which_nothing_is_solved_is_named_and_the_others_go_on(tmp_path, capsys):
    write_scenario(named("nothing", statuses=np.full((80, 3, 1), "timeout")), tmp_path / "1-nothing")
    # The measure says that it is ok, but not in time.
    write_scenario(
        named("late", statuses=np.full((80, 3, 1), "ok"), runtimes=np.full((80, 3, 1), 2000.0)), tmp_path / "2-late"
    )
    write_scenario(named("upper", statuses=np.char.upper(scenario().statuses)), tmp_path / "3-upper")
    options = (sorted(tmp_path.iterdir()), tmp_path / "out", None, 0, 1, ["constant"])
    assert run_evaluate_aslib(*options) == 1
    captured = capsys.readouterr()
    for name in ("1-nothing: nothing", "2-late: late"):
        assert f"not evaluated: {name}: found no run that is ok within the cutoff of 1000 s" in captured.err
    stored = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert [one["scenario"] for one in stored["scenarios"]] == ["upper"]
    assert sorted(stored["failed"]) == ["1-nothing", "2-late"]
    # The last line is one of the report: no empty one comes after it.
    assert captured.out == (tmp_path / "out" / "report.md").read_text() and captured.out.splitlines()[-1].strip()
    # Capitals change nothing.
    measured = protocol.evaluate_scenario(scenario(), 0, [c for c in protocol.METHODS if c.name == "constant"])
    assert stored["scenarios"][0]["methods"] == measured["methods"]


def test_whatever_goes_wrong_in_one_scenario_costs_no_other_and_a_stop_keeps_what_is_finished(
    tmp_path, capsys, monkeypatch
):
    for name in ("a", "b", "c", "d"):
        write_scenario(named(name), tmp_path / "in" / name)
    evaluate = protocol.evaluate_scenario

    def fragile(one, *arguments):
        if one.name == "a":
            raise ZeroDivisionError("float division by zero")
        if one.name == "c":
            raise KeyboardInterrupt
        return evaluate(one, *arguments)

    options = (sorted((tmp_path / "in").iterdir()), tmp_path / "out", None, 0, 1, ["constant"])
    with monkeypatch.context() as patch:
        patch.setattr(protocol, "evaluate_scenario", fragile)
        assert run_evaluate_aslib(*options) == 130
    captured = capsys.readouterr()
    assert "a: ZeroDivisionError: float division by zero" in captured.err
    assert "interrupted with 1 of 4 scenarios; the same command goes on" in captured.err
    assert [one["scenario"] for one in json.loads((tmp_path / "out" / "metrics.json").read_text())["scenarios"]] == [
        "b"
    ]
    assert run_evaluate_aslib(*options) == 0
    assert "b: taken from" in capsys.readouterr().err


def test_negative_times_of_a_table_are_missing_and_said(tmp_path, capsys):
    rows = [f"h{k},{k}.cnf,{-1 if k == 3 else 10 + k},{10000 if k % 2 else 7}" for k in range(40)]
    (tmp_path / "table.csv").write_text("\ufeffhash,benchmark,one,two\r\n" + "\r\n".join(rows) + "\r\n")
    (tmp_path / "table_features.csv").write_text("hash,a\n" + "\n".join(f"h{k},{k % 4}" for k in range(40)) + "\n")
    read = read_runtime_table(tmp_path / "table.csv", tmp_path / "table_features.csv")
    assert read.cutoff_s == 5000 and (read.statuses == "").sum() == 1 and np.nanmin(read.runtimes) == 7
    assert run_evaluate_aslib([], tmp_path / "out", tmp_path, 0, 1, ["constant"]) == 0
    assert "1 negative times are taken as missing" in capsys.readouterr().err


def test_scenarios_whose_names_differ_after_a_dot_are_two_and_those_of_one_name_are_said(tmp_path, capsys):
    for place in ("a/s.v1", "a/s.v2", "b/s.v1"):
        write_scenario(named(place.replace("/", "-")), tmp_path / place)
    paths = [tmp_path / place for place in ("a/s.v1", "a/s.v2", "b/s.v1")]
    assert run_evaluate_aslib(paths, tmp_path / "out", None, 0, 1, ["constant"]) == 1
    assert f"{paths[2]}: has the name of {paths[0]}" in capsys.readouterr().err
    stored = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert [one["scenario"] for one in stored["scenarios"]] == ["a-s.v1", "a-s.v2"]
