"""What is predicted where the early search has found the answer already.

Where the plain run has answered, the cost of the solver that was run is known, exactly. Where only the listening probe
has, the solver alone may need more or less. What other solvers need is a prediction in both cases: from what was spent,
by the ratios that the training data show at such a cost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.bounded import join, known_cost, survived
from satcost_gnn.core.common_factor import given_survival
from satcost_gnn.core.distribution import CostDistribution, Floats, grid_for
from satcost_gnn.errors import CheckpointError
from satcost_gnn.features.instance import Instance
from satcost_gnn.runtime.output_files import write_json
from satcost_gnn.search.plain_run import PlainRun, PlainSettings

if TYPE_CHECKING:
    from satcost_gnn.data.dataset import Dataset

#: Name of the file beside each unit's estimators in a checkpoint.
RELATIVE_COST_FILE = "relative_cost.json"
#: Least conflicts of each group of instances that has ratios of its own.
LEVELS = (0, 2, 200, 2_000)
_POINTS = 101


def log10_cost(cost: float) -> float:
    """Return log10 of a cost, minus infinity for 0."""
    return float(np.log10(cost)) if cost > 0 else -math.inf


@dataclass(frozen=True)
class RelativeCosts:
    """What solvers cost relative to the one that was run, by the conflicts that this one needs.

    The offsets are, for each solver and each level of :data:`LEVELS`, evenly spaced quantiles of log10(cost / cost of
    ``solver``), infinity where it was not solved within the limit.
    """

    solver: str
    offsets: Mapping[str, tuple[Floats, ...]]

    @classmethod
    def fit(
        cls,
        dataset: Dataset,
        instances: Sequence[str],
        solvers: Sequence[str],
        unit: str,
        solver: str = PlainSettings.solver,
    ) -> RelativeCosts:
        """Take the ratios to the costs of ``solver``, of the instances that it solves, from labels."""
        effort = dataset.cost_matrix([solver], "conflicts", instances=instances)
        own = dataset.cost_matrix([solver], unit, instances=instances)
        costs = dataset.cost_matrix(solvers, unit, instances=instances)
        low = grid_for(unit).low
        usable = effort.known[:, 0] & ~effort.censored[:, 0] & own.known[:, 0] & ~own.censored[:, 0]
        # A matrix of costs doesn't tell no conflict from one.
        level = _level(np.rint(10.0 ** np.nan_to_num(effort.cost[:, 0])))
        offsets = {}
        for column, name in enumerate(solvers):
            rows = usable & costs.known[:, column]
            ratio = np.maximum(costs.cost[:, column], low) - np.maximum(own.cost[:, 0], low)
            # A level that no label belongs to is taken from all of them.
            groups = [group if group.any() else rows for group in (rows & (level == k) for k in range(len(LEVELS)))]
            offsets[name] = tuple(_quantiles(ratio[group], costs.censored[group, column]) for group in groups)
        return cls(solver, offsets)

    def predict(self, solver: str, unit: str, cost: float, conflicts: float) -> CostDistribution:
        """Return a solver's distribution, given the cost and the conflicts that the one that was run needed."""
        return _around(unit, cost, self.offsets[solver][int(_level(np.array(conflicts)))])

    def save(self, path: Path) -> None:
        """Write it as JSON, with null for what lies beyond the limit."""
        table = {
            name: [[round(v, 4) if np.isfinite(v) else None for v in part.tolist()] for part in parts]
            for name, parts in self.offsets.items()
        }
        write_json(path, {"solver": self.solver, "levels": LEVELS, "offsets": table})

    @classmethod
    def from_json(cls, found: Any, source: str) -> Self:
        """Build it from what :meth:`save` wrote; CheckpointError if it is something else."""
        try:
            if tuple(found["levels"]) != LEVELS:
                raise ValueError(f"found levels {found['levels']}, expected {list(LEVELS)}")
            offsets = {
                str(name): tuple(np.array([math.inf if v is None else v for v in part], dtype=float) for part in parts)
                for name, parts in found["offsets"].items()
            }
            if any(len(parts) != len(LEVELS) or not all(map(len, parts)) for parts in offsets.values()):
                raise ValueError(f"expected {len(LEVELS)} lists of numbers for each solver")
            return cls(str(found["solver"]), offsets)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{source}: {error}; expected relative costs of solvers") from None


def write_relative_costs(
    directory: Path, dataset: Dataset, sides: Mapping[str, str], solvers: Sequence[str], unit: str
) -> None:
    """Fit the ratios to the training side of a split (instance -> side) and write them among a unit's estimators.

    Nothing is written for a data set without runs of the solver that is compared with.
    """
    if PlainSettings.solver not in dataset.solvers:
        return
    learnt = [name for name, side in sides.items() if side == "train"]
    RelativeCosts.fit(dataset, learnt, solvers, unit).save(directory / RELATIVE_COST_FILE)


