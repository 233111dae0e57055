from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pysat.solvers import Solver

from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search import probe as probe_module
from satcost_gnn.search.online import online_features
from satcost_gnn.search.probe import probe, run_probe, sample_variables
from satcost_gnn.search.probe_settings import ProbeResult, ProbeSettings
from satcost_gnn.search.trace import FINISHED, RESTART, UNKNOWN, Trace

SOLVERS = ("cadical195", "cadical300", "minisatep", "ergo")
# With these the trail is a stack and every conflict is analysed once: each call of the solver has one meaning.
PLAIN = (("chrono", 0), ("otfs", 0))


def random_3sat(variables: int, ratio: float, seed: int) -> Formula:
    rng = random.Random(seed)
    clauses = [
        [v * rng.choice((-1, 1)) for v in rng.sample(range(1, variables + 1), 3)]
        for _ in range(round(ratio * variables))
    ]
    return Formula.from_clauses(clauses, variables)


def pigeons(holes: int) -> Formula:
    def sits(pigeon: int, hole: int) -> int:
        return pigeon * holes + hole + 1

    clauses = [[sits(p, h) for h in range(holes)] for p in range(holes + 1)]
    clauses += [[-sits(p, h), -sits(q, h)] for h in range(holes) for q in range(holes + 1) for p in range(q)]
    return Formula.from_clauses(clauses)


def trace_of(result: ProbeResult) -> Trace:
    assert result.trace is not None
    return result.trace


def assert_same_trace(a: Trace, b: Trace) -> None:
    left, right = a.to_arrays(), b.to_arrays()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.fixture(scope="module")
def hard() -> Formula:
    return random_3sat(220, 4.26, 5)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as one:
        yield one


class SlowListener:
    """Follows the search step by step with an explicit trail: what the trace must agree with."""

    def __init__(self, solver: Any, n_vars: int) -> None:
        self.solver = solver
        self.n_vars = n_vars
        self.progress: list[float] = []
        self.trail: list[list[int]] = [[]]
        self.fixpoint = False
        self.fresh_level = False
        self.given_up = False
        self.since = self.total_decisions = 0
        self.proof_lines = 0
        self.rows: list[dict[str, int | bool]] = []
        self.events: list[int] = []
        self.counts = {name: [0] * (n_vars + 1) for name in ("assigned", "decided", "flips", "positive", "learnt")}
        self.last: dict[int, int] = {}
        self.awaiting_unit = False

    def additions(self) -> list[list[int]]:
        lines = self.solver.get_proof()
        fresh, self.proof_lines = lines[self.proof_lines :], len(lines)
        return [[int(x) for x in line.split()[:-1]] for line in fresh if not line.startswith("d")]

    def close_unit(self, added: list[list[int]]) -> None:
        if self.awaiting_unit:
            self.awaiting_unit = False
            unit = next(clause for clause in added if len(clause) == 1)
            self.counts["learnt"][abs(unit[0])] += 1

    def on_assignment(self, literal: int, fixed: bool = False) -> None:
        self.trail[-1].append(literal)
        self.since += 1
        variable = abs(literal)
        self.counts["assigned"][variable] += 1
        self.counts["decided"][variable] += self.fresh_level
        self.counts["positive"][variable] += literal > 0
        self.counts["flips"][variable] += self.last.get(variable, literal) != literal
        self.last[variable] = literal
        self.fresh_level = False

    def on_new_level(self) -> None:
        self.trail.append([])
        self.events.append(-1)
        self.total_decisions += 1
        self.fixpoint, self.fresh_level = False, True

    def on_backtrack(self, to: int) -> None:
        level = len(self.trail) - 1
        if to >= level:
            return
        added = self.additions()
        self.close_unit(added)
        size = sum(map(len, self.trail))
        undone = sum(map(len, self.trail[to + 1 :]))
        if self.fixpoint:
            self.events.append(RESTART - to)
            self.given_up = True
        else:
            length = 1
            if to:
                length = len(added[-1])
                for literal in added[-1]:
                    self.counts["learnt"][abs(literal)] += 1
            else:
                self.awaiting_unit = True
            self.rows.append(
                {
                    "level": level,
                    "backjump": to,
                    "trail": size,
                    "undone": undone,
                    "decisions": self.total_decisions,
                    "restart": self.given_up,
                    "assigned_since": self.since,
                    "fixed": len(self.trail[0]),
                    "learnt_length": length,
                }
            )
            # MiniSat's progressEstimate, over all levels.
            n = self.n_vars
            self.progress.append(sum(len(part) / n ** (k + 1) for k, part in enumerate(self.trail)))
            self.events.append(to)
            self.since, self.given_up = 0, False
        del self.trail[to + 1 :]
        self.fixpoint = self.fresh_level = False

    def propagate(self) -> list[int]:
        self.fixpoint = True
        self.fresh_level = False
        return []

    def check_model(self, model: list[int]) -> bool:
        return True

    def decide(self) -> int:
        return 0

    def add_clause(self) -> list[int]:
        return []

    def provide_reason(self, literal: int) -> list[int]:
        raise AssertionError("nothing was propagated from outside")


