"""``satcost solve``: solve a formula with the portfolio; output and exit codes as in the SAT competitions."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

from satcost_gnn.cli.beginning import command_began
from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.numbers import SECONDS
from satcost_gnn.cli.options import (
    Checkpoint,
    Cores,
    Device,
    Json,
    Memory,
    Objective,
    Programs,
    Relaxed,
    Solvers,
    chosen_format,
)
from satcost_gnn.cli.solver_comments import (
    TERMINATED,
    Terminated,
    comments,
    comments_when_terminated,
    terminable,
)
from satcost_gnn.cli.terminal import columns, shortened
from satcost_gnn.decide import objective as objectives
from satcost_gnn.decide.run import PortfolioSolver, Progress, Solution, SolveSettings, programs_of
from satcost_gnn.decide.time_left import LONGER
from satcost_gnn.errors import ConfigError, FormulaError, OutputError
from satcost_gnn.formula.text_stream import ReadLimits
from satcost_gnn.runtime.output_files import check_outputs, write_json
from satcost_gnn.runtime.progress import is_terminal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LINES = {"SAT": "s SATISFIABLE", "UNSAT": "s UNSATISFIABLE", "UNKNOWN": "s UNKNOWN"}
# Characters of a `v` line at most, as the SAT competitions ask for.
_LINE_LENGTH = 78


@dataclass(frozen=True)
class SolveOptions:
    """Options of the command."""

    path: Annotated[
        str, typer.Argument(metavar="FILE", help="A DIMACS file, compressed or not; - is standard input.")
    ] = "-"
    checkpoint: Checkpoint = None
    objective: Objective = "par2"
    proof_path: Annotated[
        Path | None, typer.Argument(metavar="[PROOF]", help="The same as --proof, as other solvers take it.")
    ] = None
    limit: Annotated[
        float, typer.Option("--limit", "--time", parser=SECONDS, help="Wall-clock seconds for everything.")
    ] = 5000.0
    memory: Memory = 4096
    cores: Cores = 1
    solvers: Solvers = None
    programs: Programs = None
    proof: Annotated[
        Path | None,
        typer.Option(help="Write a proof of unsatisfiability (DRAT or DRUP); only solvers that give one are run."),
    ] = None
    binary: Annotated[
        bool,
        typer.Option(
            "--binary/--no-binary",
            help="The proof as its solver writes it, which for CaDiCaL is binary; --no-binary: as text.",
        ),
    ] = True
    watch: Annotated[
        bool,
        typer.Option(
            "--watch/--no-watch",
            help="Watch the running solvers, to show on standard error what they have done and what is left. It costs "
            "time: CaDiCaL restarts whenever it is looked at, and may take twice as long.",
        ),
    ] = False
    model: Annotated[bool, typer.Option("--model/--no-model", " /-n", help="Print the model.")] = True
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="No `c` lines, and on standard error nothing but errors.")
    ] = False
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write what was run and what came of it to FILE, as JSON.")
    ] = None
    output_format: Annotated[
        str,
        typer.Option("--format", help="On standard output: text (`s` and `v` lines), or json, with what was run."),
    ] = "text"
    as_json: Json = False
    device: Device = "auto"
    relaxed: Relaxed = False


def model_lines(model: NDArray[np.int32]) -> list[str]:
    """Return ``v`` lines of a model, the last one ending in 0."""
    lines, line = [], "v"
    for word in [*map(str, model.tolist()), "0"]:
        if len(line) + 1 + len(word) > _LINE_LENGTH:
            lines.append(line)
            line = "v"
        line += " " + word
    return [*lines, line]


def progress_text(progress: Progress) -> str:
    """Return the live line: wall seconds in all, and of each watched solver its CPU seconds, spent and left."""
    parts = [f"{progress.elapsed_s:.0f} s"]
    if progress.phase != "solving":
        parts.append(progress.phase)
    for solver, seen in progress.running.items():
        if seen is None:
            parts.append(f"{solver} is running")
            continue
        if seen.remaining_s is None:
            left = seen.unknown if seen.unknown == LONGER else "time left unknown"
        else:
            middle, low, high = seen.remaining_s
            left = f"{middle:.3g} ({low:.3g} to {high:.3g}) CPU s left"
        late = ", probably not within the limit" if seen.late else ""
        parts.append(f"{solver} {seen.cpu_s:.0f} CPU s, {seen.conflicts:,} conflicts, {left}{late}")
    return " | ".join(parts)


class LiveLine:
    """What is going on, on a line of standard error that is written over and over, if shown; taken away at the end."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._width = 0
        #: What was going on last.
        self.seen: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._write("")

    def __call__(self, progress: Progress) -> None:
        """Show it."""
        self.seen = progress
        if self._shown:
            self._write(progress_text(progress))

    def _write(self, text: str) -> None:
        if self._shown:
            # A longer line would be wrapped, and could not be written over.
            text = shortened(text, columns(sys.stderr) - 1)
            sys.stderr.write("\r" + text.ljust(self._width) + ("\r" if not text else ""))
            sys.stderr.flush()
            self._width = len(text)


