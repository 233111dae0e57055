import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from satcost_gnn.data.collect import collect
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.execution import Request
from satcost_gnn.data.schema import ManifestRow, Origin, write_manifest
from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search import solvers
from satcost_gnn.search.external import parse_definition, register_external
from satcost_gnn.search.solver_output import SolverOutput
from satcost_gnn.search.solver_run import SolverRun, run_solver
from satcost_gnn.search.solvers import solver_spec

UNSATISFIABLE = Formula.from_clauses([[1, 2], [-1, 2], [1, -2], [-1, -2]])
SATISFIABLE = Formula.from_clauses([[1, 2], [-1, 3], [-3, -2, 4], [2, 3]])
FAKE = Path(__file__).with_name("fake_solver.py")

# Marks the processes of this test process among those of others that run the same tests.
MARK = f"satcost-test-external-{os.getpid()}"

Run = Callable[..., SolverRun]
LeftOver = Callable[[], list[str]]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(autouse=True)
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solvers, "_registered", {})


def define(behaviour: str, rest: str = "{cnf}") -> str:
    return register_external(f"fake-{behaviour}={sys.executable} -S -E {FAKE} {behaviour} {rest} {MARK}")


@pytest.fixture
def run(sandbox: Sandbox) -> Run:
    def call(behaviour: str, formula: Formula = SATISFIABLE, rest: str = "{cnf}", **limits: float) -> SolverRun:
        bounds = {"cpu_s": 20, "wall_s": 60, "memory_mb": 1024} | limits
        return run_solver(sandbox, define(behaviour, rest), formula, **bounds)  # type: ignore[arg-type]

    return call


@pytest.fixture
def left_over(sandbox: Sandbox) -> LeftOver:
    """Return what finds processes of this test process's fake solvers and their files that are still there."""

    def find() -> list[str]:
        assert sandbox._server is not None
        found = [path.name for path in Path(tempfile.gettempdir()).glob(f"satcost-run-{sandbox._server.pid}-*")]
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if MARK.encode() in (entry / "cmdline").read_bytes():
                        found.append(entry.name)
                except OSError:
                    continue
        return found

    return find


def test_answers_and_statistics(run: Run, left_over: LeftOver) -> None:
    sat, unsat = run("solve"), run("solve", UNSATISFIABLE)
    assert (sat.status, unsat.status, sat.detail) == ("SAT", "UNSAT", "")
    # Propagations are printed in millions: no count.
    assert (sat.conflicts, sat.decisions, sat.propagations, sat.restarts) == (12, 34, None, 7)
    assert 0 < sat.cpu_s < 20 and 0 < sat.wall_s < 60 and 3 < sat.peak_memory_mb < 1024
    assert left_over() == []


def test_exit_code_zero_is_an_answer_too(run: Run) -> None:
    assert run("exit-0").status == "SAT"
    assert run("exit-0", UNSATISFIABLE).status == "UNSAT"


def test_model_in_one_line_without_an_end(run: Run) -> None:
    assert run("one-line").status == "SAT"


def test_result_file_of_minisat(run: Run) -> None:
    assert run("result-file", rest="{cnf} {out}").status == "SAT"
    assert run("result-file", UNSATISFIABLE, rest="{cnf} {out}").status == "UNSAT"


def test_seed_goes_to_the_program_or_shuffles_the_formula(sandbox: Sandbox) -> None:
    own = define("seed", "{cnf} {seed}")
    seeded = [run_solver(sandbox, own, SATISFIABLE, seed=seed) for seed in (0, 5)]
    assert [found.restarts for found in seeded] == [0, 5]
    assert seeded[0].decisions == seeded[1].decisions  # a checksum of the file
    monkey = register_external(f"shuffling={sys.executable} -S -E {FAKE} seed {{cnf}} 1")
    shuffled = [run_solver(sandbox, monkey, SATISFIABLE, seed=seed) for seed in (0, 5)]
    assert [found.status for found in shuffled] == ["SAT", "SAT"]
    assert shuffled[0].decisions != shuffled[1].decisions


@pytest.mark.parametrize(
    ("behaviour", "detail"),
    [
        ("wrong-model", "wrong answer"),
        ("no-model", "without a model"),
        ("rubbish-model", "no list of literals"),
        ("endless-model", "more than"),
        ("rubbish", "printed no answer and exited with code 0 (what now)"),
        ("both", "contradicts itself"),
        ("exit-1", "exited with code 1"),
        ("unknown", "gave up"),
        ("segmentation-fault", "SIGSEGV"),
    ],
)
def test_what_is_no_answer_is_a_crash(run: Run, left_over: LeftOver, behaviour: str, detail: str) -> None:
    found = run(behaviour)
    assert found.status == "CRASHED"
    assert detail in found.detail
    assert left_over() == []


@pytest.mark.parametrize(
    ("behaviour", "conflicts"), [("spin", 12), ("sum-up-on-sigterm", 4321), ("ignore-sigterm", 77)]
)
def test_cpu_limit_keeps_what_was_printed(run: Run, left_over: LeftOver, behaviour: str, conflicts: int) -> None:
    found = run(behaviour, cpu_s=0.4)
    assert (found.status, found.conflicts) == ("TIMEOUT", conflicts)
    assert "CPU limit of 0.4 s" in found.detail
    # CPU time, unlike wall-clock time, doesn't depend on what else the machine does: killed within a second.
    assert 0.4 <= found.cpu_s < 1.4
    assert left_over() == []


