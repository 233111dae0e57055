import itertools
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from portfolio_predictions import FAKE, TINY, prediction, training
from process_listing import left_running, processes_with
from reverse_unit_propagation import is_refutation

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.decide import solver_child
from satcost_gnn.decide.run import PortfolioSolver, Progress, SolveSettings, programs_of
from satcost_gnn.decide.scoring import Slice
from satcost_gnn.decide.solver_child import Glimpse, Watch, answer_child, complete_model
from satcost_gnn.errors import ConfigError, FormulaError, SolverError
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.search.solvers import SOLVERS, Proof
from satcost_gnn.serve.prediction import Prediction
from satcost_gnn.serve.predictor import Predictor

SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"
COSTS = {"cadical195": (0.3, 0.5), "glucose42": (1.0, 0.5), "minisat22": (2.0, 0.5), "kissat404": (3.0, 0.5)}


def random_3sat(n: int, ratio: float, seed: int) -> Formula:
    rng = random.Random(seed)
    return Formula.from_clauses(
        [[v * rng.choice((-1, 1)) for v in rng.sample(range(1, n + 1), 3)] for _ in range(int(ratio * n))]
    )


SAT = random_3sat(100, 3.8, 1)
UNSAT = random_3sat(60, 6.5, 2)


def fixed(
    shipped: Predictor,
    monkeypatch: pytest.MonkeyPatch,
    settings: SolveSettings,
    costs: Any = None,
    presolving_s: float = 0.0,
    **changes: Any,
) -> PortfolioSolver:
    """Return a solver whose predictions are given: no probe is run."""
    table = costs or COSTS

    def predict(_: object) -> Prediction:
        return prediction(table, **changes)

    monkeypatch.setattr(shipped, "load", lambda: None)
    monkeypatch.setattr(shipped, "predict", predict)
    solver = PortfolioSolver(shipped, settings)
    solver.training = replace(training(list(table)), presolving_s=presolving_s, switching_margin=0.0)
    solver.solvers = tuple(name for name in table if name in solver.solvers)
    # Nobody else, as where the user has named the solvers.
    solver._others_too = False
    return solver


def fake(behaviour: str) -> str:
    return f"{sys.executable} -S -E {FAKE} {behaviour} {{cnf}}"


