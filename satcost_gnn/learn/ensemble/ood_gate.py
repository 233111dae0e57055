"""Out-of-distribution gate: the early search carries over to unseen families, static features mislead there.

The detector looks at static features alone: nearest training neighbours are much closer within a family than beyond it.
Even the early search predicts the order of costs out of distribution better than their scale, so that the training
set's own distribution gets a share, which keeps predictions there from being overconfident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Estimator, Floats, TrainingTable, register
from satcost_gnn.learn.fit_cache import cached_fit
from satcost_gnn.learn.out_of_distribution import OODDetector
from satcost_gnn.learn.registry import make_estimator

#: The forest on the early search alone: name and settings.
NOVEL: tuple[str, dict[str, Any]] = ("forest", {"features": "online", "max_features": 1 / 3, "n_trees": 100})
# Score at which a formula counts as half out of distribution, and how sharply the gate opens there: from predictions
# for left-out instances and for left-out families, none of the test side (docs/research-log.md).
_MIDDLE, _SHARPNESS = 0.7, 4.0
# Power of that degree which the constant's weight follows.
_CONSTANT_POWER = 4


@register
class OutOfDistributionGate(Estimator):
    """An estimator for what is like the training data, and others that take its place as far as an instance is not.

    Parameters
    ----------
    known
        Name and settings of the estimator for what is like the training data; None for a mixture.
    novel
        Name and settings of the one for what is unlike it; None for :data:`NOVEL`. Where the first can tell what it
        predicts from the early search alone (:meth:`Estimator.online_reading`), that shares its weight equally.
    early
        Weight of ``novel`` far out of distribution.
    constant
        Weight of the training set's own distribution there.

    Notes
    -----
    With s the score of the static features (:class:`~satcost_gnn.learn.out_of_distribution.OODDetector`), a formula is
    out of distribution to a degree d of 1 / (1 + (s / 0.7)^-4). The weight of ``novel`` is multiplied by d, the
    constant's by d^4: it is for what is far out of distribution, and would cost sharpness on unusual members of known
    families.
    """

    name = "ood_gated"
    needs = frozenset({"static", "online"})

    def __init__(
        self,
        known: Sequence[Any] | None = None,
        novel: Sequence[Any] | None = None,
        early: float = 0.7,
        constant: float = 0.3,
    ) -> None:
        self._named = {"known": ("mixture", {}) if known is None else known, "novel": NOVEL if novel is None else novel}
        self.early, self.constant = float(early), float(constant)
        made: dict[str, Any] = {
            role: make_estimator(str(name), **settings)
            for role, (name, settings) in self._named.items()
            if role == "known" or self.early
        }
        if self.constant:
            made["constant"] = make_estimator("constant")
        self._consist_of({**made, "detector": OODDetector("static")})

    def _consist_of(self, parts: Mapping[str, Any]) -> None:
        self._parts = dict(parts)
        self._detector: OODDetector = self._parts["detector"]
        self._narrow([part for role, part in parts.items() if role != "detector"])
        self.needs |= {"static"}
        self.for_new = True

    @classmethod
    def of(cls, parts: Mapping[str, Any], early: float, constant: float) -> Self:
        """Return the gate of fitted parts, by the roles of :meth:`parts`; ``novel`` and ``constant`` if they weigh."""
        first = parts["known"]
        named = {role: [part.name, part.parameters()] for role, part in parts.items() if role in ("known", "novel")}
        gate = cls(**named, early=early, constant=constant)
        gate._solvers, gate._unit = first.solvers, first.unit
        gate._take(parts)
        return gate

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        named = {role: [name, dict(settings)] for role, (name, settings) in self._named.items()}
        return {**named, "early": self.early, "constant": self.constant}

    def _fit(self, table: TrainingTable) -> None:
        self._parts["known"].fit(table)
        others, detector = fit_fallback(table, self.early, self.constant, self._named["novel"])
        self._consist_of({**self._parts, **others, "detector": detector})

    def degree(self, instances: Sequence[Instance]) -> Floats:
        """Return ``float64[n]``, 0 to 1: how far out of distribution each formula is; EstimatorError before fitting."""
        _, score = self._detector.in_distribution(instances)
        return np.asarray(1.0 / (1.0 + (np.maximum(score, 1e-9) / _MIDDLE) ** -_SHARPNESS))

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        return self._mixed(self._parts["known"].predict(instances), instances)

    def predict_variants(self, variants: Sequence[Instance]) -> CostDistribution:
        """Predict for variants of one instance (see :meth:`Estimator.predict_variants`)."""
        return self._mixed(self._parts["known"].predict_variants(variants), variants)

    def _mixed(self, known: CostDistribution, instances: Sequence[Instance]) -> CostDistribution:
        degree = self.degree(instances)[:, None]
        others: list[tuple[Floats, CostDistribution]] = []
        if self.early:
            found = [self._parts["novel"].predict(list(instances))]
            if (own := self._parts["known"].online_reading(instances)) is not None:
                found.append(own)
            others = [(self.early * degree / len(found), one) for one in found]
        if self.constant:
            share = self.constant * degree**_CONSTANT_POWER
            others = [((1.0 - share) * weight, other) for weight, other in others]
            others.append((share, self._parts["constant"].predict(list(instances))))
        if not others:
            return known
        weights = [weight for weight, _ in others]
        rest = 1.0 - sum(weights, np.zeros_like(degree))
        return CostDistribution.mixture([known, *(other for _, other in others)], np.stack([rest, *weights]))

    def parts(self) -> dict[str, Any]:
        """Return ``known``, ``novel`` and ``constant`` if they have a weight, and ``detector``."""
        return dict(self._parts)

    def _take(self, parts: Mapping[str, Any]) -> None:
        for role, part in parts.items():
            if role != "detector":
                self._check_part(role, part)
            elif part.judged_by != "static":
                raise ValueError(f"found a detector that judges by {part.judged_by} features; expected static ones")
        self._consist_of({role: parts[role] for role in self._parts})


def fit_fallback(
    table: TrainingTable,
    early: float,
    constant: float,
    novel: Sequence[Any] = NOVEL,
    store: Path | None = None,
    detector: OODDetector | None = None,
) -> tuple[dict[str, Any], OODDetector]:
    """Return what takes the place of others out of distribution, by role, and the detector.

    What has no weight (``early``, ``constant``) isn't fitted; ``store`` keeps what was fitted
    (:func:`~satcost_gnn.learn.fit_cache.cached_fit`); a given detector has been fitted to the same instances.
    """
    labelled = table.subset(table.known.any(axis=1))
    name, settings = novel
    found: dict[str, Any] = {}
    if early:
        found["novel"] = cached_fit(str(name), settings, labelled, store)
    if constant:
        found["constant"] = make_estimator("constant").fit(labelled)
    return found, detector or OODDetector("static").fit(table.instances)
