"""A network of an earlier checkpoint, kept for what it knows: costs that its own labels reach, of formulas it has seen.

A network that learns from labels of hours learns from few of them. One that was trained on many short runs tells short
costs better, and nothing of long ones. Where a formula is like those that the earlier network was trained on, its
distribution counts up to the reach of its labels, and the later one's conditional on having come so far beyond; where
the formula is new to it, the later one's alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.errors import DamagedFileError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.calibration import Calibration
from satcost_gnn.runtime.stored_files import read_json_object

if TYPE_CHECKING:
    from satcost_gnn.learn.network.estimator import GnnEstimator

#: Directory of the earlier network below that of the later one, and the file with all that is not the network itself.
DIRECTORY = "earlier"
_ABOUT = "about.json"
#: A formula that is new to the earlier network to this degree is one that the later one is calibrated on.
NEW = 0.5


@dataclass(frozen=True, eq=False)
class EarlierNetwork:
    """An earlier network and how far it is trusted.

    Parameters
    ----------
    network
        Fitted; it says how new a formula is to it.
    reach
        Unit -> largest cost that its labels tell about.
    calibrations
        Unit -> calibration of the earlier network.
    ood_calibrations
        Unit -> calibration of the later network on formulas that are new to the earlier one. Runs of minutes and of
        seconds need maps of their own (conformal prediction by groups, called Mondrian: Vovk, Gammerman and Shafer,
        "Algorithmic learning in a random world", 2005): one map for all would follow the many short ones.
    """

    network: GnnEstimator
    reach: Mapping[str, float]
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    ood_calibrations: Mapping[str, Calibration] = field(default_factory=dict)

    def calibrated_out_of_distribution(self, later: GnnEstimator, tables: Mapping[str, TrainingTable]) -> Self:
        """Return it with the later network calibrated on those instances that are new to the earlier one.

        Parameters
        ----------
        later
            The later network, without an earlier one.
        tables
            Unit -> runs that neither has learnt from.
        """
        found = {}
        for unit, table in tables.items():
            new = table.subset(self.network.degree_of_novelty(table.instances) >= NEW)
            predicted = later.for_unit(unit).predict(new.instances)
            found[unit] = Calibration.fit(predicted, new.cost, new.censored, new.known, later.for_unit(unit).solvers)
        return replace(self, ood_calibrations=found)

    def mixed(
        self, later: CostDistribution, unit: str, solvers: Sequence[str], instances: Sequence[Instance]
    ) -> CostDistribution:
        """Return the later network's predictions with the earlier one's where they are known to be better.

        Parameters
        ----------
        later
            ``(n, n_solvers)``.
        unit, solvers
            Of the predictions. Solvers and units that the earlier network does not know stay as they are.
        instances
            Of the predictions: different ones, or variants of one with the same graph or none.

        Notes
        -----
        With d the degree to which a formula is new to the earlier network
        (:meth:`.OODFallback.degree`), F the later distribution, E the earlier one and b the edge of the grid nearest to
        the reach of its labels: (1 - d) G + d F, where G is E up to b and 1 - (1 - E(b)) (1 - F) / (1 - F(b)) beyond.
        """
        if unit not in self.reach:
            return later
        network = self.network.for_unit(unit)
        shared = [solver for solver in solvers if solver in network.solvers]
        one_graph = len({id(one.graph) for one in instances if one.graph is not None}) == 1
        found = network.predict_variants(instances) if one_graph else network.predict(instances)
        if unit in self.calibrations:
            found = self.calibrations[unit].apply(found)
        if unit in self.ood_calibrations:
            later = self.ood_calibrations[unit].apply(later)
        new = network.degree_of_novelty(instances)[:, None, None]
        edge = int(np.abs(later.grid.edges - np.log10(self.reach[unit])).argmin())
        cdf = later.cdf.copy()
        mine = [list(solvers).index(solver) for solver in shared]
        theirs = [network.solvers.index(solver) for solver in shared]
        spliced = _spliced(found.cdf[:, theirs], cdf[:, mine], edge)
        cdf[:, mine] = (1.0 - new) * spliced + new * cdf[:, mine]
        return CostDistribution(later.grid, cdf)

    def save(self, directory: Path) -> None:
        """Write it below the later network's directory."""
        own = Path(directory) / DIRECTORY
        self.network.save(own)
        about = {
            "reach": dict(self.reach),
            "calibrations": {unit: one.to_json() for unit, one in self.calibrations.items()},
            # Checkpoints have it under this name.
            "on_new": {unit: one.to_json() for unit, one in self.ood_calibrations.items()},
        }
        (own / _ABOUT).write_text(json.dumps(about, sort_keys=True) + "\n")

    @classmethod
    def load(cls, directory: Path, load: type[GnnEstimator], device: str) -> Self | None:
        """Read what :meth:`save` wrote below a network's directory; None if there is nothing.

        Raises
        ------
        CheckpointError
            If it is incomplete or damaged.
        """
        own = Path(directory) / DIRECTORY
        if not own.is_dir():
            return None
        about = read_json_object(own / _ABOUT)
        try:
            reach = {str(unit): float(value) for unit, value in about["reach"].items()}
            maps = [
                {str(unit): Calibration.from_json(one) for unit, one in about[name].items()}
                for name in ("calibrations", "on_new")
            ]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedFileError(f"{own / _ABOUT}: {error!r}; expected reach and calibrations by unit") from None
        network = load.load(own, device=device)
        if not all(0 < value < np.inf for value in reach.values()) or not set(reach) <= set(network.units):
            raise DamagedFileError(f"{own / _ABOUT}: found reach {reach}; expected positive numbers in its units")
        return cls(network, reach, *maps)


def _spliced(early: NDArray[np.float64], late: NDArray[np.float64], edge: int) -> NDArray[np.float64]:
    """Return CDFs that are the early ones up to an edge, and the late ones given that it was passed beyond."""
    left = 1.0 - late[..., edge:]
    alive = left[..., :1]
    # What the late one gives no chance to pass ends right there.
    passed = np.divide(left, alive, out=np.zeros_like(left), where=alive > 1e-9)
    found = early.copy()
    found[..., edge:] = 1.0 - (1.0 - early[..., edge : edge + 1]) * passed
    found[..., edge] = early[..., edge]
    return found
