"""A schedule: which solvers run for how long, on which core, and what to expect of it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from satcost_gnn.core.observed import known
from satcost_gnn.decide.scoring import Slice
from satcost_gnn.errors import ConfigError
from satcost_gnn.runtime.output_files import replacing


@dataclass(frozen=True)
class Schedule:
    """What to run, and what is expected of it.

    Parameters
    ----------
    cores
        For each core its slices in order.
    time_limit_s
        Seconds that each core has.
    objective
        What was minimised.
    value
        Its predicted value: seconds, or the probability of not solving; NaN where the limit lies beyond what the
        training labels tell about.
    expected_s
        Predicted seconds until the answer or the limit; NaN likewise.
    p_solved
        Predicted probability of an answer within the limit; NaN likewise.
    copula_correlation
        Share of the variance of the solvers' costs that they are taken to have in common.
    instances, paths
        Number of instances that the schedule is for, and which.
    overhead_s
        CPU seconds that features, probe and inference took.
    status, result
        ``planned``; ``solved``: the probe has solved the instance (``SAT`` or ``UNSAT``) and there is nothing to run;
        ``error``: no input could be read.
    error, warnings
        What could not be read, and what was odd about inputs but readable, one line each.
    reason
        Why these solvers, for one instance.
    known_up_to_s
        CPU seconds beyond which the training labels tell nothing.
    """

    cores: tuple[tuple[Slice, ...], ...]
    time_limit_s: float
    objective: str
    value: float
    expected_s: float
    p_solved: float
    copula_correlation: float
    instances: int = 1
    paths: tuple[str, ...] = ()
    overhead_s: float = 0.0
    status: str = "planned"
    result: str = ""
    error: str = ""
    reason: str = ""
    known_up_to_s: float = float("inf")
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON, None for what is unknown; docs/portfolio.md describes them."""
        unknown = {name: known(getattr(self, name)) for name in ("value", "expected_s", "p_solved", "known_up_to_s")}
        return {**asdict(self), **unknown}

    def as_observed(self, bound_s: float, spent_s: float = 0.0) -> Schedule:
        """Return the schedule with nothing said of what no label tells: what happens within a limit beyond a bound."""
        nothing = float("nan")
        if self.time_limit_s + spent_s <= bound_s:
            return replace(self, known_up_to_s=bound_s)
        return replace(self, value=nothing, expected_s=nothing, p_solved=nothing, known_up_to_s=bound_s)


def write_aslib_schedules(path: Path, schedules: Mapping[str, Schedule]) -> None:
    """Write sequential schedules as the table ``instanceID,runID,solver,timeLimit`` of the ASlib challenge of 2015.

    Raises
    ------
    ConfigError
        If one of them is for several cores, for which the format has no place.
    """
    with replacing(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["instanceID", "runID", "solver", "timeLimit"])
        for instance, schedule in schedules.items():
            if len(schedule.cores) > 1:
                raise ConfigError(f"{path}: the ASlib format holds sequential schedules only; take one core")
            writer.writerows(
                [instance, number, part.solver, f"{part.cpu_s:.6g}"]
                for number, part in enumerate(schedule.cores[0], start=1)
            )
