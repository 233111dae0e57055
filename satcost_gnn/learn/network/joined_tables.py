"""Tables of several units over the same instances, and the hazards that their labels have on average."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution, CostGrid
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.network.batching import GraphSample, TargetRow
from satcost_gnn.learn.network.cost_model import hazard_logits

# Weight, in instances, of the mean hazard in each bin's own: bins with few instances at risk lean on the others.
_PRIOR_INSTANCES = 2.0


@dataclass(frozen=True, eq=False)
class JoinedTables:
    """Tables of several units over the same instances."""

    tables: dict[str, TrainingTable]

    @property
    def instances(self) -> list[Instance]:
        """The instances of every table."""
        return next(iter(self.tables.values())).instances

    @property
    def groups(self) -> list[str]:
        """The group of each."""
        return next(iter(self.tables.values())).groups

    def subset(self, rows: NDArray[np.int64]) -> JoinedTables:
        """Return some of the rows."""
        return JoinedTables({unit: table.subset(rows) for unit, table in self.tables.items()})

    def samples(
        self, sample: Callable[[Instance], GraphSample], families: Collection[str] | None = None
    ) -> list[GraphSample]:
        """Return what a network learns from: each instance's sample with its targets and the number of its family.

        ``families`` are all that are numbered; None for those of this table.
        """
        samples = []
        names = self.groups if families is None else families
        numbers = {name: number for number, name in enumerate(sorted(set(names)))}
        for row, instance in enumerate(self.instances):
            plain = sample(instance)
            targets = {
                unit: TargetRow(one.cost[row].astype(np.float32), one.censored[row], one.known[row])
                for unit, one in self.tables.items()
            }
            family = numbers[self.groups[row]]
            samples.append(replace(plain, targets=targets, family=family))
        return samples

    @classmethod
    def of(cls, tables: Mapping[str, TrainingTable]) -> JoinedTables:
        """Give every table the instances of all, in the order in which they first appear."""
        rows: dict[str, int] = {}
        instances: list[Instance] = []
        groups: list[str] = []
        satisfiable: list[int] = []
        places: dict[str, list[int]] = {}
        for unit, table in tables.items():
            places[unit] = []
            for position, instance in enumerate(table.instances):
                key = instance.gbdhash or f"at {id(instance)}"
                if key not in rows:
                    rows[key] = len(instances)
                    instances.append(instance)
                    groups.append(table.groups[position])
                    satisfiable.append(int(table.satisfiable[position]))
                places[unit].append(rows[key])
            if len(set(places[unit])) != len(places[unit]):
                raise EstimatorError(f"network: the table in {unit} has an instance twice; keep one of them")
        joined = {}
        for unit, table in tables.items():
            where = np.array(places[unit], dtype=np.int64)
            shape = (len(instances), len(table.solvers))
            cost, censored, known = np.zeros(shape), np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
            cost[where] = np.where(table.known, table.cost, 0.0)
            censored[where], known[where] = table.censored, table.known
            joined[unit] = TrainingTable(
                instances,
                table.solvers,
                unit,
                cost,
                censored,
                known,
                groups,
                np.array(satisfiable, dtype=np.int8),
            )
        return cls(joined)


def marginal_logits(table: TrainingTable) -> NDArray[np.float32]:
    """Return the logits of a table's own hazards, the same for every instance: ``float32[n_solvers, bins]``.

    In each bin: runs that ended there over runs that reached it (a censored run is at risk in the bins wholly below its
    bound), shrunk towards the mean hazard over all bins.
    """
    grid: CostGrid = table.grid
    bins = np.arange(grid.bins)
    rows = []
    for column in range(len(table.solvers)):
        known = table.known[:, column]
        cost, censored = table.cost[known, column], table.censored[known, column]
        place = grid.bin_of(cost)
        ended = ~censored & (cost <= grid.high)
        events = np.bincount(place[ended], minlength=grid.bins).astype(np.float64)
        last = np.where(cost > grid.high, grid.bins, place + ended)
        at_risk = (last[:, None] > bins).sum(axis=0)
        overall = (events.sum() + 0.5) / (at_risk.sum() + 1.0)
        rows.append((events + _PRIOR_INSTANCES * overall) / (at_risk + _PRIOR_INSTANCES))
    return hazard_logits(CostDistribution.from_hazard(grid, np.stack(rows)))
