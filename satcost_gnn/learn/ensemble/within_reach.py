"""An estimator for costs within the reach of its labels, and another one beyond.

A network that learns from labels of hours learns from few of them. One that was trained on many short runs tells short
costs better, and nothing of long ones. Where a formula is like those that the first was trained on, its distribution
counts up to the reach of its labels, and the other's conditional on having come so far beyond; where the formula is new
to it, the other's alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Arrays, Estimator, TrainingTable, register
from satcost_gnn.learn.calibration import Calibration
from satcost_gnn.learn.registry import make_estimator

#: A formula that is new to the first estimator to this degree is one that the other is calibrated on.
NEW = 0.5


@register
class WithinReach(Estimator):
    """Two estimators, spliced at the largest cost that the labels of the first tell about.

    Parameters
    ----------
    near, far
        Name and settings of the estimator up to the reach and of the one beyond; None for a gated mixture and a forest.
        The first says how new a formula is to it, if it can (:meth:`~.OutOfDistributionGate.degree`).
    reach
        That cost.

    Raises
    ------
    EstimatorError
        If the reach is not a positive number.

    Notes
    -----
    With d the degree to which a formula is new to the first estimator, F the distribution of the other, E that of the
    first and b the edge of the grid nearest to the reach: (1 - d) G + d F, where G is E up to b and
    1 - (1 - E(b)) (1 - F) / (1 - F(b)) beyond. Solvers that the first doesn't know stay as they are. Both can be
    calibrated: runs of minutes and of seconds need maps of their own (conformal prediction by groups, called Mondrian:
    Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005).
    """

    name = "within_reach"
    needs = frozenset({"static", "online"})

    def __init__(
        self, near: Sequence[Any] | None = None, far: Sequence[Any] | None = None, reach: float = 1000.0
    ) -> None:
        self._named = {"near": near or ("ood_gated", {}), "far": far or ("forest", {})}
        self.reach = float(reach)
        if not (np.isfinite(self.reach) and self.reach > 0):
            raise EstimatorError(f"found reach {reach}; expected a positive number")
        #: Maps of the first, and of the other on formulas that are new to the first; None for none.
        self.calibration: Calibration | None = None
        self.new_calibration: Calibration | None = None
        self._consist_of({role: make_estimator(str(name), **its) for role, (name, its) in self._named.items()})

    def _consist_of(self, parts: Mapping[str, Any]) -> None:
        self._near: Any = parts["near"]
        self._far: Estimator = parts["far"]
        self._narrow([self._near, self._far])
        self.for_new = self._far.for_new

    @classmethod
    def of(
        cls,
        near: Estimator,
        far: Estimator,
        reach: float,
        calibration: Calibration | None = None,
        new_calibration: Calibration | None = None,
    ) -> Self:
        """Return both, fitted, as one."""
        found = cls([near.name, near.parameters()], [far.name, far.parameters()], reach)
        found._solvers, found._unit = far.solvers, far.unit
        found._take({"near": near, "far": far})
        found.calibration, found.new_calibration = calibration, new_calibration
        return found

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        return {**{role: [name, dict(its)] for role, (name, its) in self._named.items()}, "reach": self.reach}

    def _fit(self, table: TrainingTable) -> None:
        bound = np.log10(self.reach)
        beyond = table.cost > bound
        cut = TrainingTable(
            table.instances,
            table.solvers,
            table.unit,
            np.minimum(table.cost, bound),
            table.censored | beyond,
            table.known,
            table.groups,
            table.satisfiable,
        )
        self._near.fit(cut)
        self._far.fit(table)

    def calibrated_out_of_distribution(self, table: TrainingTable) -> Self:
        """Return it with the second estimator calibrated on those instances of a table that are new to the first."""
        new = table.subset(self.degree(table.instances) >= NEW)
        found = Calibration.fit(self._far.predict(new.instances), new.cost, new.censored, new.known, self.solvers)
        return self.of(self._near, self._far, self.reach, self.calibration, found)

    def degree(self, instances: Sequence[Instance]) -> NDArray[np.float64]:
        """Return ``float64[n]``, 0 to 1: how new each formula is to the first estimator; 0 where it can't tell."""
        if not hasattr(self._near, "degree"):
            return np.zeros(len(instances))
        return np.asarray(self._near.degree(instances))

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        return self._spliced(self._near.predict(instances), self._far.predict(instances), instances)

    def predict_variants(self, variants: Sequence[Instance]) -> CostDistribution:
        """Predict for variants of one instance (see :meth:`Estimator.predict_variants`)."""
        return self._spliced(self._near.predict_variants(variants), self._far.predict_variants(variants), variants)

    def _spliced(
        self, near: CostDistribution, far: CostDistribution, instances: Sequence[Instance]
    ) -> CostDistribution:
        if self.calibration is not None:
            near = self.calibration.apply(near)
        if self.new_calibration is not None:
            far = self.new_calibration.apply(far)
        new = self.degree(instances)[:, None, None]
        edge = int(np.abs(far.grid.edges - np.log10(self.reach)).argmin())
        shared = [solver for solver in self.solvers if solver in self._near.solvers]
        mine = [self.solvers.index(solver) for solver in shared]
        its = [self._near.solvers.index(solver) for solver in shared]
        cdf = far.cdf.copy()
        cdf[:, mine] = (1.0 - new) * _joined(near.cdf[:, its], cdf[:, mine], edge) + new * cdf[:, mine]
        return CostDistribution(far.grid, cdf)

    def parts(self) -> dict[str, Any]:
        """Return ``near`` and ``far``."""
        return {"near": self._near, "far": self._far}

    def _take(self, parts: Mapping[str, Any]) -> None:
        self._check_part("far", parts["far"])
        # The first may know fewer solvers.
        if parts["near"].unit != self.unit:
            raise ValueError(f"found part 'near' in another unit, {parts['near'].unit}; expected {self.unit}")
        self._consist_of(parts)

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        maps = {"near": self.calibration, "far": self.new_calibration}
        return {role: None if found is None else found.to_json() for role, found in maps.items()}, {}

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        found = {role: None if state[role] is None else Calibration.from_json(state[role]) for role in ("near", "far")}
        self.calibration, self.new_calibration = found["near"], found["far"]


def _joined(early: NDArray[np.float64], late: NDArray[np.float64], edge: int) -> NDArray[np.float64]:
    """Return CDFs that are the early ones up to an edge, and the late ones given that it was passed beyond."""
    left = 1.0 - late[..., edge:]
    alive = left[..., :1]
    # What the late one gives no chance to pass ends right there.
    passed = np.divide(left, alive, out=np.zeros_like(left), where=alive > 1e-9)
    found = early.copy()
    found[..., edge:] = 1.0 - (1.0 - early[..., edge : edge + 1]) * passed
    found[..., edge] = early[..., edge]
    return found


__all__ = ["NEW", "WithinReach"]