@pytest.mark.parametrize("cores", [1, 2])
def test_answers_with_checked_models(shipped: Predictor, monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    solver = fixed(shipped, monkeypatch, SolveSettings(60, 2048, cores))
    found = solver.solve(SAT)
    assert (found.status, found.exit_code) == ("SAT", 10)
    assert found.model is not None and len(found.model) == SAT.n_vars and satisfies(SAT, found.model)
    assert found.attempts[0].status == "SAT" and found.attempts[0].solver == found.solver
    assert found.schedule is not None and len(found.schedule.cores) == cores
    refuted = solver.solve(UNSAT)
    assert (refuted.status, refuted.exit_code, refuted.model) == ("UNSAT", 20, None)


def test_the_early_search_is_enough_where_it_solves(shipped: Predictor) -> None:
    settings = SolveSettings(60, programs=programs_of([f"cadical195={fake('spin')}"]))
    solver = PortfolioSolver(shipped, settings)
    solver.training = replace(solver.training, presolving_s=0.05)
    solver._others_too = False
    found = solver.solve(SAT)
    assert (found.status, found.solver, found.source) == ("SAT", "cadical195", "search")
    assert [(a.solver, a.status) for a in found.attempts] == [("cadical195", "CANCELLED")]
    assert found.model is not None and satisfies(SAT, found.model)
    refuted = solver.solve(UNSAT)
    assert (refuted.solver, refuted.source) == ("cadical195", "search")


def test_presolving_spares_the_prediction(shipped: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    found = fixed(shipped, monkeypatch, SolveSettings(60), presolving_s=30.0).solve(SAT)
    assert (found.status, found.source, found.solver, found.schedule) == ("SAT", "presolving", "cadical195", None)
    assert found.model is not None and satisfies(SAT, found.model)
    # Whose time is up before presolving is over is never predicted.
    programs = programs_of([f"cadical195={fake('spin')}"])
    late = fixed(shipped, monkeypatch, SolveSettings(0.5, programs=programs), presolving_s=30.0).solve(TINY)
    assert (late.status, late.source, late.schedule) == ("UNKNOWN", "presolving", None)
    assert "cadical195 TIMEOUT" in late.reason


def test_who_has_had_presolving_goes_on_if_the_others_promise_little(
    shipped: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep = f"{sys.executable} -S -E -c 'import time; time.sleep(2); print(\"s UNSATISFIABLE\")' {{cnf}}"
    programs = programs_of([f"cadical195={asleep}", f"glucose42={fake('spin')}"])
    costs = {"cadical195": (3.0, 0.3), "glucose42": (20.0, 0.3)}
    solver = fixed(shipped, monkeypatch, SolveSettings(60, programs=programs), costs, presolving_s=0.1)
    found = solver.solve(TINY)
    assert (found.status, found.solver, found.source) == ("UNSAT", "cadical195", "forest")
    assert found.schedule is not None and [part.solver for part in found.schedule.cores[0]] == ["cadical195"]
    # It ran once, from the beginning to its answer.
    assert [(a.solver, a.status, a.core) for a in found.attempts] == [("cadical195", "UNSAT", 0)]


def test_who_has_had_presolving_makes_room_if_the_others_promise_more(
    shipped: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = programs_of([f"cadical195={fake('spin')} gone-{os.getpid()}"])
    costs = {"cadical195": (50.0, 0.3), "glucose42": (0.5, 0.3)}
    solver = fixed(shipped, monkeypatch, SolveSettings(60, programs=programs), costs, presolving_s=0.3)
    found = solver.solve(SAT)
    assert (found.status, found.solver) == ("SAT", "glucose42")
    assert {a.solver: a.status for a in found.attempts} == {"cadical195": "CANCELLED", "glucose42": "SAT"}
    assert not processes_with(f"gone-{os.getpid()}")
    # Unless much more is asked for than they promise.
    solver.training = replace(solver.training, switching_margin=0.999)
    solver.settings = replace(solver.settings, time_limit_s=2.0)
    first = solver.solve(SAT).attempts[0]
    assert (first.solver, first.status) == ("cadical195", "TIMEOUT")


def test_solvers_have_turns_before_anything_is_predicted(shipped: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = programs_of([f"cadical195={fake('spin')}"])
    solver = fixed(shipped, monkeypatch, SolveSettings(60, programs=programs), presolving_s=0.2)
    for stage in ("load", "predict"):
        monkeypatch.setattr(shipped, stage, lambda *_: pytest.fail("the turns are not over"))
    solver.training = replace(solver.training, presolving=(Slice("glucose42", 20.0),))
    found = solver.solve(SAT)
    assert (found.status, found.solver, found.source) == ("SAT", "glucose42", "presolving")
    assert {a.solver: a.status for a in found.attempts} == {"glucose42": "SAT", "cadical195": "CANCELLED"}


def test_whose_turn_comes_again_goes_on(shipped: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = programs_of([f"cadical195={fake('solve-later')}", f"glucose42={fake('spin')}"])
    solver = fixed(shipped, monkeypatch, SolveSettings(60, programs=programs), presolving_s=0.01)
    solver.training = replace(solver.training, presolving=(Slice("glucose42", 0.3), Slice("cadical195", 30.0)))
    found = solver.solve(TINY)
    assert (found.status, found.solver) == ("SAT", "cadical195")
    # It was begun once, paused for the other one, and has answered.
    assert sorted((a.solver, a.status) for a in found.attempts) == [("cadical195", "SAT"), ("glucose42", "CANCELLED")]


def test_the_second_search_is_enough_where_it_solves(shipped: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    found = fixed(shipped, monkeypatch, SolveSettings(60), status="ok", result="UNSAT").solve(UNSAT)
    assert (found.status, found.solver, found.schedule) == ("UNSAT", "probe", None)


@pytest.mark.parametrize("status", ["solved", "ok"])
def test_a_wrong_model_of_the_probe_is_not_believed(
    shipped: Predictor, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    wrong = -np.arange(1, SAT.n_vars + 1, dtype=np.int32)
    assert not satisfies(SAT, wrong)
    solver = fixed(shipped, monkeypatch, SolveSettings(60), status=status, result="SAT", model=wrong)
    found = solver.solve(SAT)
    assert found.status == "SAT" and found.solver != "probe"


@pytest.mark.parametrize("clauses", [[], [[]], [[1], []]])
def test_formulas_that_need_no_solver(shipped: Predictor, tmp_path: Path, clauses: list[list[int]]) -> None:
    found = PortfolioSolver(shipped, SolveSettings(60, proof=tmp_path / "proof")).solve(clauses)
    assert found.status == ("UNSAT" if clauses else "SAT")
    assert (found.proof is not None) == bool(clauses)


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [("segmentation-fault", "CRASHED"), ("wrong-model", "WRONG"), ("unknown", "CRASHED"), ("no-model", "CRASHED")],
)
def test_whoever_fails_is_passed_over(
    shipped: Predictor, monkeypatch: pytest.MonkeyPatch, behaviour: str, status: str
) -> None:
    programs = programs_of([f"cadical195={fake(behaviour)}"])
    costs = {"cadical195": (0.1, 0.1), "glucose42": (5.0, 0.1)}
    solver = fixed(shipped, monkeypatch, SolveSettings(60, programs=programs), costs)
    found = solver.solve(TINY)
    assert [attempt.status for attempt in found.attempts] == [status, "SAT"]
    assert found.attempts[0].program and found.attempts[0].detail
    assert found.solver == "glucose42"
    assert found.model is not None and satisfies(TINY, found.model)


def test_memory_limit_is_a_memout_and_the_next_one_runs(shipped: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    hungry = f"{sys.executable} -S -E -c 'x=[bytearray(10**7) for _ in range(10**4)]' {{cnf}}"
    costs = {"cadical195": (0.1, 0.1), "glucose42": (5.0, 0.1)}
    settings = SolveSettings(60, 300, programs=programs_of([f"cadical195={hungry}"]))
    found = fixed(shipped, monkeypatch, settings, costs).solve(TINY)
    assert [attempt.status for attempt in found.attempts] == ["MEMOUT", "SAT"]


def test_all_failed_is_unknown(shipped: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = programs_of([f"cadical195={fake('segmentation-fault')}", f"glucose42={fake('unknown')}"])
    costs = {"cadical195": (0.1, 0.1), "glucose42": (5.0, 0.1)}
    found = fixed(shipped, monkeypatch, SolveSettings(60, programs=programs), costs).solve(TINY)
    assert (found.status, found.exit_code, found.model) == ("UNKNOWN", 0, None)
    assert "cadical195 CRASHED" in found.reason and "glucose42 CRASHED" in found.reason
    assert found.wall_s < 50


def test_time_limit(shipped: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = programs_of([f"cadical195={fake('spin')}"])
    found = fixed(shipped, monkeypatch, SolveSettings(1.0, programs=programs), {"cadical195": (0.1, 0.1)}).solve(TINY)
    assert (found.status, found.attempts[0].status) == ("UNKNOWN", "TIMEOUT")


def test_the_first_answer_ends_the_others(shipped: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = programs_of([f"cadical195={fake('spin')} only-{os.getpid()}"])
    costs = {"cadical195": (5.0, 0.1), "glucose42": (5.0, 0.1)}
    solver = fixed(shipped, monkeypatch, SolveSettings(120, cores=2, programs=programs), costs)
    found = solver.solve(SAT)
    assert found.status == "SAT"
    assert {attempt.solver: attempt.status for attempt in found.attempts} == {
        "glucose42": "SAT",
        "cadical195": "CANCELLED",
    }
    assert not processes_with(f"only-{os.getpid()}")


@pytest.mark.parametrize("solver", ["cadical195", "glucose42"])
def test_proofs_refute_the_formula(
    shipped: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, solver: str
) -> None:
    proof = tmp_path / "proof"
    portfolio = fixed(shipped, monkeypatch, SolveSettings(60, proof=proof), {solver: COSTS[solver]})
    found = portfolio.solve(UNSAT)
    assert (found.status, found.proof) == ("UNSAT", proof)
    assert is_refutation(UNSAT.clauses(), proof.read_bytes())
    assert [path.name for path in tmp_path.iterdir()] == ["proof"]
    text = tmp_path / "text"
    as_text = SolveSettings(60, proof=text, proof_as_text=True)
    assert fixed(shipped, monkeypatch, as_text, {solver: COSTS[solver]}).solve(UNSAT).proof == text
    lines = text.read_text("ascii").splitlines()
    assert all(line.endswith(" 0") or line == "0" for line in lines)
    assert is_refutation(UNSAT.clauses(), text.read_bytes())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["proof", "text"]
    # The probe writes none: its answer is not enough.
    solved = fixed(shipped, monkeypatch, SolveSettings(60, proof=proof), status="solved", result="UNSAT")
    assert solved.solve(UNSAT).solver != "probe"


def test_no_proof_of_a_satisfiable_formula(shipped: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = fixed(shipped, monkeypatch, SolveSettings(60, proof=tmp_path / "proof")).solve(SAT)
    assert (found.status, found.proof, list(tmp_path.iterdir())) == ("SAT", None, [])


def test_only_proving_solvers_are_run_for_a_proof(shipped: Predictor, tmp_path: Path) -> None:
    assert SOLVERS["minisat22"].proof is Proof.NONE
    assert "minisat22" not in PortfolioSolver(shipped, SolveSettings(proof=tmp_path / "proof")).solvers
    only = Predictor.from_checkpoint(unit="cpu_seconds", solvers=["minisat22"])
    with pytest.raises(ConfigError, match="writes a proof"):
        PortfolioSolver(only, SolveSettings(proof=tmp_path / "proof"))


def test_progress_tells_what_running_solvers_do(shipped: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Progress] = []
    settings = SolveSettings(120, watch=True)
    solver = fixed(shipped, monkeypatch, settings, {"minisat22": (5.0, 0.5)})
    found = solver.solve(SAMPLES / "random3-240.cnf", seen.append, 0.01)
    assert found.status == "UNSAT"
    assert [p.phase for p in seen[:2]] == ["reading", "probing"] and seen[-1].phase == "solving"
    glimpses = [glimpse for p in seen for glimpse in p.running.values() if glimpse is not None]
    assert glimpses and all(a.conflicts <= b.conflicts for a, b in itertools.pairwise(glimpses))
    elapsed = [p.elapsed_s for p in seen]
    assert elapsed == sorted(elapsed)


def test_a_prediction_may_reach_a_solver_that_runs_already(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(solver_child, "report", seen.append)
    formula = random_3sat(280, 4.6, 1)  # Seconds: it must be looked at several times.

    def widest(later: str | None) -> float:
        seen.clear()
        assert answer_child("minisat22", formula, watch=Watch(every_s=0.05, later=later))["status"] == "UNSAT"
        told = [g.remaining_s for g in seen if isinstance(g, Glimpse) and g.remaining_s is not None]
        return max((high / low for _, low, high in told), default=np.inf)

    prior = CostDistribution.normal(GRIDS["cpu_seconds"], np.array(0.6), np.array(0.1))
    np.save(tmp_path / "prior.npy", np.append(prior.cdf, np.inf))
    assert widest(str(tmp_path / "prior.npy")) < widest(str(tmp_path / "none.npy"))


def test_errors(shipped: Predictor) -> None:
    with pytest.raises(FormulaError, match=":6"):
        PortfolioSolver(shipped, SolveSettings()).solve(SAMPLES / "malformed.cnf")
    for wrong in ({"time_limit_s": 0.0}, {"cores": 0}, {"memory_limit_mb": 0}):
        with pytest.raises(ConfigError):
            SolveSettings(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="in place of 'nobody'"):
        PortfolioSolver(shipped, SolveSettings(programs={"nobody": "cadical195"}))
    for text in ("cadical195", "cadical195= ", "cadical195=no-such-program {cnf}"):
        with pytest.raises(SolverError):
            programs_of([text])
    with pytest.raises(SolverError, match="two programs"):
        programs_of([f"a={fake('solve')}", f"a={fake('spin')}"])


def test_complete_model() -> None:
    formula = Formula.from_clauses([[1, -4]])
    assert complete_model(formula, np.array([1, 9])).tolist() == [1, -2, -3, -4]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_behind_by_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    marker = f"left-{os.getpid()}-{int(number)}"
    hard = SAMPLES / "queue-4-20.cnf"
    spin = f"{fake('spin')} {marker}"
    programs = [part for name in COSTS for part in ("--program", f"{name}={spin}")]
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from satcost_gnn.cli import main; main()",
            "solve",
            str(hard),
            # A slow prediction is given up after half of this, so the second core is used within the minute.
            "--limit",
            "100",
            "--cores",
            "2",
            *programs,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 240
    # The command itself carries the marker too, and each program runs below a child of ours.
    while len(processes_with(marker)) < 3 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    assert len(processes_with(marker)) >= 3
    process.send_signal(number)
    out, _ = process.communicate(timeout=300)
    if number == signal.SIGINT:
        assert process.returncode == 130 and out == "s UNKNOWN\n"
    assert not left_running(marker)


@pytest.mark.parametrize(("limit_s", "is_left_out"), [(60.0, True), (3600.0, False)])
def test_the_plain_run_is_left_out_only_where_the_paused_run_is_one(
    limit_s: float, is_left_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At an hour it is kissat404 that is paused, and the early search is one of cadical195.
    seen: list[Any] = []
    with (
        Predictor.from_checkpoint(unit="cpu_seconds", limit_s=limit_s) as predictor,
        PortfolioSolver(predictor, SolveSettings(time_limit_s=limit_s)) as solver,
    ):
        monkeypatch.setattr(predictor, "predict", lambda _: seen.append(predictor.settings.features.plain))
        solver._predict(predictor, Formula.from_clauses([[1, 2]]), 5.0)
        assert predictor.settings.features.plain is not None
    assert [plain is None for plain in seen] == [is_left_out]