def _tell(solution: Solution) -> None:
    for warning in solution.warnings:
        print(f"satcost: {solution.path}: {warning}", file=sys.stderr)
    for attempt in solution.attempts:
        if attempt.status in ("CRASHED", "MEMOUT", "WRONG"):
            print(f"satcost: {attempt.solver}: {attempt.status}: {attempt.detail}", file=sys.stderr)
    if solution.reason:
        print(f"satcost: {solution.path}: {solution.reason}", file=sys.stderr)


def run_solve(options: SolveOptions) -> int:
    """Solve a CNF with the portfolio: probe, schedule, limited child processes, a checked answer.

    Prints `s SATISFIABLE`, `s UNSATISFIABLE` or `s UNKNOWN`, and `v` lines. Exit code 10: satisfiable; 20:
    unsatisfiable; 0: unknown; 1: the file could not be read; 2: wrong usage.
    """
    form = chosen_format(options.output_format, options.as_json)
    if options.path == "-" and sys.stdin is not None and is_terminal(sys.stdin):
        raise ConfigError("found no input; name a DIMACS file, or pipe one into the command")
    if options.proof is not None and options.proof_path is not None:
        raise ConfigError(f"found {options.proof_path} and --proof {options.proof}; expected one of them")
    proof = options.proof or options.proof_path
    check_outputs({"--proof": proof, "--report": options.report}, [options.path])
    settings = SolveSettings(
        time_limit_s=options.limit,
        memory_limit_mb=options.memory,
        cores=options.cores,
        objective=objectives.Objective.of(options.objective),
        proof=proof,
        proof_as_text=not options.binary,
        programs=programs_of(options.programs or []),
        watch=options.watch,
        read=ReadLimits(relaxed=options.relaxed),
    )
    began = command_began()
    line = LiveLine(not options.quiet and (options.watch or is_terminal(sys.stderr)))
    with PortfolioSolver.from_checkpoint(
        options.checkpoint, settings, solvers=options.solvers, device=options.device
    ) as solver:
        try:
            with line, terminable():
                solution = solver.solve(options.path, line, begin=began)
        except FormulaError as error:
            print(f"satcost: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("s UNKNOWN")
            print("satcost: interrupted", file=sys.stderr)
            return 130
        except Terminated:
            if not options.quiet:
                print("\n".join(comments_when_terminated(line.seen, began)))
            print("s UNKNOWN", flush=True)
            return TERMINATED
    if not options.quiet:
        _tell(solution)
    # Of what has been answered without a prediction there is nothing to say.
    predicted = solution.schedule is not None and options.cores == 1
    if not options.quiet and predicted and (note := solver.predictor.cutoff_note(options.limit)):
        print(f"satcost: {note}", file=sys.stderr)
    if form == "json":
        model = solution.model if options.model else None
        print(json.dumps({**solution.to_json(), "model": None if model is None else model.tolist()}))
    else:
        print(_LINES[solution.status])
    if form == "text" and solution.model is not None and options.model:
        print("\n".join(model_lines(solution.model)))
    if form == "text" and not options.quiet:
        print("\n".join(comments(solution)))
    sys.stdout.flush()
    if options.report is not None:
        try:
            write_json(options.report, solution.to_json(), indent=1)
        except OutputError as error:
            # The answer has been given, and its exit code tells it.
            print(f"satcost: --report: {error}", file=sys.stderr)
    return solution.exit_code


app = command_app(
    "solve",
    SolveOptions,
    run_solve,
    {
        "--time-limit": "--limit",
        "--memory-limit": "--memory",
        "--live": "--watch",
        "--no-live": "--no-watch",
    },
    {"--json": "--report"},
)
