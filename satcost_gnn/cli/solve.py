"""``satcost solve``: solve a formula with the portfolio; output and exit codes as in the SAT competitions."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import FormulaError
from satcost_gnn.portfolio.objective import Objective
from satcost_gnn.portfolio.run import PortfolioSolver, Progress, Solution, SolveSettings, programs_of
from satcost_gnn.predictor import Predictor

_LINES = {"SAT": "s SATISFIABLE", "UNSAT": "s UNSATISFIABLE", "UNKNOWN": "s UNKNOWN"}
# Characters of a `v` line at most, as the SAT competitions ask for.
_LINE_LENGTH = 78


@dataclass(frozen=True)
class SolveOptions:
    """Options of the command, as on the command line."""

    path: str
    checkpoint: str | None
    objective: str
    time_limit: float
    memory_limit: int
    cores: int
    solvers: list[str] | None
    programs: list[str]
    proof: Path | None
    live: bool | None
    model: bool
    json: Path | None
    device: str


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
    """Return the live line: elapsed time, and of each running solver what it has done and what is left."""
    parts = [f"{progress.elapsed_s:.1f} s"]
    if progress.phase != "solving":
        parts.append(progress.phase)
    for solver, seen in progress.running.items():
        if seen is None:
            parts.append(f"{solver}: remaining unknown")
            continue
        if seen.remaining_s is None:
            left = "unknown"
        else:
            middle, low, high = seen.remaining_s
            left = f"{middle:.3g} s ({low:.3g} to {high:.3g})"
        restarts = "" if seen.restarts is None else f"{seen.restarts:,} restarts, "
        parts.append(f"{solver}: {restarts}{seen.conflicts:,} conflicts, remaining {left}")
    return " | ".join(parts)


class LiveLine:
    """One line on standard error that is written over and over; taken away at the end."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write("")

    @property
    def callback(self) -> Callable[[Progress], None] | None:
        """What shows progress; None if nothing is to be shown."""
        return (lambda progress: self._write(progress_text(progress))) if self._shown else None

    def _write(self, text: str) -> None:
        if self._shown:
            sys.stderr.write("\r" + text.ljust(self._width) + ("\r" if not text else ""))
            sys.stderr.flush()
            self._width = len(text)


def _tell(solution: Solution) -> None:
    for attempt in solution.attempts:
        if attempt.status in ("CRASHED", "MEMOUT", "WRONG"):
            print(f"satcost: {attempt.solver}: {attempt.status}: {attempt.detail}", file=sys.stderr)
    if solution.reason:
        print(f"satcost: {solution.path}: {solution.reason}", file=sys.stderr)


def run_solve(options: SolveOptions) -> int:
    """Solve what the options name; return the exit code."""
    live = sys.stderr.isatty() if options.live is None else options.live
    settings = SolveSettings(
        time_limit_s=options.time_limit,
        memory_limit_mb=options.memory_limit,
        cores=options.cores,
        objective=Objective.of(options.objective),
        proof=options.proof,
        programs=programs_of(options.programs),
        watch=live,
    )
    predictor = Predictor.from_checkpoint(
        options.checkpoint, unit="cpu_seconds", solvers=options.solvers, device=options.device
    )
    with PortfolioSolver(predictor, settings) as solver:
        try:
            with LiveLine(live) as line:
                solution = solver.solve(options.path, line.callback)
        except FormulaError as error:
            print(f"satcost: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("s UNKNOWN")
            print("satcost: interrupted", file=sys.stderr)
            return 130
    _tell(solution)
    if options.json is not None:
        options.json.write_text(json.dumps(solution.to_json(), indent=1) + "\n")
    print(_LINES[solution.status])
    if solution.model is not None and options.model:
        print("\n".join(model_lines(solution.model)))
    return solution.exit_code
