"""What an estimator says of a formula's structure alone: the early search is hidden from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Estimator, TrainingTable, register
from satcost_gnn.learn.registry import make_estimator

#: The forest on static features: name and settings.
STATIC_FOREST: tuple[str, dict[str, Any]] = ("forest", {"features": "static", "n_trees": 60})


def without_search(instance: Instance) -> Instance:
    """Return an instance as it is before any search."""
    return replace(instance, online=None, probe=None, replicate=None, plain=None)


@register
class StructureAlone(Estimator):
    """An estimator that is shown instances as they are before any search.

    Before the search nobody knows whether the probe would answer. So what is learnt from are all instances, those that
    the probe solves too, and the distributions are not conditional on its failure, as others' are.

    Parameters
    ----------
    of
        Name and settings of the estimator; None for :data:`STATIC_FOREST`. One that reads the early search, too, must
        have learnt to do without (``structure_only_dropout`` of the network).
    """

    name = "structure_alone"
    needs = frozenset({"static"})

    def __init__(self, of: Sequence[Any] | None = None) -> None:
        name, settings = STATIC_FOREST if of is None else of
        self._named = (str(name), dict(settings))
        self._take_part(make_estimator(str(name), **settings))

    @classmethod
    def of(cls, part: Estimator) -> Self:
        """Return the view of a fitted estimator."""
        view = cls([part.name, part.parameters()])
        view._solvers, view._unit = part.solvers, part.unit
        view._take({"of": part})
        return view

    def _take_part(self, part: Estimator) -> None:
        self._part = part
        self.needs = part.needs - {"online", "trace"}
        self.can_miss = part.can_miss & self.needs
        self.for_new = part.for_new

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        name, settings = self._named
        return {"of": [name, dict(settings)]}

    def _fit(self, table: TrainingTable) -> None:
        self._part.fit(replace(table, instances=[without_search(one) for one in table.instances]))

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        return self._part.predict([without_search(one) for one in instances])

    def predict_variants(self, variants: Sequence[Instance]) -> CostDistribution:
        """Predict for variants of one instance (see :meth:`Estimator.predict_variants`)."""
        return self._part.predict_variants([without_search(one) for one in variants])

    def parts(self) -> dict[str, Any]:
        """Return the estimator."""
        return {"of": self._part}

    def _take(self, parts: Mapping[str, Any]) -> None:
        self._check_part("of", parts["of"])
        self._take_part(parts["of"])