def test_wall_limit(run: Run) -> None:
    # Long enough for it to have said something.
    found = run("sleep", wall_s=4.0)
    assert (found.status, found.conflicts) == ("TIMEOUT", 12)
    assert "wall" in found.detail
    assert found.wall_s >= 4.0 and found.cpu_s < 20


def test_time_of_children_counts_and_they_end(run: Run, left_over: LeftOver) -> None:
    found = run("fork", cpu_s=0.6)
    assert found.status == "TIMEOUT"
    # Two of them go on through the grace time.
    assert 0.6 <= found.cpu_s < 2.6
    assert left_over() == []


def test_children_left_behind_by_an_answer_are_ended(run: Run, left_over: LeftOver) -> None:
    found = run("fork-and-answer")
    assert found.status == "SAT"
    assert found.wall_s < 50
    assert left_over() == []


def test_memory_limit_of_one_process(run: Run, left_over: LeftOver) -> None:
    found = run("eat-memory", memory_mb=200)
    assert found.status == "MEMOUT"
    assert "200 MiB" in found.detail
    assert left_over() == []


def test_memory_limit_of_all_processes_together(run: Run, left_over: LeftOver) -> None:
    found = run("eat-memory-in-children", memory_mb=150)
    assert found.status == "MEMOUT"
    assert found.peak_memory_mb > 150
    assert left_over() == []


def test_address_space_that_is_reserved_is_no_memory(run: Run) -> None:
    found = run("reserve", memory_mb=256)
    assert found.status == "SAT"
    assert found.peak_memory_mb < 256


def test_what_ends_far_below_its_limit_is_no_memout_whatever_it_says(run: Run) -> None:
    found = run("bad-alloc")
    assert found.status == "CRASHED"
    assert "bad_alloc" in found.detail and "of 1024 MiB" in found.detail


def test_limit_on_conflicts_is_unsupported(sandbox: Sandbox) -> None:
    assert run_solver(sandbox, define("solve"), SATISFIABLE, conflicts=5).status == "UNSUPPORTED"


def test_program_that_vanished_is_an_error(sandbox: Sandbox, tmp_path: Path) -> None:
    program = tmp_path / "solver"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    register_external(f"vanishing={program}")
    program.unlink()
    with pytest.raises(SolverError, match="cannot be started"):
        run_solver(sandbox, "vanishing", SATISFIABLE)


def test_collecting_with_a_wrong_solver_puts_the_instance_in_quarantine(tmp_path: Path) -> None:
    path = tmp_path / "a.cnf"
    path.write_text(SATISFIABLE.to_dimacs())
    write_manifest(tmp_path / "set" / "manifest.parquet", [ManifestRow("a", "a", "f", "a.cnf", 4, 4, 40, Origin.REAL)])
    wrong = define("always-unsat")
    runs = collect([Request("a", path, name) for name in ("minisat22", wrong)], tmp_path / "set")
    assert [run.status for run in runs] == ["UNSAT", "SAT"]
    assert "python" in runs[0].solver_version and "always-unsat" in runs[0].solver_version
    dataset = Dataset.open(tmp_path / "set")
    assert list(dataset.contradictions) == ["a"]
    assert dataset.instances == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cadical195=cadical {cnf}", "choose another name"),
        ("x=", "NAME=COMMAND"),
        ("a b=true", "NAME=COMMAND"),
        ("x=nosuchprogram {cnf}", "nosuchprogram"),
        ("x='true", "NAME=COMMAND"),
    ],
)
def test_wrong_definition(text: str, found: str) -> None:
    with pytest.raises(SolverError, match=found):
        parse_definition(text)


def test_definition() -> None:
    spec = parse_definition("my=true --seed={seed} -q")
    assert spec.name == "my"
    assert Path(spec.command[0]).is_absolute()
    assert spec.command[1:] == ("--seed={seed}", "-q", "{cnf}")


def test_one_name_stands_for_one_command() -> None:
    register_external("x=true 1")
    assert register_external("x=true 1") == "x"
    assert "sha256" in solver_spec("x").version and solver_spec("x").version.endswith(": true 1 {cnf}")
    with pytest.raises(SolverError, match="choose another"):
        register_external("x=true 2")
    with pytest.raises(SolverError, match="NAME=COMMAND"):
        solver_spec("y")