@pytest.mark.parametrize(
    "formula", [random_3sat(150, 4.26, 1), random_3sat(60, 5.0, 2), pigeons(7)], ids=["3sat", "refuted", "pigeons"]
)
def test_the_trace_agrees_with_a_step_by_step_listener(formula: Formula) -> None:
    budget = 400
    trace = trace_of(run_probe(formula, ProbeSettings(conflicts=budget, options=PLAIN)))
    with Solver(name="cadical195", with_proof=True) as solver:
        solver.configure({"chronoreusetrail": 0, **dict(PLAIN)})
        for clause in formula.clauses():
            solver.add_clause(clause)
        slow = SlowListener(solver.solver, formula.n_vars)
        solver.connect_propagator(slow)
        for variable in range(1, formula.n_vars + 1):
            solver.observe(variable)
        solver.conf_budget(budget)
        solver.solve_limited()
        slow.close_unit(slow.additions())
        # Taken here: the solver backtracks once more when the listener is taken off.
        slow_events = list(slow.events)
    assert len(slow.rows) == trace.conflicts > 50
    for name in slow.rows[0]:
        assert getattr(trace, name).tolist() == [row[name] for row in slow.rows], name
    events = trace.events[trace.events != FINISHED]
    assert events.tolist() == slow_events
    np.testing.assert_allclose(trace.progress, slow.progress, rtol=2.0 / formula.n_vars**2 + 1e-6)
    for name, counts in slow.counts.items():
        assert getattr(trace, name).tolist() == counts[1:], name


@pytest.mark.parametrize("solver", SOLVERS)
def test_two_runs_give_the_same_trace(hard: Formula, solver: str) -> None:
    first, second = (run_probe(hard, ProbeSettings(solver=solver, conflicts=1000)) for _ in range(2))
    assert_same_trace(trace_of(first), trace_of(second))
    assert (first.status, first.conflicts, first.decisions, first.propagations, first.restarts) == (
        second.status,
        second.conflicts,
        second.decisions,
        second.propagations,
        second.restarts,
    )


@pytest.mark.parametrize("seed", range(4))
def test_conflicts_and_decisions_are_the_solver_s_own(seed: int) -> None:
    result = run_probe(random_3sat(200, 4.26, seed), ProbeSettings(options=PLAIN))
    trace = trace_of(result)
    # The conflict that refutes the formula happens at level 0.
    assert trace.conflicts == result.conflicts - (result.status == "UNSAT")  # type: ignore[operator]
    assert (trace.events == -1).sum() == result.decisions
    assert trace.propagations == result.propagations and trace.restarts == result.restarts


def test_restarts_are_the_solver_s_own(hard: Formula) -> None:
    # Without reusing the trail and rephasing, every restart and nothing else gives decisions up.
    options = (*PLAIN, ("restartreusetrail", 0), ("rephase", 0), ("reduce", 0), ("probe", 0), ("stabilize", 0))
    result = run_probe(hard, ProbeSettings(options=options, conflicts=1500))
    trace = trace_of(result)
    restarts = trace.events[(trace.events <= RESTART) & (trace.events != FINISHED)]
    assert result.restarts is not None and result.restarts > 3
    assert len(restarts) == result.restarts
    assert (restarts == RESTART).all()
    # Restarts after the last conflict precede no conflict.
    assert 0 <= result.restarts - trace.restart.sum() <= 1


