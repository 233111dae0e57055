"""Mixture of experts: an estimator for all instances, and an expert on those whose runs had a long limit.

Where most labels are of runs that were stopped early, an estimator of all of them is too hopeful on instances like the
few that were run for long: in the same corner of the features it has seen many easy ones. An expert that has seen none
but the latter is not, and a gate says how much an instance looks like them (Jacobs et al., "Adaptive mixtures of local
experts", Neural Computation 1991, with a gate that is fitted first, as a domain classifier is).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Arrays, Estimator, Floats, TrainingTable, register
from satcost_gnn.learn.registry import make_estimator
from satcost_gnn.runtime.logs import log

#: The expert: a forest on static features, since the training data is small; and the gate.
EXPERT: tuple[str, dict[str, Any]] = ("forest", {"features": "static", "max_features": 1 / 3, "n_trees": 100})
GATE: tuple[str, dict[str, Any]] = ("forest", {"features": "static", "max_features": 1 / 3, "n_trees": 60})
#: Fewer instances than these, with a long limit or without, are too few.
LEAST_INSTANCES = 40
# The gate is an estimator of a pseudo-cost: 1 with a long limit, a hundredth without; between them is a probability.
_GATE_COSTS, _BETWEEN = (-2.0, 0.0), -1.0
_GATE_SOLVER = "long limit"


@register
class MixtureOfExperts(Estimator):
    """An estimator, and an expert that takes part as far as an instance looks like those that were run for long.

    Parameters
    ----------
    general
        Name and settings of the estimator of all instances; None for a mixture.
    expert
        Name and settings of the expert; None for :data:`EXPERT`.
    limit_s
        CPU seconds of a limit that counts as long.
    after
        Cost from which on the expert is heard, in the unit of the table.

    Notes
    -----
    With g the probability that an instance is one with a long limit, by the gate, and S the survival function of
    ``general``, the weight of the expert is g S(after): of what most runs have been long enough to tell, the estimator
    of all instances tells more. A solver without runs under a long limit has no expert; nor has any, if fewer than
    :data:`LEAST_INSTANCES` instances have a long limit, or a short one.
    """

    name = "mixture_of_experts"
    needs = frozenset({"static", "online"})

    def __init__(
        self,
        general: Sequence[Any] | None = None,
        expert: Sequence[Any] | None = None,
        limit_s: float = 1000.0,
        after: float = 10.0,
    ) -> None:
        if not limit_s > 0 or not after > 0:
            raise EstimatorError(f"found limit_s={limit_s} and after={after}; expected numbers above 0")
        self._named = {"general": ("mixture", {}) if general is None else general, "expert": expert or EXPERT}
        self.limit_s, self.after = float(limit_s), float(after)
        made: dict[str, Estimator] = {
            role: make_estimator(str(name), **settings) for role, (name, settings) in self._named.items()
        }
        name, settings = GATE
        self._consist_of({**made, "gate": make_estimator(name, **settings)})

    def _consist_of(self, parts: Mapping[str, Estimator]) -> None:
        self._parts = dict(parts)
        self._narrow(parts.values())
        self.for_new = parts["general"].for_new

    @classmethod
    def of(cls, general: Estimator, table: TrainingTable, limit_s: float, after: float) -> Self:
        """Return the mixture of a fitted estimator and an expert that is fitted to a table, as the gate is."""
        mixture = cls([general.name, general.parameters()], limit_s=limit_s, after=after)
        mixture._solvers, mixture._unit = general.solvers, general.unit
        mixture._fit_expert(table, general)
        return mixture

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        named = {role: [name, dict(settings)] for role, (name, settings) in self._named.items()}
        return {**named, "limit_s": self.limit_s, "after": self.after}

    def _fit(self, table: TrainingTable) -> None:
        self._fit_expert(table, self._parts["general"].fit(table))

    def _fit_expert(self, table: TrainingTable, general: Estimator) -> None:
        table = table.subset(table.known.any(axis=1))
        long = table.limit_s >= self.limit_s
        if min(long.sum(), (~long).sum()) < LEAST_INSTANCES:
            log.warning(
                f"no expert: {long.sum()} of {len(table)} instances have runs with a limit of {self.limit_s:g} s or "
                f"more; it takes {LEAST_INSTANCES}, and as many others"
            )
            self._consist_of({"general": general})
            return
        kind, settings = GATE
        gate = make_estimator(kind, **settings).fit(
            replace(
                table,
                solvers=(_GATE_SOLVER,),
                cost=np.where(long, *reversed(_GATE_COSTS))[:, None],
                censored=np.zeros((len(table), 1), dtype=bool),
                known=np.ones((len(table), 1), dtype=bool),
            )
        )
        seen = table.subset(long)
        columns = np.flatnonzero(seen.known.any(axis=0))
        kind, settings = self._named["expert"]
        expert = make_estimator(str(kind), **settings).fit(
            replace(
                seen,
                solvers=tuple(seen.solvers[k] for k in columns),
                cost=seen.cost[:, columns],
                censored=seen.censored[:, columns],
                known=seen.known[:, columns],
            )
        )
        self._consist_of({"general": general, "expert": expert, "gate": gate})

    def gate_probability(self, instances: Sequence[Instance]) -> Floats:
        """Return ``float64[n]``: the probability that an instance is one of those that were run for long."""
        return 1.0 - self._parts["gate"].predict(instances)[:, 0].cdf_at(np.full(len(instances), _BETWEEN))

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        return self._mixed(self._parts["general"].predict(instances), instances)

    def predict_variants(self, variants: Sequence[Instance]) -> CostDistribution:
        """Predict for variants of one instance (see :meth:`Estimator.predict_variants`)."""
        return self._mixed(self._parts["general"].predict_variants(variants), variants)

    def _mixed(self, general: CostDistribution, instances: Sequence[Instance]) -> CostDistribution:
        if "expert" not in self._parts:
            return general
        expert, cdf = self._parts["expert"], general.cdf.copy()
        columns = [self.solvers.index(solver) for solver in expert.solvers]
        part = general[:, columns]
        outlives = 1.0 - part.cdf_at(np.full(part.shape, np.log10(self.after)))
        weight = self.gate_probability(instances)[:, None] * outlives
        mixed = CostDistribution.mixture([part, expert.predict(instances)], np.stack([1.0 - weight, weight]))
        cdf[:, columns] = mixed.cdf
        return CostDistribution(general.grid, cdf)

    def online_reading(self, instances: Sequence[Instance]) -> CostDistribution | None:
        """Return what the estimator of all instances predicts from the early search alone."""
        return self._parts["general"].online_reading(instances)

    def parts(self) -> dict[str, Any]:
        """Return ``general``, and if there is an expert, ``expert`` and ``gate``."""
        return dict(self._parts)

    def _take(self, parts: Mapping[str, Any]) -> None:
        self._check_part("general", parts["general"])
        if set(self._parts) == {"general"}:
            self._consist_of({"general": parts["general"]})
            return
        expert, gate = parts["expert"], parts["gate"]
        if expert.unit != self.unit or not {*expert.solvers} <= {*self.solvers}:
            raise ValueError(f"found an expert on {', '.join(expert.solvers)} in {expert.unit}: other ones")
        if gate.solvers != (_GATE_SOLVER,) or gate.unit != self.unit:
            raise ValueError(f"found a gate for {', '.join(gate.solvers)} in {gate.unit}; expected {_GATE_SOLVER!r}")
        self._consist_of({role: parts[role] for role in self._parts})

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        return {"expert": "expert" in self._parts}, {}

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        if not state["expert"]:
            self._consist_of({"general": self._parts["general"]})