STATISTICS = {
    # Ends of the outputs of MiniSat 2.2.1, CaDiCaL 1.5.3 and Kissat, and lines of Glucose and CryptoMiniSat.
    "minisat": """restarts              : 3
conflicts             : 310            (62000 /sec)
decisions             : 420            (0.00 % random) (84000 /sec)
propagations          : 9021           (1804200 /sec)
conflict literals     : 2722           (18.35 % deleted)
""",
    "cadical": """c --- [ statistics ] ---------------------------------------------------------
c chronological:                   0         0.00 %  of conflicts
c conflicts:                     310     62000.00    per second
c decisions:                     420     84000.00    per second
c propagations:                 9021         1.80 M  per second
c restarts:                        3       103.33    interval
""",
    "kissat": """c conflicts:                              310            62000.00 per second
c decisions:                              420                1.35 per conflict
c propagations:                          9021          1804200    per second
c restarts:                                 3              103.33 interval
c switched:                                 0                0    interval
""",
    "glucose": """c restarts              : 3 (103 conflicts in avg)
c nb ReduceDB           : 0
c conflicts             : 310            (62000 /sec)
c decisions             : 420            (0.00 % random) (84000 /sec)
c propagations          : 9021           (1804200 /sec)
""",
    "cryptominisat": """c restarts                 : 3           (103.33    confls per restart)
c blocked restarts         : 0           (0.00      per normal restart)
c decisions                : 420         (0.00      % random)
c propagations             : 9021        (29.10     props/conflict)
c conflicts                : 310         (62000.00  / sec)
c conf lits non-minim      : 2722        (8.78      lit/confl)
""",
    "picosat": """c 7 iterations
c 3 restarts
c 0 failed literals
c 310 conflicts
c 420 decisions
c 105 fixed variables
c 9021 propagations
c 7.9 megaprops/second
""",
}


@pytest.mark.parametrize("solver", STATISTICS)
def test_statistics_of_known_solvers(solver: str) -> None:
    output = SolverOutput(10)
    output.feed(STATISTICS[solver].encode())
    output.close()
    assert output.counts == {"conflicts": 310, "decisions": 420, "propagations": 9021, "restarts": 3}


def test_statistics_of_clasp() -> None:
    output = SolverOutput(10)
    output.feed(
        b"""c Choices        : 420
c Conflicts      : 310      (Analyzed: 309)
c Restarts       : 3        (Average: 103.33 Last: 12)
c Lemmas         : 309      (Deleted: 0)
c   Conflict     : 305      (Average Length:    6.4 Ratio: 100.00%)
c Backjumps      : 305      (Average:  1.16 Max:   5 Sum:    984)
"""
    )
    output.close()
    # It tells no propagations.
    assert output.counts == {"conflicts": 310, "decisions": 420, "restarts": 3}


BANNER = b"c --- [ banner ] ---------\nc \nc CaDiCaL Radically Simplified CDCL SAT Solver\nc Version sc2021\n"
SECTION = b"c --- [ statistics ] -----\nc \nc decisions:       5     12.00    per second\n"
ZEROS = {"conflicts": 0, "decisions": 5, "propagations": 0, "restarts": 0}


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        # CaDiCaL prints no count that is zero.
        (BANNER + SECTION + b"c --- [ resources ] -----\n", ZEROS),
        # The end of the section is not there: it was cut off, or more may follow.
        (BANNER + SECTION, {"decisions": 5}),
        (BANNER, {}),
        (BANNER + b"c --- [ parsing ] ---\nc --- [ solving ] ---\n", {}),
        # Another solver may leave out what it doesn't count.
        (SECTION + b"c --- [ resources ] -----\n", {"decisions": 5}),
    ],
)
def test_a_count_that_cadical_leaves_out_is_zero(text: bytes, counts: dict[str, int]) -> None:
    output = SolverOutput(10)
    output.feed(text)
    output.close()
    assert output.counts == counts


@pytest.mark.parametrize("size", [1, 7, 64, 10**9])
def test_output_in_pieces(size: int) -> None:
    text = b"c x\ns SATISFIABLE\nv 1 -2 3\nv " + b" ".join(b"%d" % k for k in range(4, 300)) + b"\nv 0\nc restarts: 4"
    output = SolverOutput(300)
    output.longest_line = 100
    for start in range(0, len(text), size):
        output.feed(text[start : start + size])
    output.close()
    assert output.model().tolist() == [1, -2, 3, *range(4, 300)]
    assert (output.answers, output.counts, output.malformed) == (["SAT"], {"restarts": 4}, "")


def test_long_rubbish_is_not_held() -> None:
    output = SolverOutput(3)
    for _ in range(64):
        output.feed(b"x" * (1 << 18))
        assert len(output._held) <= (1 << 20)
    output.feed(b" s SATISFIABLE\ns UNSATISFIABLE\n")
    output.close()
    assert output.answers == ["UNSAT"]


def test_registry_is_of_this_process_only() -> None:
    name = define("solve")
    assert name in solvers._registered and name not in solvers.SOLVERS
    assert os.sep in solver_spec(name).version


def test_the_model_comes_along_if_it_is_wanted(sandbox: Sandbox) -> None:
    spec = solver_spec(define("solve"))
    call = spec.child_call(SATISFIABLE, seed=0, cpu_s=5, wall_s=20, memory_mb=2048, conflicts=None)
    assert "model" not in sandbox.run(call.function, call.kwargs, call.limits).value
    found = sandbox.run(call.function, {**call.kwargs, "with_model": True}, call.limits).value
    assert found["status"] == "SAT" and satisfies(SATISFIABLE, found["model"])
