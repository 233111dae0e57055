"""How far the early search goes, by what is at stake: the time that a solver would be given."""

from __future__ import annotations

import math
from dataclasses import replace

from satcost_gnn.errors import ConfigError
from satcost_gnn.features.spec import PreprocessSettings
from satcost_gnn.search.plain_run import PlainSettings
from satcost_gnn.search.solvers import Stop, solver_spec

#: Seconds that a solver is taken to be given where nobody says.
DEFAULT_LIMIT_S = 3600.0
#: Share of the limit that the early search may take, and the least and the most seconds of it.
SHARE, LEAST_S, MOST_S = 0.01, 0.2, 30.0
#: The same in a batch, where the plain run is there to answer: at least about as long as a prediction takes, so that no
#: instance costs more than twice what it would have cost without one.
LEAST_IN_BATCH_S = 1.0
# More conflicts than are made in presolving.
_ENDLESS = 1_000_000_000
# Propagations and literal occurrences that are reckoned for a second: what a slow machine does on a large formula, so
# that these counts end the run, and CPU time only stands behind them.
_PROPAGATIONS_PER_S = 1_000_000
_LITERALS_PER_S = 1_000_000


def early_share(limit_s: float) -> float:
    """Return the CPU seconds that the early search may take where a solver would be given so many seconds.

    ConfigError if the limit is not a positive number.
    """
    if not (math.isfinite(limit_s) and limit_s > 0):
        raise ConfigError(f"limit: found {limit_s}; expected a positive number of seconds, such as 3600")
    return max(LEAST_S, min(SHARE * limit_s, MOST_S))


def within_limit(settings: PreprocessSettings, limit_s: float | None, solver: str) -> PreprocessSettings:
    """Return preprocessing with a plain run of a solver before it, as far as the limit allows.

    Parameters
    ----------
    limit_s
        Seconds that a solver would be given; None for no search at all, but reading, features and the graph.
    solver
        The solver that the checkpoint's probe runs; without a budget of conflicts to keep to there is no plain run.
    """
    if limit_s is None:
        return settings.with_features(plain=None, probe=None, dives=None, probe_replicate=False)
    share = early_share(limit_s)
    if solver_spec(solver).stop is not Stop.TERMINATE:
        return settings
    plain = PlainSettings(
        solver=solver,
        propagations=round(share * _PROPAGATIONS_PER_S),
        literals=round(share * _LITERALS_PER_S),
        cpu_s=share,
    )
    return settings.with_features(plain=plain)


def presolving(settings: PreprocessSettings, limit_s: float, solver: str) -> PreprocessSettings:
    """Return preprocessing that begins with one uninterrupted run of a solver, ended by CPU time alone.

    All of it keeps to ``limit_s``, the seconds that a solver would be given, and each of the listening searches to a
    quarter of it. What the run answers costs what the solver costs: :func:`within_limit` begins again at each stage, so
    that it ends at the same conflict on any machine, and can use twice as much. Without a way of ending the solver
    there is no such run.
    """
    share = min(max(early_share(limit_s), LEAST_IN_BATCH_S), limit_s)
    settings = settings.with_limits(cpu_s=min(settings.limits.cpu_s, limit_s))
    probe = settings.features.probe
    if probe is not None:
        settings = settings.with_features(probe=replace(probe, cpu_s=min(probe.cpu_s, limit_s / 4)))
    if solver_spec(solver).stop is Stop.TERMINATE:
        literals = round(share * _LITERALS_PER_S)
        plain = PlainSettings(solver=solver, stages=(_ENDLESS,), literals=literals, cpu_s=share)
        settings = settings.with_features(plain=plain)
    return settings