@pytest.mark.parametrize("solver", ["cadical195", "cadical300"])
def test_with_default_options_conflicts_are_nearly_all_seen(hard: Formula, solver: str) -> None:
    result = run_probe(hard, ProbeSettings(solver=solver))
    assert result.status == "UNKNOWN" and result.conflicts is not None and result.conflicts >= 2000
    assert trace_of(result).conflicts == pytest.approx(result.conflicts, rel=0.03)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_trace_makes_sense(hard: Formula, solver: str) -> None:
    result = run_probe(hard, ProbeSettings(solver=solver, conflicts=1500))
    trace = trace_of(result)
    assert result.status == "UNKNOWN" and not result.truncated and result.detail == ""
    assert 500 <= trace.conflicts <= 1510
    assert (trace.backjump < trace.level).all() and (trace.backjump >= 0).all()
    assert (trace.trail <= trace.n_active).all() and (trace.fixed <= trace.trail).all()
    assert (trace.undone <= trace.trail).all()
    assert (trace.level <= trace.decisions).all()
    assert trace.observed.all() and trace.observed_share == 1.0
    assert (trace.positive <= trace.assigned).all() and (trace.flips < np.maximum(trace.assigned, 1)).all()
    assert (trace.decided <= trace.assigned).all() and 0 < trace.decided.sum() <= trace.decisions[-1]
    if solver in ("minisatep", "ergo"):
        assert len(trace.learnt_length) == 0 and (trace.learnt == UNKNOWN).all()
    else:
        assert (trace.learnt_length[trace.backjump == 0] == 1).all()
        assert (trace.learnt_length > 0).mean() > 0.95
        assert trace.learnt.sum() == trace.learnt_length.sum()
        assert (trace.learnt_positive <= trace.learnt).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_conflicts_are_numbered_as_the_solver_counts_them(hard: Formula, solver: str) -> None:
    result = run_probe(hard, ProbeSettings(solver=solver, conflicts=1500))
    numbers = result.numbers
    assert numbers is not None and result.conflicts is not None
    assert len(numbers) == trace_of(result).conflicts
    assert numbers[0] >= 1 and (np.diff(numbers) > 0).all()
    assert result.conflicts - 10 <= numbers[-1] <= result.conflicts


def test_ergo_restarts_geometrically(hard: Formula) -> None:
    result = run_probe(hard, ProbeSettings(solver="ergo", conflicts=1500))
    assert result.numbers is not None
    restarts = result.numbers[np.flatnonzero(trace_of(result).restart) - 1]
    # MiniSat 2.0: a restart after 100 conflicts, after 150 more, after 225 more, ...
    np.testing.assert_allclose(restarts, [100, 250, 475, 812, 1318], atol=8)


@pytest.mark.parametrize("solver", SOLVERS)
def test_solved_on_the_way(solver: str) -> None:
    easy = run_probe(random_3sat(60, 3.0, 3), ProbeSettings(solver=solver))
    assert easy.status == "SAT" and easy.solved and not easy.truncated
    refuted = run_probe(pigeons(5), ProbeSettings(solver=solver))
    assert refuted.status == "UNSAT" and refuted.solved and refuted.conflicts is not None
    assert trace_of(refuted).conflicts <= refuted.conflicts


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("clauses", "variables", "status"),
    [
        ([], 0, "SAT"),
        ([], 7, "SAT"),
        ([[]], 0, "UNSAT"),
        ([[1, 2], [], [3]], 3, "UNSAT"),
        ([[1], [-2], [3]], 3, "SAT"),
        ([[1], [-1]], 1, "UNSAT"),
        ([[1, -1], [2, 2]], 2, "SAT"),
        ([[5, -9]], 12, "SAT"),
    ],
)
def test_corner_cases(clauses: list[list[int]], variables: int, status: str, solver: str) -> None:
    result = run_probe(Formula.from_clauses(clauses, variables), ProbeSettings(solver=solver))
    trace = trace_of(result)
    assert result.status == status
    assert trace.conflicts == 0 and result.conflicts in (0, 1)
    assert trace.n_vars == variables
    assert trace.n_active == len({abs(x) for clause in clauses for x in clause})
    assert len(trace.assigned) == variables


def test_variables_without_clauses_are_left_alone() -> None:
    result = run_probe(Formula.from_clauses([[2, 5], [-2, 5]], 1000))
    trace = trace_of(result)
    assert trace.n_active == 2 and np.flatnonzero(trace.observed).tolist() == [1, 4]
    assert result.decisions is not None and result.decisions <= 5


