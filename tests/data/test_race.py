import contextlib
import math
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from satcost_gnn.cli.collect import CollectOptions, race_rules, run_collect
from satcost_gnn.data.collect import collect, plan
from satcost_gnn.data.execution import CollectLimits, LocalExecutor, Request, Unmade
from satcost_gnn.data.race import RaceRules, next_run
from satcost_gnn.data.schema import Run, RunStatus, read_runs
from satcost_gnn.errors import DatasetError

LIMITS = (10.0, 30.0, 100.0)


def run(
    solver: str, limit: float, cpu_s: float = math.inf, instance: str = "i", status: RunStatus | None = None
) -> Run:
    """Return the run of a solver that takes ``cpu_s``."""
    ended = status or (RunStatus.UNSAT if cpu_s <= limit else RunStatus.TIMEOUT)
    used = min(cpu_s, limit)
    return Run(instance, solver, 0, ended, None, None, None, None, used, used, 20.0, limit, 1e6, 4096)


@dataclass
class FakeExecutor:
    """Takes the seconds of solvers on instances from a table; stops after so many runs."""

    seconds: Mapping[tuple[str, str], float]
    stop_after: int = 10**9
    made: list[tuple[str, str, float]] = field(default_factory=list)

    def execute(self, requests: Iterator[Request | None], limits: CollectLimits) -> Generator[Run | Unmade, None, None]:
        for request in requests:
            assert request is not None, "nothing is under way that could be waited for"
            if len(self.made) == self.stop_after:
                raise KeyboardInterrupt
            cpu_s = request.limits(limits).cpu_s
            self.made.append((request.instance, request.solver, cpu_s))
            yield run(request.solver, cpu_s, self.seconds[request.instance, request.solver], request.instance)


def files(directory: Path, names: str) -> list[tuple[str, Path]]:
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / f"{name}.cnf").write_text("p cnf 1 1\n1 0\n")
    return [(name, directory / f"{name}.cnf") for name in names]


SECONDS = {
    **{("p", solver): cost for solver, cost in zip("abc", (20.0, 50.0, 300.0), strict=True)},
    **{("q", solver): cost for solver, cost in zip("abc", (0.01, 0.7, 9.0), strict=True)},
    **{("r", solver): cost for solver, cost in zip("abc", (1e4, 1e4, 1e4), strict=True)},
    **{("s", solver): cost for solver, cost in zip("abc", (1e4, 4.0, 2.0), strict=True)},
}


