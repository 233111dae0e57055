"""What a decision is charged, and what its runs come to: one rule for commands, reports, benchmarks and fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.selection_metrics import par

#: Stages whose seconds are charged to a decision. Reading the file is not among them: every solver has to do it.
CHARGED_STAGES = ("plain run", "features", "probe", "probe replicate", "graph", "inference")
#: No solver declines.
NOTHING_DECLINED: Mapping[str, float] = MappingProxyType({})
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
    """One run of a solver, from its beginning, and the CPU seconds after which it is stopped."""

    solver: str
    cpu_s: float


@dataclass(frozen=True)
class Plan:
    """What a policy runs on one instance.

    Parameters
    ----------
    cores
        For each core its runs in order, once the instance is predicted; empty if the early search has solved it.
    turns
        What runs before anything is predicted; a solver that comes again, there or in ``cores``, goes on.
    predicted
        Whether anything is predicted at all: else that costs nothing.
    """

    cores: tuple[tuple[Slice, ...], ...]
    turns: tuple[Slice, ...] = ()
    predicted: bool = True


class _Runs:
    """Runs on one instance, one after the other; who comes again goes on."""

    def __init__(
        self,
        runtime_s: Mapping[str, float],
        declined_s: Mapping[str, float],
        spent_s: float,
        had_s: Mapping[str, float],
    ) -> None:
        self.runtime_s, self.declined_s, self.spent_s, self.had_s = runtime_s, declined_s, spent_s, dict(had_s)

    def answered_s(self, slices: Sequence[Slice]) -> float:
        """Return the seconds in all when a slice has answered; infinite if none has."""
        for part in slices:
            had = self.had_s.get(part.solver, 0.0)
            need = self.runtime_s.get(part.solver, float("inf")) - had
            if need <= part.cpu_s:
                return self.spent_s + need
            self.spent_s += min(part.cpu_s, self.declined_s.get(part.solver, float("inf")))
            self.had_s[part.solver] = had + part.cpu_s
        return float("inf")


def score(
    plan: Plan,
    runtime_s: Mapping[str, float],
    limit_s: float,
    overhead_s: float = 0.0,
    k: float = 2.0,
    declined_s: Mapping[str, float] = NOTHING_DECLINED,
) -> float:
    """Return the PAR-k of a plan on an instance, given what each solver takes.

    Parameters
    ----------
    runtime_s
        Solver -> CPU seconds it takes; infinite or missing if it gives no answer.
    limit_s
        Seconds for everything; from there on nothing is predicted either.
    overhead_s
        Seconds that the prediction takes: see :func:`charge`.
    k
        Penalty factor.
    declined_s
        Solver -> CPU seconds after which it declines the instance; any other has all of its slice.
    """
    before = _Runs(runtime_s, declined_s, 0.0, {})
    seconds = before.answered_s(plan.turns)
    spent = before.spent_s + (overhead_s if plan.predicted else 0.0)
    if np.isinf(seconds) and not (plan.turns and spent >= limit_s):
        ends = [_Runs(runtime_s, declined_s, spent, before.had_s).answered_s(core) for core in plan.cores]
        # Without runs it is the early search that has answered.
        seconds = min(ends, default=spent)
    return float(par(seconds, np.isfinite(seconds), limit_s, k))


def runtimes(row: NDArray[np.float64], solvers: Sequence[str], limit_s: float) -> dict[str, float]:
    """Return solver -> CPU seconds on one instance, infinite beyond a limit, from its measured or penalised costs."""
    return {name: float(value) if value <= limit_s else np.inf for name, value in zip(solvers, row, strict=True)}
