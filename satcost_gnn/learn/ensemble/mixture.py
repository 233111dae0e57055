"""Mixture of other estimators' distributions with given weights, or weighed by what each predicts unseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Arrays, Estimator, Floats, TrainingTable, group_folds, register
from satcost_gnn.learn.registry import make_estimator

#: The two that predict best alone, on this project's data: name and settings.
MEMBERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("forest", {"max_features": 1 / 3, "n_trees": 100}),
    ("gaussian_process", {}),
)
#: Members of a stacked model by default: name and settings; the boosted one joins where LightGBM is installed.
#: Their forests try a third of the features at a split: each member is fitted half a dozen times.
DEFAULT_MEMBERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("forest", {"max_features": 1 / 3}),
    ("forest", {"features": "online", "max_features": 1 / 3}),
    ("gaussian_process", {}),
    ("linear", {"features": "online"}),
)
BOOSTED_MEMBER: tuple[str, dict[str, Any]] = ("boosting", {})

_STEPS = 200
# Weights are kept from the last bit of fitting noise: this share is spread evenly.
_EVEN_SHARE = 0.1


@register
class Mixture(Estimator):
    """Mixture of estimators.

    Parameters
    ----------
    members
        Name and settings of each member; None for :data:`MEMBERS`.
    weights
        Weight of each; None for equal ones, which do as well as learnt ones where few members are of like accuracy.

    Raises
    ------
    EstimatorError
        If there is no member, or not a weight for each.
    """

    name = "mixture"
    needs = frozenset({"static", "online"})

    def __init__(self, members: Sequence[Sequence[Any]] | None = None, weights: Sequence[float] | None = None) -> None:
        members = MEMBERS if members is None else members
        if not members:
            raise EstimatorError(f"found no members of estimator {self.name!r}; expected at least one")
        self.members = [(str(name), dict(settings)) for name, settings in members]
        if any(name == self.name for name, _ in self.members):
            raise EstimatorError(f"estimator {self.name!r} can't be a member of another of its kind")
        given = [1.0 / len(self.members)] * len(self.members) if weights is None else [float(one) for one in weights]
        if len(given) != len(self.members) or not all(one >= 0 for one in given) or not sum(given) > 0:
            raise EstimatorError(f"found weights {given} for {len(self.members)} members; expected one each, not all 0")
        self._given = weights is not None
        self._weights = np.array(given)
        self._consist_of([make_estimator(name, **settings) for name, settings in self.members])

    def _consist_of(self, estimators: Sequence[Estimator]) -> None:
        self._estimators = list(estimators)
        self._narrow(self._estimators)

    @classmethod
    def of(cls, members: Sequence[Estimator], weights: Sequence[float]) -> Self:
        """Return the mixture of fitted estimators for the same solvers in the same unit."""
        mixture = cls([[one.name, one.parameters()] for one in members], weights)
        mixture._solvers, mixture._unit = members[0].solvers, members[0].unit
        mixture._take({str(k): one for k, one in enumerate(members)})
        return mixture

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        members = [[name, settings] for name, settings in self.members]
        return {"members": members, "weights": self._weights.tolist() if self._given else None}

    def _fit(self, table: TrainingTable) -> None:
        for estimator in self._estimators:
            estimator.fit(table)

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        return CostDistribution.mixture([one.predict(instances) for one in self._estimators], self._weights)

    def predict_variants(self, variants: Sequence[Instance]) -> CostDistribution:
        """Predict for variants of one instance (see :meth:`Estimator.predict_variants`)."""
        return CostDistribution.mixture([one.predict_variants(variants) for one in self._estimators], self._weights)

    def online_reading(self, instances: Sequence[Instance]) -> CostDistribution | None:
        """Return what the first member that can tell predicts from the early search alone."""
        return next((found for one in self._estimators if (found := one.online_reading(instances)) is not None), None)

    def parts(self) -> dict[str, Any]:
        """Return the members by their numbers."""
        return {str(k): one for k, one in enumerate(self._estimators)}

    def _take(self, parts: Mapping[str, Any]) -> None:
        found = [parts[str(k)] for k in range(len(self.members))]
        for k, part in enumerate(found):
            self._check_part(str(k), part)
        self._consist_of(found)


def default_members() -> list[tuple[str, dict[str, Any]]]:
    """Return the members that a stacked model has by default on this machine."""
    boosted = [BOOSTED_MEMBER] if find_spec("lightgbm") is not None else []
    return [*DEFAULT_MEMBERS, *boosted]


@register
class Stacked(Mixture):
    """Mixture of estimators whose weights are learnt.

    Parameters
    ----------
    members
        Name and settings of each member; None for :func:`default_members`.
    folds
        Folds of the cross-validation that the weights come from: once over single instances, once over whole groups
        (families), so that they suit both known families and new ones.

    Notes
    -----
    The weights minimise the mean CRPS of the mixture over predictions for instances that the members were not fitted
    on. The CRPS of a mixture is convex in the weights: it is minimised by exponentiated gradient descent, for all
    solvers together.
    """

    name = "stacked"

    def __init__(self, members: Sequence[Sequence[Any]] | None = None, folds: int = 3) -> None:
        super().__init__(default_members() if members is None else members)
        self.folds = folds

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        return {"members": [[name, settings] for name, settings in self.members], "folds": self.folds}

    def _fit(self, table: TrainingTable) -> None:
        alone = [f"{k}" for k in range(len(table))]
        assigned = [group_folds(groups, self.folds) for groups in (alone, table.groups)]
        assigned = [fold_of for fold_of in assigned if len(np.unique(fold_of)) > 1]
        found = [
            np.concatenate([estimator.out_of_fold(table, fold_of).cdf[table.known] for fold_of in assigned])
            for estimator in self._estimators
        ]
        y = np.tile(table.cost[table.known], len(assigned))
        censored = np.tile(table.censored[table.known], len(assigned))
        parts = [CostDistribution(table.grid, cdf) for cdf in found]
        self._weights = _least_crps(parts, y, censored)
        self._consist_of([estimator.clone().fit(table) for estimator in self._estimators])

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        return {"weights": self._weights.tolist()}, {}

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        self._weights = np.array(state["weights"], dtype=np.float64)
        if self._weights.shape != (len(self.members),) or not (self._weights >= 0).all():
            raise ValueError(f"found weights {self._weights.tolist()} for {len(self.members)} members")


def _least_crps(parts: Sequence[CostDistribution], y: Floats, censored: NDArray[np.bool_]) -> Floats:
    """Return the weights whose mixture has the least mean CRPS, a tenth of them spread evenly."""
    # The CRPS of a mixture is quadratic in the weights: w'Aw - 2 b'w + c. A and b follow by polarisation.
    n = len(parts)
    own = np.array([float(part.crps(y, censored).mean()) for part in parts])
    pair = np.empty((n, n))
    for i in range(n):
        pair[i, i] = own[i]
        for j in range(i):
            middle = float(CostDistribution.mixture([parts[i], parts[j]], [1, 1]).crps(y, censored).mean())
            # crps((f + g) / 2) = crps(f) / 4 + crps(g) / 4 + cross / 2, cross the bilinear form.
            pair[i, j] = pair[j, i] = 2.0 * middle - 0.5 * (own[i] + own[j])
    # On the simplex the constant and linear parts are quadratic too, so that crps(w) = w' pair w.
    weights = np.full(n, 1.0 / n)
    rate = 1.0 / max(float(np.abs(pair).max()), 1e-9)
    for _ in range(_STEPS):
        weights = weights * np.exp(-rate * 2.0 * (pair @ weights - weights @ pair @ weights))
        weights = weights / weights.sum()
    return (1.0 - _EVEN_SHARE) * weights + _EVEN_SHARE / n
