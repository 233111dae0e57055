"""Who is compared: names of an evaluation, what estimator and settings each stands for, and how a seed is given to it.

An estimator without a random choice is the same for every seed: it is fitted once and stands for all of them. To
resample its training data instead would measure something else than for the others (and make it worse: a bootstrap
sample holds 63 % of the instances). What the seed changes in the others is their own random choices, on the same data.
The stacked mixture fits each of its members a dozen times and averages over what a seed changes: it gets one seed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from satcost_gnn.config import Modality
from satcost_gnn.errors import EstimatorError
from satcost_gnn.learn.registry import NAMES, make_estimator

NETWORK = "gnn"
#: The network mixed with others, as the configuration says.
ENSEMBLE = "ensemble"
MODALITIES: tuple[str, ...] = get_args(Modality)
#: Name of the graph as a modality without the probe's node features.
STRUCTURE = "structure"


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Parameters
    ----------
    name
        In commands, files and tables.
    kind
        Name of the estimator in the registry.
    label
        What it is, in words.
    settings
        Keyword arguments of the estimator; of the network alone ``modalities``, and ``probe_node_features`` where that
        is not the configuration's; of the ensemble nothing.
    one_seed
        Whether it is fitted with the first seed only: a fit is many fits of others, or the seed only draws from
        training sets beyond a size.
    """

    name: str
    kind: str
    label: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    one_seed: bool = False

    @property
    def is_network(self) -> bool:
        """Whether it is the network, a part of it, or mixed with others."""
        return self.kind == NETWORK


#: What is compared by default, in the order of the table.
DEFAULT: tuple[Method, ...] = (
    Method("constant", "constant", "constant of the training set (Kaplan-Meier)"),
    Method("size", "size", "size of the formula only, ridge"),
    Method("twice_so_far", "twice_so_far", "twice what was spent so far"),
    Method("progress_bar", "progress_bar", "MiniSat's progress measure"),
    Method("tree_size", "tree_size", "tree size, weighted backtrack estimator (WBE)"),
    Method("tree_size_recursive", "tree_size", "tree size, recursive estimator", {"method": "recursive"}),
    Method("knuth", "knuth", "Knuth's random probing"),
    Method("holt", "holt", "tree weight, double exponential smoothing (Holt)"),
    Method("progress_ensemble", "progress_ensemble", "forest over progress measures"),
    Method("linear", "linear", "online linear model (LMP)"),
    Method("knn", "knn", "nearest neighbours"),
    Method("forest_static", "forest", "ExtraTrees, static features", {"features": "static"}),
    Method("forest_online", "forest", "ExtraTrees, early search only", {"features": "online"}),
    Method("forest", "forest", "ExtraTrees, static features and early search"),
    Method(
        "forest_untuned",
        "forest",
        "the same with scikit-learn's default settings",
        {"n_trees": 100, "max_features": 1.0, "min_leaf": 1},
    ),
    # A third of the features at a split is the usual share for regression.
    Method(
        "random_forest",
        "forest",
        "random forest, static features and early search",
        {"kind": "random_forest", "max_features": 1 / 3},
    ),
    Method("gaussian_process", "gaussian_process", "Gaussian process on ranks", one_seed=True),
    Method("boosting", "boosting", "gradient boosting of hazards"),
    Method("average", "mixture", "mean of ExtraTrees and Gaussian process"),
    Method(
        "ood_gated",
        "ood_gated",
        "the same, and ExtraTrees on the early search where formulas are new",
        one_seed=True,
    ),
    Method("stacked", "stacked", "stacked mixture of classical models", one_seed=True),
    Method(
        NETWORK,
        NETWORK,
        "network alone: graph, static features and early search",
        {"modalities": ["graph", "static", "online"]},
    ),
    Method(ENSEMBLE, NETWORK, "ensemble of the network with what the configuration names"),
)


@dataclass(frozen=True)
class Ablation:
    """A part of what there is to see.

    Parameters
    ----------
    stages
        Stages of preprocessing that it takes.
    methods
        Those that see only that, classical and network.
    """

    seen: str
    stages: tuple[str, ...]
    methods: tuple[str, ...]


_SEARCHES = ("probe", "probe replicate")

