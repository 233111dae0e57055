"""What a probe is asked for, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import SolverError
from satcost_gnn.runtime.sandbox import Limits
from satcost_gnn.search.solvers import SOLVERS, Probing

if TYPE_CHECKING:
    from satcost_gnn.search.trace import Trace

PROBE_VERSION = "1"
"""Changes whenever the same settings would give another trace."""

ONLINE_VERSION = "1"
"""Of the features of the early search: changes whenever one is removed or computed otherwise."""

ONLINE_ADDED = 1
"""Raised whenever such features are added; what was trained on fewer goes on working."""

PROBE_REPLICATE_VERSION = 1
"""Raised whenever another copy is made or other features are told of it; see :mod:`.probe_replicate`."""

ProbeStatus = Literal["SAT", "UNSAT", "UNKNOWN", "TIMEOUT", "MEMOUT", "CRASHED", "ERROR", "CANCELLED"]


@dataclass(frozen=True)
class ProbeSettings:
    """What to run and for how long.

    Parameters
    ----------
    solver
        ``cadical195``, ``cadical300``, ``minisatep`` (MiniSat 2.2, Luby restarts) or ``ergo`` (tuned as MiniSat 2.0,
        geometric restarts). The MiniSats report several conflicts in a row without a decision between them as one, and
        no proof of theirs is read.
    max_events
        Logged calls after which the search ends at the next backtrack: assignments of observed variables (scaled up to
        all variables) and two a decision. Bounds the time of the probe on formulas with long trails.
    max_observed
        Variables whose assignments are listened to; of a larger formula, a fixed pseudo-random sample is.
    seed
        Seed of that sample.
    options
        Options of CaDiCaL set on top of ``chronoreusetrail=0``.
    cpu_s
        CPU seconds, reading the file included, after which the search ends at the next backtrack and hands over what it
        has seen. A child that still has not ended after another quarter of that and two seconds is killed.
    wall_s, memory_mb
        Limits on the child.
    """

    solver: str = "cadical195"
    conflicts: int = 2000
    max_events: int = 5_000_000
    max_observed: int = 50_000
    seed: int = 0
    options: tuple[tuple[str, int], ...] = ()
    cpu_s: float = 10.0
    wall_s: float = 60.0
    memory_mb: int = 4096

    def __post_init__(self) -> None:
        probed = [name for name, spec in SOLVERS.items() if spec.probing is not None]
        if self.solver not in probed:
            raise SolverError(f"found solver {self.solver!r}; expected one that can be probed: {', '.join(probed)}")
        if self.options and not self.probing.more_options:
            raise SolverError(f"{self.solver} takes no options; leave them out or probe a CaDiCaL")
        for name in ("conflicts", "max_events", "max_observed"):
            if getattr(self, name) < 1:
                raise SolverError(f"ProbeSettings.{name} must be at least 1; got {getattr(self, name)!r}")
        object.__setattr__(self, "options", tuple((str(name), int(value)) for name, value in self.options))

    @property
    def probing(self) -> Probing:
        """How the solver is probed."""
        found = SOLVERS[self.solver].probing
        assert found is not None
        return found

    @property
    def solver_options(self) -> dict[str, int | str]:
        """Options that the solver is configured with."""
        return {**SOLVERS[self.solver].options, **dict(self.probing.options), **dict(self.options)}

    def key(self) -> str:
        """Return a string that changes with anything that may change the result: for keys of caches."""
        import pysat

        options = "".join(f",{name}={value}" for name, value in sorted(self.solver_options.items()))
        return (
            f"probe{PROBE_VERSION}-{self.solver}@{pysat.__version__}{options}-c{self.conflicts}-e{self.max_events}"
            f"-o{self.max_observed}-s{self.seed}-{self.cpu_s:g}s-{self.wall_s:g}s-{self.memory_mb}M"
        )

    @property
    def limits(self) -> Limits:
        """Limits that the child is killed at."""
        return Limits(cpu_s=1.25 * self.cpu_s + 2.0, wall_s=self.wall_s, memory_mb=self.memory_mb)


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """What became of a probe.

    Parameters
    ----------
    status
        ``SAT`` or ``UNSAT``: solved on the way. ``UNKNOWN``: the budget was used up, the normal end. ``TIMEOUT``,
        ``MEMOUT``, ``CRASHED``, ``ERROR``: a limit, the solver's death, or a Python exception.
    trace
        What was seen; None if nothing came back.
    conflicts, decisions, propagations, restarts
        The solver's own counters; None if nothing came back.
    cpu_s
        CPU seconds of the child, everything included.
    detail
        What happened, in words; empty for the normal ends.
    truncated
        Whether the search ended before the conflicts asked for, though unsolved.
    events
        Calls of the solver that were logged.
    timings
        CPU seconds of ``parse`` (only if the child read the file), ``load``, ``search`` and ``trace``.
    peak_memory_mb
        Largest resident set of the child in mebibytes.
    numbers
        ``int32[C]``: conflicts that the solver had counted at each conflict of the trace, itself included; None if
        nothing came back. For a CaDiCaL, which can't be asked, they are 1, 2, ..., C: it reports nearly every one.
    model
        ``int32[n]``: literals of the model where it was found satisfiable by searching; not kept in caches.
    """

    status: ProbeStatus
    trace: Trace | None
    conflicts: int | None
    decisions: int | None
    propagations: int | None
    restarts: int | None
    cpu_s: float
    detail: str = ""
    truncated: bool = False
    events: int = 0
    timings: dict[str, float] = field(default_factory=dict)
    peak_memory_mb: float = 0.0
    settings: ProbeSettings = field(default_factory=ProbeSettings)
    numbers: NDArray[np.int32] | None = None
    model: NDArray[np.int32] | None = None

    @property
    def solved(self) -> bool:
        """Whether the instance was solved on the way."""
        return self.status in ("SAT", "UNSAT")