def race(
    tmp_path: Path,
    executor: FakeExecutor,
    solvers: str = "abc",
    limits: tuple[float, ...] = LIMITS,
    scouts: int | None = None,
) -> list[Run]:
    return collect(
        list(plan(files(tmp_path / "cnf", "pqrs"), list(solvers))), tmp_path / "set", race=RaceRules(limits, scouts),
        executor=executor,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _any_solver_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("satcost_gnn.data.collect.solver_spec", lambda name: name)


def test_the_slow_are_stopped_at_four_times_the_best_time_and_who_has_answered_is_done(tmp_path: Path) -> None:
    executor = FakeExecutor(SECONDS)
    runs = race(tmp_path, executor)
    assert executor.made == [
        # Nobody answers within 10 s; a takes 20 s, so b and c get 80 s at once.
        ("p", "a", 10.0), ("p", "b", 10.0), ("p", "c", 10.0), ("p", "a", 30.0), ("p", "b", 80.0), ("p", "c", 80.0),
        # Never less than a second.
        ("q", "a", 10.0), ("q", "b", 1.0), ("q", "c", 1.0),
        *(("r", solver, limit) for limit in LIMITS for solver in "abc"),
        # c improves on the best time of b; a has survived more than four times of it.
        ("s", "a", 10.0), ("s", "b", 10.0), ("s", "c", 16.0),
    ]  # fmt: skip
    censored = {(r.instance, r.solver, r.cpu_limit_s) for r in runs if r.status is RunStatus.TIMEOUT}
    assert ("p", "c", 80.0) in censored and ("p", "b", 80.0) not in censored


def test_nothing_is_made_twice_and_any_stop_leads_to_the_same_runs(tmp_path: Path) -> None:
    whole = FakeExecutor(SECONDS)
    undisturbed = race(tmp_path / "whole", whole)
    made: list[tuple[str, str, float]] = []
    for _ in range(len(whole.made) + 1):
        executor = FakeExecutor(SECONDS, stop_after=1)
        with contextlib.suppress(KeyboardInterrupt):
            race(tmp_path / "stopped", executor)
        made += executor.made
    assert made == whole.made
    assert read_runs(tmp_path / "stopped" / "set" / "runs.parquet") == undisturbed


def test_runs_under_any_limit_count(tmp_path: Path) -> None:
    race(tmp_path, FakeExecutor(SECONDS), limits=(25.0,))
    later = FakeExecutor(SECONDS)
    race(tmp_path, later)
    # 25 s are survived: no run under 10 s; what has answered within 25 s stays answered.
    assert later.made == [
        ("p", "b", 80.0), ("p", "c", 80.0),
        *(("r", solver, limit) for limit in (30.0, 100.0) for solver in "abc"),
    ]  # fmt: skip
    again = FakeExecutor(SECONDS)
    race(tmp_path, again)
    assert again.made == []


@pytest.mark.parametrize("status", [RunStatus.MEMOUT, RunStatus.CRASHED, RunStatus.UNSUPPORTED])
def test_whom_more_time_would_not_help_is_out(status: RunStatus) -> None:
    assert next_run(["a"], RaceRules(LIMITS), [run("a", 10.0, status=status)]) is None


def test_a_run_that_the_wall_clock_ended_has_survived_what_it_used() -> None:
    early = run("a", 30.0, 12.0, status=RunStatus.TIMEOUT)
    # Not the same run again: it has its key. But under other limits above what it used.
    assert next_run(["a"], RaceRules((10.0, 30.0)), [early]) is None
    assert next_run(["a"], RaceRules((10.0, 20.0)), [early]) == ("a", 20.0)
    assert next_run(["a", "b"], RaceRules((100.0,)), [early, run("b", 10.0, 4.0)]) == ("a", 16.0)


def test_the_best_time_of_solvers_that_take_no_part_counts() -> None:
    assert next_run(["a"], RaceRules(LIMITS), [run("other", 300.0, 15.0)]) == ("a", 60.0)


def write_formulas(directory: Path, count: int) -> list[tuple[str, Path]]:
    directory.mkdir(exist_ok=True)
    pigeons = [[p * 4 + h + 1 for h in range(4)] for p in range(5)]
    clauses = [*pigeons, *([-(p * 4 + h + 1), -(q * 4 + h + 1)] for h in range(4) for q in range(5) for p in range(q))]
    for k in range(count):
        text = "".join(" ".join(map(str, clause)) + " 0\n" for clause in clauses)
        (directory / f"i{k}.cnf").write_text(f"p cnf {20 + k} {len(clauses)}\n{text}")
    return [(f"i{k}", directory / f"i{k}.cnf") for k in range(count)]


@pytest.mark.parametrize("jobs", [1, 3])
def test_on_this_machine_each_instance_is_raced_once(tmp_path: Path, jobs: int) -> None:
    instances = write_formulas(tmp_path / "cnf", 4)
    solvers = ["cadical195", "minisat22"]
    steps: list[bool] = []
    for _ in range(2):
        runs = collect(
            list(plan(instances, solvers)), tmp_path / "set", race=RaceRules((5.0, 9.0)), executor=LocalExecutor(jobs),
            on_progress=lambda run: steps.append(run is not None),
        )  # fmt: skip
    assert [(r.instance, r.solver) for r in runs] == [(name, solver) for name, _ in instances for solver in solvers]
    assert all(r.status is RunStatus.UNSAT for r in runs)
    assert steps == [True] * 4 + [False] * 4
    # The first has the first limit; the second may have at most a second, for the first took milliseconds.
    assert {(r.solver, r.cpu_limit_s) for r in runs} == {("cadical195", 5.0), ("minisat22", 1.0)}


def test_a_vanished_file_leaves_the_others(tmp_path: Path) -> None:
    instances = write_formulas(tmp_path / "cnf", 2)
    instances[0][1].unlink()
    problems: list[str] = []
    runs = collect(
        list(plan(instances, ["minisat22"])), tmp_path / "set", race=RaceRules((5.0,)), on_problem=problems.append
    )
    assert [r.instance for r in runs] == ["i1"]
    assert len(problems) == 1 and "i0.cnf" in problems[0]


def test_an_instance_that_cannot_be_run_is_given_up_and_the_rest_goes_on(tmp_path: Path) -> None:
    class Lossy(FakeExecutor):
        def execute(
            self, requests: Iterator[Request | None], limits: CollectLimits
        ) -> Generator[Run | Unmade, None, None]:
            for request in requests:
                assert request is not None
                if request.instance == "p":
                    yield Unmade(request, "its node has died")
                else:
                    yield run(request.solver, request.limits(limits).cpu_s, 1.0, request.instance)

    problems: list[str] = []
    runs = collect(
        list(plan(files(tmp_path / "cnf", "pq"), ["a", "b"])), tmp_path / "set", race=RaceRules((10.0,)),
        executor=Lossy({}),
        on_problem=problems.append,
    )  # fmt: skip
    assert problems == ["its node has died"]
    assert [(r.instance, r.solver) for r in runs] == [("q", "a"), ("q", "b")]


def test_the_others_come_in_once_a_scout_has_answered(tmp_path: Path) -> None:
    executor = FakeExecutor(SECONDS)
    race(tmp_path, executor, scouts=1)
    assert executor.made == [
        ("p", "a", 10.0), ("p", "a", 30.0), ("p", "b", 80.0), ("p", "c", 80.0),
        ("q", "a", 10.0), ("q", "b", 1.0), ("q", "c", 1.0),
        # Nobody else spends anything on what the scout can't answer.
        *(("r", "a", limit) for limit in LIMITS), *(("s", "a", limit) for limit in LIMITS),
    ]  # fmt: skip
    # Without scouts, later: what the others have not tried yet, and nothing again.
    rest = FakeExecutor(SECONDS)
    race(tmp_path, rest)
    assert {(name, solver) for name, solver, _ in rest.made} == {(name, solver) for name in "rs" for solver in "bc"}


def test_the_others_may_get_more_of_the_best_time() -> None:
    answered = [run("b", 10.0, 4.0)]
    assert next_run(["a"], RaceRules(LIMITS, factor=16.0), answered) == ("a", 64.0)
    assert next_run(["a"], RaceRules(LIMITS, factor=16.0), [*answered, run("a", 64.0)]) is None
    # A race of the smaller factor can be continued with the larger one.
    assert next_run(["a"], RaceRules(LIMITS, factor=16.0), [*answered, run("a", 16.0)]) == ("a", 64.0)


def test_options_of_the_command(tmp_path: Path) -> None:
    def rules(**options: Any) -> RaceRules | None:
        return race_rules(CollectOptions([], tmp_path, **options))

    assert rules(race=True) == RaceRules((10.0, 30.0, 100.0, 300.0))
    assert rules(race=True, limits=[5.0, 1000.0], scouts=2) == RaceRules((5.0, 1000.0), 2)
    assert rules(race=True, factor=16.0) == RaceRules(factor=16.0)
    assert rules(cpu_s=7.0) is None
    for options, expected in (
        ({"limits": [10.0]}, "--limits belongs to a race"),
        ({"scouts": 2}, "--scouts belongs to a race"),
        ({"factor": 4.0}, "--times-best belongs to a race"),
        ({"race": True, "factor": 5.0}, "found 5, expected 4 or 16"),
        ({"race": True, "cpu_s": 7.0}, "expected --limits"),
        ({"race": True, "limits": [30.0, 10.0]}, "found 30, 10, expected rising"),
        ({"race": True, "limits": [0.0, 10.0]}, "expected rising"),
        ({"race": True, "scouts": 0}, "expected at least 1"),
    ):
        with pytest.raises(DatasetError, match=expected):
            rules(**options)
    write_formulas(tmp_path / "cnf", 2)
    options = CollectOptions(
        [str(tmp_path / "cnf")], tmp_path / "set", ["cadical195", "minisat22"], memory_mb=2048, race=True, limits=[4.0]
    )
    assert run_collect(options) == 0
    runs = read_runs(tmp_path / "set" / "runs.parquet")
    assert sorted({r.cpu_limit_s for r in runs}) == [1.0, 4.0]
    assert {r.wall_limit_s for r in runs} == {320.0, 380.0}