@pytest.mark.parametrize("solver", ["cadical195", "minisatep"])
def test_a_sample_of_the_variables(hard: Formula, solver: str) -> None:
    settings = ProbeSettings(solver=solver, conflicts=1000)
    full = trace_of(run_probe(hard, settings))
    part = trace_of(run_probe(hard, replace(settings, max_observed=55)))
    assert part.observed.sum() == 55 and part.observed_share == 0.25
    # Observing keeps variables from being eliminated, which doesn't happen so early: the search is the same.
    np.testing.assert_array_equal(part.events, full.events)
    np.testing.assert_array_equal(part.assigned[part.observed], full.assigned[part.observed])
    np.testing.assert_array_equal(part.flips[part.observed], full.flips[part.observed])
    assert (part.assigned[~part.observed] == UNKNOWN).all() and (part.decided == UNKNOWN).all()
    np.testing.assert_array_equal(part.learnt, full.learnt)
    assert part.trail.mean() == pytest.approx(full.trail.mean(), rel=0.15)
    assert part.assigned_since.sum() == pytest.approx(full.assigned_since.sum(), rel=0.15)
    other = trace_of(run_probe(hard, replace(settings, max_observed=55, seed=1)))
    assert not np.array_equal(other.observed, part.observed)


def test_the_sample_is_the_same_everywhere() -> None:
    active = np.arange(1, 101)
    assert sample_variables(active, 5, 0).tolist() == [10, 21, 48, 68, 83]
    assert sample_variables(active, 100, 0) is active
    chosen = sample_variables(np.arange(1, 100_001), 10_000, 3)
    assert (np.diff(chosen) > 0).all()
    assert chosen.mean() == pytest.approx(50_000, rel=0.03)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("observed", [50_000, 40])
def test_a_budget_of_events_ends_the_search(hard: Formula, solver: str, observed: int) -> None:
    settings = ProbeSettings(solver=solver, max_events=6000, max_observed=observed)
    result = run_probe(hard, settings)
    trace = trace_of(result)
    assert result.status == "UNKNOWN" and result.truncated and "6000 events" in result.detail
    assert 10 < trace.conflicts < 1000
    assert_same_trace(trace, trace_of(run_probe(hard, settings)))
    whole = trace_of(run_probe(hard, replace(settings, max_events=10_000_000)))
    assert whole.conflicts > trace.conflicts
    # What was seen up to there is what a longer run sees.
    np.testing.assert_array_equal(trace.level, whole.level[: trace.conflicts])
    np.testing.assert_array_equal(trace.trail, whole.trail[: trace.conflicts])
    np.testing.assert_array_equal(trace.learnt_length, whole.learnt_length[: len(trace.learnt_length)])


