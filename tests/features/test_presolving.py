"""Small files in shared children: what comes of each is what a child of its own would have found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.features.preprocessing import Preprocessed, preprocess_many
from satcost_gnn.features.presolving import presolve_many
from satcost_gnn.features.spec import FeatureSpec, PreprocessSettings
from satcost_gnn.formula.sources import FormulaFile
from satcost_gnn.runtime.sandbox import Limits, Outcome, Sandbox
from satcost_gnn.search.plain_run import PlainSettings
from satcost_gnn.search.probe_settings import ProbeSettings

SETTINGS = PreprocessSettings(
    FeatureSpec(probe=ProbeSettings(conflicts=20), dives=None, probe_replicate=False, plain=PlainSettings(stages=(50,)))
)


def as_it_is(_: object, found: Preprocessed, __: Sandbox) -> Preprocessed:
    return found


def files(folder: Path, count: int) -> list[FormulaFile]:
    """Easy ones, every fifth of which 50 conflicts do not answer, one that is none, and one that is not there."""
    made = []
    for k in range(count):
        path = folder / f"{k}.cnf"
        n = 200 if k % 5 == 2 else 20
        path.write_text(from_recipe(f"random-ksat:k=3,n={n},ratio=4.26,seed={k}").to_dimacs())
        made.append(path)
    made[3].write_text("p cnf 1 1\n1 x 0\n")
    made[4].unlink()
    return [FormulaFile(str(path), path.name) for path in made]


def told(found: Preprocessed) -> Any:
    instance = found.instance
    if instance is None:
        return found.path, found.error
    assert instance.plain is not None
    probe = None if instance.probe is None else (instance.probe.status, instance.probe.conflicts)
    counts = [(stage.status, stage.conflicts, stage.propagations) for stage in instance.plain.stages]
    graph = None if instance.graph is None else instance.graph.n_edges
    features = instance.static.values.tobytes()
    return found.path, instance.gbdhash, counts, probe, graph, features, sorted(instance.timings), found.note


def together(sources: list[FormulaFile], settings: PreprocessSettings = SETTINGS, jobs: int = 1) -> list[Any]:
    items = presolve_many(enumerate(sources), settings, jobs=jobs, then=as_it_is)
    found = [item for item in items if item is not None]
    assert sorted(key for key, _ in found) == list(range(len(sources)))
    return [told(one) for _, one in sorted(found, key=lambda item: item[0])]


def apart(sources: list[FormulaFile], settings: PreprocessSettings = SETTINGS) -> list[Any]:
    found = [item for item in preprocess_many(enumerate(sources), settings) if item is not None]
    return [told(one) for _, one in sorted(found, key=lambda item: item[0])]


def calls_of(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[list[Any], Outcome], Outcome] | None = None
) -> list[int]:
    """Note how many files each call of a sandbox is about; ``change`` is what a shared child comes to."""
    sizes: list[int] = []
    run = Sandbox.run

    def noted(
        self: Sandbox, function: str, kwargs: Mapping[str, Any], limits: Limits, on_report: Any = None
    ) -> Outcome:
        sizes.append(len(kwargs.get("files", [0])))
        if "files" not in kwargs or change is None:
            return run(self, function, kwargs, limits, on_report)
        reported: list[Any] = []
        outcome = change(reported, run(self, function, kwargs, limits, reported.append))
        for value in reported:
            on_report(value)
        return outcome

    monkeypatch.setattr(Sandbox, "run", noted)
    return sizes


@pytest.mark.parametrize("jobs", [1, 3])
def test_shared_children_find_what_children_of_their_own_find(
    jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = files(tmp_path, 25)
    expected = apart(sources)
    open_ = [row for row in expected if len(row) > 2 and row[2][-1][0] == "UNKNOWN"]
    assert len(open_) == 5
    sizes = calls_of(monkeypatch)
    assert together(sources, jobs=jobs) == expected
    # One that is not there shares no child.
    assert sizes.count(1) >= len(open_) + 1 and max(sizes) > 10


@pytest.mark.parametrize("status", ["CRASHED", "TIMEOUT", "MEMOUT"])
def test_where_a_shared_child_dies_only_that_file_is_alone(
    status: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = files(tmp_path, 12)
    expected = apart(sources)

    def dies(reported: list[Any], _: Outcome) -> Outcome:
        del reported[1:]
        return Outcome(status, None, 0.0, 0.0, 0.0)

    sizes = calls_of(monkeypatch, dies)
    assert together(sources) == expected
    # Each shared child has done one file before it died in the next, which is then done alone.
    assert all(size == 1 or size < 12 for size in sizes[1:])


def test_a_child_that_has_done_nothing_is_not_asked_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = files(tmp_path, 8)
    expected = apart(sources)

    def nothing(reported: list[Any], _: Outcome) -> Outcome:
        reported.clear()
        return Outcome("CRASHED", None, 0.0, 0.0, 0.0)

    calls_of(monkeypatch, nothing)
    assert together(sources) == expected


def test_large_files_have_children_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = files(tmp_path, 10)
    for one in sources[5:]:
        path = Path(one.path)
        path.write_text("c " + "x" * (1 << 20) + "\n" + path.read_text())
    sizes = calls_of(monkeypatch)
    together(sources)
    assert max(sizes) <= 4 and sizes.count(1) >= 5