#: Rows of the table of ablations.
ABLATIONS: tuple[Ablation, ...] = (
    Ablation("size only", ("parse",), ("size",)),
    Ablation("static features", ("parse", "features"), ("forest_static", "gnn:static")),
    Ablation("early search (probe)", ("parse", *_SEARCHES), ("forest_online", "gnn:online")),
    Ablation("static features and early search", ("parse", "features", *_SEARCHES), ("forest", "gnn:static+online")),
    Ablation("graph, no probe", ("parse", "graph"), ("gnn:structure",)),
    Ablation("graph, the probe on its nodes", ("parse", "probe", "graph"), ("gnn:graph",)),
    Ablation("graph and static features", ("parse", "features", "probe", "graph"), ("gnn:graph+static",)),
    Ablation("graph and early search, fused late", ("parse", *_SEARCHES, "graph"), ("gnn:structure+online",)),
    Ablation("graph and early search, on its nodes too", ("parse", *_SEARCHES, "graph"), ("gnn:graph+online",)),
    Ablation("all, fused", ("parse", "features", *_SEARCHES, "graph"), (NETWORK, ENSEMBLE)),
)


def method(name: str) -> Method:
    """Return the method of a name: one of :data:`DEFAULT`, an estimator, or a part of the network.

    A part of the network is ``gnn:`` and its modalities, such as ``gnn:graph+static``. It is mixed with no classical
    estimator, which would see the whole instance. ``gnn`` sees everything and is mixed with none either.
    ``structure`` stands for the graph without what the probe did with its variables.

    Raises
    ------
    EstimatorError
        If there is none of that name.
    """
    for known in DEFAULT:
        if known.name == name:
            return known
    if name.startswith(f"{NETWORK}:"):
        asked = name.removeprefix(f"{NETWORK}:").split("+")
        parts = (STRUCTURE, *MODALITIES)
        if not set(asked) <= set(parts) or len(set(asked)) != len(asked) or {STRUCTURE, "graph"} <= set(asked):
            raise EstimatorError(f"found {name!r}; expected {NETWORK}: and some of {', '.join(parts)}, joined by +")
        seen = [part for part in parts if part in asked]
        words = {
            STRUCTURE: "graph without the probe on its nodes",
            "graph": "graph",
            "static": "static features",
            "online": "early search",
        }
        text = " and ".join(words[part] for part in seen)
        settings = {
            "modalities": [b for b in MODALITIES if b in asked or (b == "graph" and STRUCTURE in asked)],
            "probe_node_features": STRUCTURE not in asked,
        }
        if STRUCTURE not in asked and len(seen) == len(MODALITIES):
            return method(NETWORK)
        label = f"network alone: {text}" if len(seen) == len(MODALITIES) else f"network alone: {text} only"
        return Method(f"{NETWORK}:{'+'.join(seen)}", NETWORK, label, settings)
    if name in NAMES:
        return Method(name, name, name.replace("_", " "))
    known_names = dict.fromkeys([*(known.name for known in DEFAULT), *NAMES])
    raise EstimatorError(
        f"found estimator {name!r}; expected some of {', '.join(known_names)}, or a part of the network such as "
        f"{NETWORK}:graph+static"
    )


def chosen_methods(names: Sequence[str] | None) -> list[Method]:
    """Return what is compared, each once, the network last since it costs most; None for all that there is.

    Raises
    ------
    EstimatorError
        If a name that was asked for is unknown.
    """
    if names is None:
        listed = {one.kind for one in DEFAULT}
        found = [*DEFAULT, *(method(name) for name in NAMES if name not in listed)]
    else:
        found = [method(name.strip()) for name in names if name.strip()]
    return sorted({one.name: one for one in found}.values(), key=lambda one: one.is_network)


def headline(names: Collection[str]) -> str:
    """Return what reports are about: the ensemble, or the network alone where that isn't compared."""
    return NETWORK if NETWORK in names and ENSEMBLE not in names else ENSEMBLE


def table_order(names: Sequence[str]) -> list[str]:
    """Return names in the order of the table: those of :data:`DEFAULT` first, as they stand there."""
    place = {one.name: number for number, one in enumerate(DEFAULT)}
    return sorted(names, key=lambda name: (place.get(name, len(place)), name))


def seeded(kind: str, settings: Mapping[str, Any], seed: int) -> tuple[dict[str, Any], bool]:
    """Return the settings of a classical estimator with a seed in them, and whether it has one.

    The parts of a mixture or a gate get the seed too.

    Raises
    ------
    EstimatorError
        If the estimator or a setting is unknown.
    ImportError
        If something that the estimator needs isn't installed.
    """
    found = make_estimator(kind, **settings).parameters()
    has_seed = "seed" in found
    if has_seed:
        found["seed"] = seed
    for key, value in found.items():
        # One part, by its name and settings, or a list of them.
        one = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
        parts = [value] if one else value if key == "members" else []
        chosen = [seeded(name, its, seed) for name, its in parts]
        if chosen:
            named = [[name, its] for (name, _), (its, _) in zip(parts, chosen, strict=True)]
            found[key] = named[0] if one else named
            has_seed |= any(random for _, random in chosen)
    return found, has_seed