def stopped_after(backtracks: int, formula: Formula, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> ProbeResult:
    """Probe with a clock that passes the deadline after so many backtracks."""
    looks = itertools.count(1)
    clock = SimpleNamespace(process_time=lambda: float(next(looks) > backtracks))
    monkeypatch.setattr("satcost_gnn.search.listener.time", clock)
    return run_probe(formula, ProbeSettings(**settings), deadline=0.5)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("max_observed", [50_000, 60])
def test_where_the_clock_stops_it_does_not_matter(
    hard: Formula, solver: str, max_observed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"solver": solver, "conflicts": 400, "max_observed": max_observed}
    early, late, later = (stopped_after(n, hard, monkeypatch, **settings) for n in (110, 190, 230))
    assert early.status == late.status == "TIMEOUT"
    assert_same_trace(trace_of(early), trace_of(late))
    first, second = (online_features(trace_of(one)).values for one in (early, late))
    np.testing.assert_array_equal(first, second)
    # It is the beginning of the search, counts of each variable included.
    assert 0 < trace_of(late).conflicts < trace_of(later).conflicts
    np.testing.assert_array_equal(trace_of(late).level, trace_of(later).level[: trace_of(late).conflicts])
    assert (trace_of(late).assigned <= trace_of(later).assigned).all()
    assert trace_of(late).propagations == UNKNOWN


def test_past_the_deadline_the_search_ends_with_what_was_seen(hard: Formula) -> None:
    result = run_probe(hard, deadline=time.process_time())
    assert result.status == "TIMEOUT" and result.truncated and trace_of(result).conflicts == 1


def test_settings_are_checked() -> None:
    with pytest.raises(SolverError, match="glucose4"):
        ProbeSettings(solver="glucose4")
    with pytest.raises(SolverError, match="options"):
        ProbeSettings(solver="minisatep", options=(("chrono", 0),))
    for name in ("conflicts", "max_events", "max_observed"):
        with pytest.raises(SolverError, match=name):
            ProbeSettings(**{name: 0})  # type: ignore[arg-type]


def test_the_key_tells_settings_apart() -> None:
    base = ProbeSettings()
    changes: list[dict[str, Any]] = [
        {"solver": "cadical300"},
        {"conflicts": 100},
        {"max_events": 7},
        {"max_observed": 7},
        {"seed": 1},
        {"options": (("chrono", 0),)},
        {"cpu_s": 3.0},
        {"wall_s": 3.0},
        {"memory_mb": 77},
    ]
    keys = [base.key(), *(replace(base, **change).key() for change in changes)]
    assert len(set(keys)) == len(keys)
    assert ProbeSettings().key() == base.key()


class TestInASandbox:
    def test_the_same_as_in_this_process(self, hard: Formula, sandbox: Sandbox) -> None:
        settings = ProbeSettings(conflicts=300)
        inside, here = probe(hard, settings, sandbox), run_probe(hard, settings)
        assert inside.status == here.status == "UNKNOWN" and inside.conflicts == here.conflicts
        assert_same_trace(trace_of(inside), trace_of(here))
        assert inside.cpu_s > 0 and inside.peak_memory_mb > 1
        assert set(inside.timings) == {"load", "search", "trace"}

    def test_from_a_file(self, tmp_path: Path, hard: Formula, sandbox: Sandbox) -> None:
        path = tmp_path / "hard.cnf"
        path.write_text(hard.to_dimacs())
        result = probe(path, ProbeSettings(conflicts=100), sandbox)
        assert_same_trace(trace_of(result), trace_of(run_probe(hard, ProbeSettings(conflicts=100))))
        assert result.timings["parse"] >= 0

    def test_a_missing_file_is_a_status(self, tmp_path: Path, sandbox: Sandbox) -> None:
        result = probe(tmp_path / "missing.cnf", None, sandbox)
        assert result.status == "ERROR" and "missing.cnf" in result.detail
        assert result.trace is None and result.conflicts is None and result.truncated and not result.solved

    def test_a_sandbox_of_its_own(self) -> None:
        assert probe(pigeons(3)).status == "UNSAT"

    def test_the_cpu_limit_still_gives_a_trace(self, sandbox: Sandbox) -> None:
        settings = ProbeSettings(conflicts=100_000_000, max_events=2**30, cpu_s=0.3)
        result = probe(pigeons(12), settings, sandbox)
        assert result.status == "TIMEOUT" and result.truncated and trace_of(result).conflicts > 100

    def test_the_memory_limit_is_a_status(self, sandbox: Sandbox) -> None:
        n = 400_000
        literals = np.arange(1, n + 1, dtype=np.int32).repeat(6)
        big = Formula.from_arrays(literals, np.arange(0, len(literals) + 1, 3))
        result = probe(big, ProbeSettings(memory_mb=40), sandbox)
        assert result.status == "MEMOUT" and result.trace is None

    @pytest.mark.parametrize(
        ("body", "status", "detail"),
        [
            ("os.abort()", "CRASHED", "SIGABRT"),
            ("os.kill(os.getpid(), 11)", "CRASHED", "SIGSEGV"),
            ("os._exit(3)", "CRASHED", "3"),
            ("raise RuntimeError('no such luck')", "ERROR", "RuntimeError: no such luck"),
        ],
    )
    def test_a_dying_solver_is_a_status(
        self, body: str, status: str, detail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "dying_solver.py").write_text(f"import os\ndef child(formula, settings):\n    {body}\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(probe_module, "PROBE_CHILD", "dying_solver:child")
        with Sandbox() as sandbox:
            result = probe(pigeons(3), None, sandbox)
        assert result.status == status and detail in result.detail
        assert result.trace is None and not result.solved


def test_a_wrong_model_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Solver, "get_model", lambda self: [-1, -2])
    with pytest.raises(SolverError, match="wrong answer"):
        run_probe(Formula.from_clauses([[1, 2]]))


def test_a_model_is_handed_over_and_satisfies_the_formula() -> None:
    formula = random_3sat(60, 3.5, 0)
    found = run_probe(formula)
    assert found.status == "SAT" and found.model is not None
    assert satisfies(formula, found.model)
    assert run_probe(Formula.from_clauses([[1, 2], [-1, 2], [1, -2], [-1, -2]])).model is None
