"""The comparison of the monitor with the classical estimators, on searches made here."""

import json
from pathlib import Path
from typing import Any

import monitor_classical
import monitor_error as error
import numpy as np
import pytest
from listened_runs import run_listened
from observation import ESTIMATES, feature_names
from online_errors import LEAST_TRAINING
from online_observe import STRUCTURE
from recording import Recording

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.data.generate import from_recipe
from satcost_gnn.decide.monitored_runs import MonitoredRun
from satcost_gnn.decide.reestimate import SearchState
from satcost_gnn.formula.features import static_features
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.probe_settings import ProbeSettings


def test_estimates_stand_at_the_monitors_checkpoints(tmp_path: Path) -> None:
    formula = from_recipe("random-ksat:k=3,n=190,ratio=4.26,seed=5")
    settings = ProbeSettings(conflicts=10**6, max_events=10**9, max_observed=50, cpu_s=20.0)
    with Sandbox() as sandbox:
        run = run_listened(sandbox, formula, tmp_path / "x.npz", settings, instance="x")
    values = static_features(formula)
    structure = {name: values[name] for name in STRUCTURE}
    found = monitor_classical.observe(run, Recording.load(tmp_path / "x.npz"), structure)
    assert found["conflicts"] == run.states[-1].conflicts
    assert list(map(int, found["along"])) == [state.conflicts for state in run.states[:-1]]
    for text, estimates in found["along"].items():
        assert estimates["twice_so_far"] == pytest.approx(np.log10(2 * int(text)))
        assert estimates["wbe"] >= np.log10(int(text))
    runs = monitor_classical.as_observed_runs([json.loads(json.dumps(found))])
    assert runs.instances == ("x",) and not runs.censored[0]
    both = monitor_classical.joined(runs, runs.subset([0]))
    assert len(both) == 2 and both.spent.shape == (2, runs.spent.shape[1])


def test_the_linear_model_is_asked_only_of_searches_that_it_has_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    names = feature_names(learnt=True)
    count = 2 * LEAST_TRAINING

    def search(k: int) -> dict[str, Any]:
        return {
            "instance": f"i{k}",
            "status": "UNSAT",
            "conflicts": int(10 ** rng.uniform(4, 5)),
            "structure": {name: float(rng.normal()) for name in STRUCTURE},
            "checkpoints": [
                {
                    "end": end,
                    "estimates": dict.fromkeys(ESTIMATES, 4.0),
                    "features": rng.normal(size=len(names)).tolist(),
                }
                for end in (250, 500)
            ],
            "along": {"600": dict.fromkeys(ESTIMATES, 4.0)},
        }

    class Rows:
        def __getitem__(self, name: str) -> Any:
            return type("Row", (), {"parent": None, "isohash": name})()

    found = [search(k) for k in range(count)]
    others = monitor_classical.as_observed_runs([search(k) for k in range(count, count + 5)])
    dataset = type("Data", (), {"by_instance": Rows()})()
    first = monitor_classical.along(found, others, dataset)
    found[0]["conflicts"] *= 100
    second = monitor_classical.along(found, others, dataset)
    # Its own cost plays no part in what is said of a search, but does in what is said of others.
    assert second["i0"][600]["LMP"] == pytest.approx(first["i0"][600]["LMP"])
    assert any(second[f"i{k}"][600]["LMP"] != pytest.approx(first[f"i{k}"][600]["LMP"]) for k in range(1, count))
    assert set(first["i0"][600]) == {"WBE", "recursive", "Holt", "LMP"} | {
        f"{name}, scaled" for name in ("WBE", "recursive", "Holt")
    }


def states(*conflicts: int, seconds: float = 1e-4) -> tuple[SearchState, ...]:
    return tuple(SearchState(n, 2 * n, 50 * n, n // 100, seconds * n) for n in conflicts)


def test_estimates_along_the_search_are_taken_to_seconds_at_the_rate_so_far() -> None:
    run = MonitoredRun("x", "cadical195", "UNSAT", states(5_000, 10_000, 20_000, 40_000))
    priors = {
        unit: CostDistribution.normal(GRIDS[unit], mean, 0.3)
        for unit, mean in (("conflicts", 4.6), ("cpu_seconds", 0.6))
    }
    along = {10_000: {"WBE": 5.0, "Holt": float("nan")}, 20_000: {"WBE": 4.7, "Holt": 4.6}}
    rows = {row["fraction"]: row for row in error.estimates_of(run, priors, "cpu_seconds", {}, {"LMP": priors}, along)}
    quarter = rows[0.25]["methods"]
    assert rows[0.25]["used"] == pytest.approx(1.0) and rows[0.25]["total"] == pytest.approx(4.0)
    # 10^5 conflicts at 10^4 a second.
    assert quarter["WBE"]["median"] == pytest.approx(1.0) and quarter["WBE"]["known"]
    assert quarter["Holt"]["median"] == pytest.approx(np.log10(2.0)) and not quarter["Holt"]["known"]
    assert quarter["twice so far"]["median"] == pytest.approx(np.log10(2.0))
    assert quarter["LMP of the first window, given survival"] == quarter["monitor"]
    found = error.summary([rows[0.5]])
    assert found["WBE"]["within_2"] == 1.0 and found["WBE"]["known"] == 1.0
    assert "Holt" in found


def test_censored_runs_count_where_it_is_asked_whether_a_run_ends() -> None:
    solved = MonitoredRun("a", "cadical195", "SAT", states(5_000, 10_000, 20_000))
    stopped = MonitoredRun("b", "cadical195", "TIMEOUT", states(5_000, 10_000, 99_999))
    sure = {unit: CostDistribution.normal(GRIDS[unit], 0.3, 0.01) for unit in GRIDS}
    found = error.ending_in_time([(solved, sure, {}), (stopped, sure, {})], {})["1.0"]
    assert (found["runs"], found["ended"]) == (2, 1)
    # Sure that both will end: right of one.
    assert found["monitor"]["brier"] == pytest.approx(0.5, abs=0.04)


def test_being_listened_to_is_taken_out_of_the_seconds() -> None:
    run = MonitoredRun("x", "cadical195", "UNSAT", states(5_000, 10_000, seconds=3e-4))
    assert [state.cpu_s for state in error.unburdened(run, 1e-4).states] == pytest.approx([0.5, 1.0])
