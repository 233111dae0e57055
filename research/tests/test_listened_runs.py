from pathlib import Path

import numpy as np
import pytest
from listened_runs import run_listened
from observation import Point, observations
from recording import Recording

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.probe_settings import ProbeSettings
from satcost_gnn.search.solver_run import run_solver

SETTINGS = ProbeSettings(conflicts=10**6, max_events=10**9, max_observed=50, cpu_s=20.0)


@pytest.mark.parametrize("n", [190, 210])
def test_monitor_and_recording_are_of_one_search(n: int, tmp_path: Path) -> None:
    formula = from_recipe(f"random-ksat:k=3,n={n},ratio=4.26,seed=5")
    path = tmp_path / "x.npz"
    with Sandbox() as sandbox:
        found = run_listened(sandbox, formula, path, SETTINGS, instance="x")
        assert found.status == run_solver(sandbox, "cadical195", formula, cpu_s=20.0).status
    assert (found.instance, found.solver) == ("x", "cadical195")
    recording = Recording.load(path)
    assert recording.status == found.status
    assert recording.conflicts == found.states[-1].conflicts > 2000
    assert 0 < found.states[-1].cpu_s <= recording.search_s
    # The propagator is told of nearly every conflict, in all slices.
    assert len(recording.numbers) == pytest.approx(recording.conflicts, rel=0.01)
    assert recording.trace.decisions[-1] == pytest.approx(found.states[-1].decisions, rel=0.05)
    middle = found.states[len(found.states) // 2].conflicts
    (seen,) = observations(recording, [Point(0, middle - 500, middle)])
    assert np.isfinite(seen.estimates["wbe"]) and seen.estimates["wbe"] >= np.log10(middle)


def test_a_stopped_search_is_recorded_up_to_there(tmp_path: Path) -> None:
    formula = from_recipe("random-ksat:k=3,n=350,ratio=4.26,seed=5")
    settings = ProbeSettings(conflicts=10**6, max_events=10**9, max_observed=50, cpu_s=0.3)
    with Sandbox() as sandbox:
        found = run_listened(sandbox, formula, tmp_path / "x.npz", settings, instance="x")
    assert found.status == "TIMEOUT" and found.states
    recording = Recording.load(tmp_path / "x.npz")
    assert not recording.solved and recording.conflicts == found.states[-1].conflicts


def test_a_child_that_dies_leaves_no_recording(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        found = run_listened(sandbox, tmp_path / "none.cnf", tmp_path / "x.npz", SETTINGS, instance="x")
    assert found.status == "CRASHED" and not found.states
    assert not (tmp_path / "x.npz").exists()
