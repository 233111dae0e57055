from pathlib import Path

import pytest

from satcost_gnn.errors import ConfigError, SolverError
from satcost_gnn.runtime.output_files import write_json
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.probe_settings import ProbeResult
from satcost_gnn.serve import machine_speed
from satcost_gnn.serve.machine_speed import (
    WORKLOADS,
    Workload,
    compare,
    machine_file,
    on_training_machine,
    read_factor,
    reference,
    time_workloads,
)


def test_every_run_has_a_time_on_the_training_machine() -> None:
    known = reference()
    assert set(known["seconds"]) == {load.name for load in WORKLOADS}
    assert all(0 < value < 10 for value in known["seconds"].values())
    assert known["machine"]


def test_the_factor_is_the_geometric_mean_of_the_ratios() -> None:
    seconds = dict(reference()["seconds"])
    names = list(seconds)
    assert compare(seconds, "same").factor == pytest.approx(1.0)
    assert compare(seconds, "same").sd == pytest.approx(0.0, abs=1e-9)
    slower = {name: 2 * value for name, value in seconds.items()}
    assert compare(slower, "slow").factor == pytest.approx(2.0)
    mixed = compare({names[0]: 4 * seconds[names[0]], names[1]: seconds[names[1]]}, "mixed")
    assert mixed.factor == pytest.approx(2.0)
    assert mixed.sd > 0.1


def test_nothing_in_common_is_an_error() -> None:
    with pytest.raises(ConfigError, match="in common"):
        compare({"other": 1.0}, "here")


def test_runs_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Long enough for a clock that ticks every few milliseconds.
    small = "random-ksat:k=3,n=250,ratio=4.26,seed=1"
    monkeypatch.setattr(
        machine_speed, "WORKLOADS", (Workload("minisat22", small, 5000), Workload("cadical195", small, 3000))
    )
    steps: list[None] = []
    with Sandbox() as sandbox:
        seconds = time_workloads(sandbox, 2, lambda: steps.append(None))
    assert list(seconds) == [f"minisat22 {small} 5000", f"cadical195 {small} 3000"]
    assert all(value > 0 for value in seconds.values())
    assert len(steps) == 4


def test_a_run_that_ends_too_soon_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    easy = Workload("minisat22", "random-ksat:k=3,n=20,ratio=4.26,seed=1", 10**6)
    monkeypatch.setattr(machine_speed, "WORKLOADS", (easy,))
    with Sandbox() as sandbox, pytest.raises(SolverError, match="expected 1000000"):
        time_workloads(sandbox, 1)


def test_what_is_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SATCOST_MACHINE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    place = tmp_path / "satcost" / "machine.json"
    assert machine_file() == place
    assert read_factor() is None
    speed = compare({name: 3 * value for name, value in reference()["seconds"].items()}, "slow")
    write_json(place, speed.to_json())
    assert read_factor() == (pytest.approx(3.0, rel=1e-3), place)


def test_the_variable_goes_before_the_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"factor": 1.5}')
    monkeypatch.setenv("SATCOST_MACHINE", str(other))
    assert read_factor() == (1.5, other)
    monkeypatch.setenv("SATCOST_MACHINE", str(tmp_path / "absent.json"))
    with pytest.raises(ConfigError, match=r"absent\.json: found no such file, which SATCOST_MACHINE names"):
        read_factor()
    monkeypatch.setenv("SATCOST_MACHINE", "none")
    assert machine_file() is None
    assert read_factor() is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"factor": "fast"}', '{"factor": 0}', '{"factor": -1}'])
def test_a_damaged_file_is_an_error_that_says_what_to_do(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "machine.json"
    place.write_text(text)
    monkeypatch.setenv("SATCOST_MACHINE", str(place))
    with pytest.raises(ConfigError, match="calibrate-machine"):
        read_factor()


def test_a_probe_is_seen_with_the_training_machines_times() -> None:
    probe = ProbeResult("UNKNOWN", None, 2000, 3000, 10**5, 20, cpu_s=1.0, timings={"load": 0.2, "search": 0.8})
    seen = on_training_machine(probe, 2.0)
    assert seen.timings == {"load": 0.1, "search": 0.4}
    assert seen.conflicts == probe.conflicts
    assert on_training_machine(probe, 1.0) is probe


def test_the_kept_file_says_how_it_came_about() -> None:
    found = compare(dict(reference()["seconds"]), "here").to_json()
    assert found["machine"] == "here" and found["reference"] and len(found["seconds"]) == len(WORKLOADS)
