"""What is measured and said; how long it takes is not tested."""

import json

import pytest

from satcost_gnn.cli import bench
from satcost_gnn.errors import SatcostError


def test_every_measure_has_a_reference_and_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def spent(arguments: list[str], cache: object = None) -> tuple[float, float]:
        calls.append((arguments, cache))
        return (3.0, 1.0) if "-j2" in arguments else (4.0, 2.0)

    monkeypatch.setattr(bench, "_spent", spent)
    monkeypatch.setattr(bench, "_REPEATS", 1)
    assert bench.run_bench(bench.BenchOptions(as_json=True)) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["name"]: one["reference"] for one in found["measures"]} == bench.REFERENCE
    assert found["machine"] and found["reference_machine"] == bench.REFERENCE_MACHINE
    here = {one["name"]: one["here"] for one in found["measures"]}
    assert here["-j2 against -j1, wall-clock time"] == 0.75
    assert all(value > 0 for value in here.values())
    # Two calls share what is kept, the others keep nothing.
    kept = [cache for _, cache in calls if cache is not None]
    assert len(kept) == 2 and len(set(kept)) == 1
    assert bench.run_bench(bench.BenchOptions()) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in bench.REFERENCE)


def test_a_prediction_that_fails_is_told(tmp_path: object) -> None:
    with pytest.raises(SatcostError, match="failed"):
        bench._spent([f"{tmp_path}/no-such-file.cnf"])
