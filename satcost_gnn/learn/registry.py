"""Estimators: one contract for everything that predicts a cost, from a constant to the network.

The modules are imported on demand, so that listing the estimators loads neither torch nor scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from satcost_gnn.errors import EstimatorError
from satcost_gnn.learn.base import ESTIMATORS, Estimator

Cost = Literal["cheap", "moderate", "expensive"]


@dataclass(frozen=True)
class Entry:
    """What can be said of an estimator without importing it.

    Parameters
    ----------
    module
        Module under ``satcost_gnn.learn`` that registers it.
    needs
        What it needs of an instance by default, of :data:`~satcost_gnn.learn.base.NEEDS`.
    cost
        To fit it to 2,000 instances on one core, the features there: ``cheap`` seconds, ``moderate`` up to minutes,
        ``expensive`` more.
    summary
        What it predicts from, in a line.
    censored, multi_unit
        Tags of :class:`~satcost_gnn.learn.base.Estimator`.
    """

    module: str
    needs: tuple[str, ...]
    cost: Cost
    summary: str
    censored: bool = True
    multi_unit: bool = False


#: Name -> what it is, in the order of listings.
CATALOGUE: dict[str, Entry] = {
    "constant": Entry("baselines.constant", (), "cheap", "costs of the training set (Kaplan-Meier)"),
    "size": Entry("baselines.size", ("static",), "cheap", "numbers of variables, clauses and literals"),
    "twice_so_far": Entry("baselines.point_estimate", ("online",), "cheap", "twice what the search has cost so far"),
    "progress_bar": Entry("baselines.point_estimate", ("online",), "cheap", "MiniSat's progress estimate"),
    "tree_size": Entry(
        "baselines.point_estimate", ("online",), "cheap", "weighted backtrack or recursive estimate of the tree"
    ),
    "knuth": Entry("baselines.point_estimate", ("online",), "cheap", "random dives from the root of the tree (Knuth)"),
    "holt": Entry("baselines.point_estimate", ("online",), "cheap", "tree weight, smoothed twice (Holt)"),
    "progress_ensemble": Entry(
        "baselines.progress_ensemble", ("online",), "cheap", "random forest over progress measures only"
    ),
    "linear": Entry("linear", ("static", "online"), "cheap", "online linear model (LMP), by answer"),
    "knn": Entry("baselines.knn", ("static", "online"), "cheap", "costs of the nearest training instances"),
    "forest": Entry("forest", ("static", "online"), "moderate", "quantile forest: ExtraTrees or random forest"),
    "gaussian_process": Entry("gaussian_process", ("static", "online"), "moderate", "Gaussian process on ranks"),
    "boosting": Entry("boosting", ("static", "online"), "moderate", "gradient boosting of hazards (needs LightGBM)"),
    "mixture": Entry(
        "ensemble.mixture", ("static", "online"), "moderate", "mixture of others (forest and Gaussian process)"
    ),
    "ood_gated": Entry(
        "ensemble.ood_gate", ("static", "online"), "moderate", "others in its place out of distribution (OOD gate)"
    ),
    "mixture_of_experts": Entry(
        "ensemble.mixture_of_experts",
        ("static", "online"),
        "moderate",
        "another, and an expert on runs with a long limit",
    ),
    "structure_alone": Entry(
        "ensemble.structure_alone", ("static",), "moderate", "another, before any search (forest on static features)"
    ),
    "stacked": Entry("ensemble.mixture", ("static", "online"), "moderate", "mixture of others, weighted out of fold"),
    "gnn": Entry(
        "network.estimator",
        ("static", "online", "graph"),
        "expensive",
        "graph neural network fused with all features",
        multi_unit=True,
    ),
}

#: Name -> module that registers it.
MODULES: dict[str, str] = {name: f"satcost_gnn.learn.{entry.module}" for name, entry in CATALOGUE.items()}

#: Names of all estimators.
NAMES: tuple[str, ...] = tuple(MODULES)


def estimator_class(name: str) -> type[Estimator]:
    """Return the class of an estimator, importing its module.

    EstimatorError if there is none of that name, ImportError if something that it needs isn't installed.
    """
    if name not in ESTIMATORS:
        if name not in MODULES:
            raise EstimatorError(f"found estimator {name!r}; expected one of {', '.join(NAMES)}")
        import_module(MODULES[name])
    return ESTIMATORS[name]


def make_estimator(name: str, **parameters: Any) -> Estimator:
    """Return an unfitted estimator with the given settings; EstimatorError for an unknown name or setting."""
    cls = estimator_class(name)
    try:
        return cls(**parameters)
    except TypeError as error:
        raise EstimatorError(f"estimator {name!r}: {error}") from None


def load_part(kind: str, directory: Path | str, **options: Any) -> Any:
    """Read something that an estimator consists of: another estimator, or a detector."""
    if kind == "ood_detector":
        # Imported here: listing the estimators is to load little.
        from satcost_gnn.learn.out_of_distribution import OODDetector

        return OODDetector.load(Path(directory))
    return load_estimator(kind, directory, **options)


def load_estimator(name: str, directory: Path | str, **options: Any) -> Estimator:
    """Read a saved estimator (see :meth:`Estimator.load`)."""
    return estimator_class(name).load(Path(directory), **options)
