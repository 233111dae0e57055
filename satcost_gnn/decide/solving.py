"""What solving an instance is told, and what it tells: settings, progress, the runs on the way, and the solution."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from satcost_gnn.decide.objective import Objective
from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.text_stream import STANDARD_LIMITS, ReadLimits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from satcost_gnn.decide.planned_schedule import Schedule
    from satcost_gnn.decide.solver_child import Glimpse

#: Exit codes of the SAT competitions.
EXIT_CODES: Mapping[str, int] = {"SAT": 10, "UNSAT": 20, "UNKNOWN": 0}
_SEED = re.compile(r"(.+):seed=(\d+)")


@dataclass(frozen=True, order=True)
class Member:
    """A solver, or a configuration of one (``solver:configuration``), with a seed.

    The seed is 0 for the formula as it is, else that of :func:`~satcost_gnn.formula.shuffle.seeded`.
    """

    solver: str
    seed: int = 0

    @property
    def name(self) -> str:
        """What it is called: ``cadical195``, ``cadical195:sat``, ``cadical195:seed=1``."""
        return f"{self.solver}:seed={self.seed}" if self.seed else self.solver

    @classmethod
    def of(cls, name: str) -> Self:
        """Return the member of a name; a name without a seed is that of a solver."""
        found = _SEED.fullmatch(name)
        return cls(found[1], int(found[2])) if found else cls(name)


@dataclass(frozen=True)
class SolveSettings:
    """How to solve.

    Parameters
    ----------
    time_limit_s
        Wall-clock seconds for everything: reading, probe, prediction, runs. (The slices of a schedule are CPU seconds.)
    memory_limit_mb
        Mebibytes of all solvers that run at a time together, reading the formula included.
    cores
        Solvers that run at a time.
    copula_correlation
        See :class:`~satcost_gnn.decide.schedule_search.ScheduleSettings`; None for the checkpoint's.
    proof
        File for a proof of unsatisfiability; only solvers that write one are run then.
    proof_as_text
        Whether a proof that the solver writes in binary is turned into text.
    programs
        Solver of the checkpoint -> registered name of the program that is run in its place.
    watch
        Whether running solvers are watched, so that progress tells what they have done. It slows them down a little,
        and changes the search of CaDiCaL.
    read
        How much of a file is read, and how strictly.

    Raises
    ------
    ConfigError
        If a number is out of range.
    """

    time_limit_s: float = 5000.0
    memory_limit_mb: int = 4096
    cores: int = 1
    objective: Objective = Objective.PAR2
    copula_correlation: float | None = None
    proof: Path | None = None
    proof_as_text: bool = False
    programs: Mapping[str, str] = field(default_factory=dict)
    watch: bool = False
    read: ReadLimits = STANDARD_LIMITS

    def __post_init__(self) -> None:
        if not (math.isfinite(self.time_limit_s) and self.time_limit_s > 0):
            raise ConfigError(f"found a time limit of {self.time_limit_s:g} s; expected a positive number of seconds")
        if self.memory_limit_mb < 1:
            raise ConfigError(f"found a memory limit of {self.memory_limit_mb} MiB; expected at least 1")
        if self.cores < 1:
            raise ConfigError(f"found {self.cores} cores; expected at least 1")


@dataclass(frozen=True)
class Attempt:
    """One run of a solver on the way to an answer.

    Parameters
    ----------
    solver
        The solver, with its seed if that is not 0 (see :class:`Member`); ``program`` is
        what was run in its place, if anything.
    status
        ``SAT``, ``UNSAT``, ``TIMEOUT``, ``MEMOUT``, ``CRASHED``, ``WRONG`` (its model doesn't satisfy the formula),
        ``DECLINED`` (it takes no such formula) or ``CANCELLED`` (another one was first).
    limit_s
        CPU seconds that it was given.
    cpu_s, wall_s
        Seconds used, by a cancelled run too.
    start_s
        Wall seconds from the beginning of everything to its start.
    core
        Where it ran, from 0.
    """

    solver: str
    program: str
    status: str
    limit_s: float
    cpu_s: float
    wall_s: float
    start_s: float
    core: int
    detail: str = ""


@dataclass(frozen=True)
class Progress:
    """What is going on, for a live line.

    Parameters
    ----------
    elapsed_s
        Wall seconds since the beginning of everything.
    phase
        ``reading``, ``probing`` or ``solving``.
    running
        Solver -> what it has been seen to have done, None as long as nothing is known.
    """

    elapsed_s: float
    phase: str
    running: Mapping[str, Glimpse | None] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Solution:
    """What came of solving an instance.

    Parameters
    ----------
    status
        ``SAT``, ``UNSAT`` or ``UNKNOWN``.
    model
        ``int32[n_vars]``: a literal of each variable that satisfies the formula; None unless satisfiable.
    solver
        Who found the answer; ``probe``, or empty for formulas that need no solver.
    attempts
        Runs in the order in which they ended.
    schedule
        What was to be run; None if nothing was.
    proof
        Where the proof of unsatisfiability was written.
    source
        Where the prediction comes from; ``presolving`` if none was needed.
    reason
        Why there is no answer, or why the prediction is a fallback's.
    wall_s
        Wall seconds for everything.
    timings
        Seconds of the stages before the runs: CPU time, and for reading the file (``parse``) wall time.
    warnings
        What was odd about the input but readable.
    """

    path: str
    status: str
    model: NDArray[np.int32] | None
    solver: str
    attempts: tuple[Attempt, ...]
    schedule: Schedule | None
    proof: Path | None
    source: str
    reason: str
    wall_s: float
    timings: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """10, 20 or 0, as in the SAT competitions."""
        return EXIT_CODES[self.status]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON, without the model; docs/portfolio.md describes them."""
        return {
            "path": self.path,
            "status": self.status,
            "solver": self.solver,
            "attempts": [asdict(attempt) for attempt in self.attempts],
            "schedule": self.schedule.to_json() if self.schedule is not None else None,
            "proof": str(self.proof) if self.proof is not None else None,
            "source": self.source,
            "reason": self.reason,
            "wall_s": self.wall_s,
            "timings": dict(self.timings),
            "warnings": list(self.warnings),
        }
