"""What a decision is charged, and what its runs come to: one rule for commands, reports, benchmarks and fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.selection_metrics import par

#: Stages whose seconds are charged to a decision. Reading the file is not among them: every solver has to do it.
CHARGED_STAGES = ("plain run", "features", "probe", "probe replicate", "graph", "inference")
# Stages that only estimators with certain needs ask for.
_NEEDED_FOR = {"features": "static", "graph": "graph", "probe replicate": "online"}


def charged_stages(needs: Sequence[str]) -> tuple[str, ...]:
    """Return the stages that are charged to a decision by an estimator with these needs."""
    return tuple(stage for stage in CHARGED_STAGES if _NEEDED_FOR.get(stage) in (None, *needs))


def charge(timings: Mapping[str, Any], stages: Sequence[str] = CHARGED_STAGES) -> Any:
    """Return the seconds that are charged to a decision: a number, or an array where the stages have arrays.

    Parameters
    ----------
    timings
        Stage -> CPU seconds of an instance or a prediction, or ``float64[n]`` of several.
    stages
        Stages that the decision needs; what no timing is given for costs nothing.
    """
    return sum((timings[stage] for stage in stages if stage in timings), start=0.0)


@dataclass(frozen=True)
class Slice:
    """One run of a solver, from its beginning.

    Parameters
    ----------
    solver
        Its name.
    cpu_s
        CPU seconds after which it is stopped.
    """

    solver: str
    cpu_s: float


@dataclass(frozen=True)
class Plan:
    """What a policy runs on one instance.

    Parameters
    ----------
    cores
        For each core its runs in order, once the instance is predicted; empty if the early search has solved it.
    first, first_s
        The solver that runs before anything is predicted, and for how many CPU seconds; it is paused meanwhile. Where
        it is one of ``cores``, it goes on.
    """

    cores: tuple[tuple[Slice, ...], ...]
    first: str = ""
    first_s: float = 0.0


def score(plan: Plan, runtime_s: Mapping[str, float], limit_s: float, overhead_s: float = 0.0, k: float = 2.0) -> float:
    """Return the PAR-k of a plan on an instance, given what each solver takes.

    Parameters
    ----------
    plan
        What is run.
    runtime_s
        Solver -> CPU seconds it takes; infinite if it gives no answer.
    limit_s
        Seconds for everything; from there on nothing is predicted either.
    overhead_s
        Seconds that the prediction takes: see :func:`charge`.
    k
        Penalty factor.
    """
    alone = runtime_s[plan.first] if plan.first else float("inf")
    spent = plan.first_s + overhead_s
    seconds = float("inf")
    if plan.first and alone <= min(plan.first_s, limit_s):
        seconds = alone
    elif plan.first and spent >= limit_s:
        pass
    elif not plan.cores:
        seconds = spent
    else:
        for core in plan.cores:
            start = spent
            for part in core:
                # What has run first goes on where it was.
                used = plan.first_s if part.solver == plan.first else 0.0
                if runtime_s[part.solver] - used <= part.cpu_s:
                    seconds = min(seconds, start + runtime_s[part.solver] - used)
                    break
                start += part.cpu_s
    return float(par(seconds, np.isfinite(seconds), limit_s, k))


def runtimes(row: NDArray[np.float64], solvers: Sequence[str], limit_s: float) -> dict[str, float]:
    """Return solver -> CPU seconds on one instance, infinite beyond a limit, from its measured or penalised costs."""
    return {name: float(value) if value <= limit_s else np.inf for name, value in zip(solvers, row, strict=True)}