def _level(conflicts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return which of the levels numbers of conflicts belong to."""
    return np.asarray(np.searchsorted(LEVELS, conflicts, side="right") - 1, dtype=np.int64)


def _quantiles(log_ratio: Floats, censored: NDArray[np.bool_]) -> Floats:
    """Return evenly spaced quantiles of the Kaplan-Meier estimate, infinity beyond the last answer or without any."""
    if not len(log_ratio):
        return np.array([np.inf])
    order = np.lexsort((censored, log_ratio))
    values, hidden = log_ratio[order], censored[order]
    at_risk = len(values) - np.arange(len(values))
    reached = 1.0 - np.cumprod(np.where(hidden, 1.0, 1.0 - 1.0 / at_risk))
    levels = (np.arange(_POINTS) + 0.5) / _POINTS
    place = np.searchsorted(reached, levels - 1e-12)
    return np.where(place < len(values), np.append(values, np.inf)[np.minimum(place, len(values))], np.inf)


def _around(unit: str, cost: float, offsets: Floats) -> CostDistribution:
    grid = grid_for(unit)
    values = max(log10_cost(cost), grid.low) + offsets
    beyond = values > grid.high
    return CostDistribution.from_samples(grid, np.clip(values, grid.low, grid.high), censored=beyond)


def after_plain_run(
    run: PlainRun,
    unit: str,
    solvers: Sequence[str],
    relative: RelativeCosts | None,
    offsets: Mapping[str, Sequence[float]],
) -> tuple[CostDistribution, dict[str, float]]:
    """Return the costs where the plain run has answered, and solver -> cost, of those whose cost is known.

    Parameters
    ----------
    relative
        Ratios of the training data; None for a checkpoint that has none: ``offsets`` are taken then.
    offsets
        log10 of cost relative to that of a listening probe that has answered, by solver.
    """
    cost, conflicts = run.spent(unit), run.spent("conflicts")
    known = {run.solver: cost} if run.solver in solvers else {}
    parts = []
    for name in solvers:
        if name in known:
            parts.append(known_cost(grid_for(unit), log10_cost(cost)))
        elif relative is not None and relative.solver == run.solver and name in relative.offsets:
            parts.append(relative.predict(name, unit, cost, conflicts))
        else:
            parts.append(_around(unit, cost, np.asarray(offsets[name], dtype=float)))
    return join(parts), known


def after_probe(
    instance: Instance, unit: str, solvers: Sequence[str], offsets: Mapping[str, Sequence[float]]
) -> CostDistribution:
    """Return the costs where the listening probe has answered: all are predictions, from what it has spent."""
    cost = 10.0 ** probe_cost(instance, unit)
    parts = [_around(unit, cost, np.asarray(offsets[name], dtype=float)) for name in solvers]
    return above_survived(CostDistribution.stack(parts), solvers, instance.plain, unit)


def above_survived(
    distribution: CostDistribution, solvers: Sequence[str], run: PlainRun | None, unit: str
) -> CostDistribution:
    """Return predictions given what the plain run has spent in vain; those of other solvers stay as they are.

    The distribution is of shape ``(..., n_solvers)``, in the unit that is named; ``run`` is None if there was none.
    """
    if run is None or run.solver not in solvers:
        return distribution
    floors = [log10_cost(run.spent(unit)) if name == run.solver else -math.inf for name in solvers]
    return survived(distribution, floors)


def given_plain_run(
    distribution: CostDistribution,
    solvers: Sequence[str],
    run: PlainRun | None,
    unit: str,
    correlation: float,
    machine_factor: float = 1.0,
) -> CostDistribution:
    """Return predictions of other solvers given what the plain run has spent in vain; its own stays as it is.

    Parameters
    ----------
    distribution
        Of shape ``(..., n_solvers)``, as on the training machine.
    correlation
        Between the solvers' costs, beyond what is predicted: see :mod:`satcost_gnn.core.common_factor`.
    machine_factor
        Seconds of this machine for one of the training machine.
    """
    if run is None or run.solver not in solvers:
        return distribution
    spent = run.spent(unit) / (machine_factor if unit == "cpu_seconds" else 1.0)
    return given_survival(distribution, list(solvers).index(run.solver), log10_cost(spent), correlation)


def probe_cost(instance: Instance, unit: str) -> float:
    """Return log10 of what the probe spent on an instance that it solved, at least the low end of the unit's grid."""
    probe = instance.probe
    assert probe is not None
    spent = {"conflicts": probe.conflicts, "propagations": probe.propagations, "cpu_seconds": probe.cpu_s}[unit]
    return float(np.log10(max(float(spent or 0), 10.0 ** grid_for(unit).low)))
