"""Every estimator of the registry with settings that make it quick, and tables that have what it needs."""

from dataclasses import replace
from typing import Any

import numpy as np
from synthetic_graphs import SMALL_MODEL
from synthetic_table import make_table

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.features.instance import Instance
from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.learn.base import Estimator, TrainingTable
from satcost_gnn.learn.registry import make_estimator

NETWORK = "gnn"
SETTINGS: dict[str, dict[str, Any]] = {
    "forest": {"n_trees": 8, "censored_rounds": 1},
    "boosting": {"n_trees": 5},
    "progress_ensemble": {"n_trees": 5},
    "mixture": {"members": [["forest", {"n_trees": 5}], ["knn", {}]]},
    "ood_gated": {"known": ["mixture", {"members": [["forest", {"n_trees": 5}], ["constant", {}]]}]},
    "mixture_of_experts": {
        "general": ["mixture", {"members": [["forest", {"n_trees": 5}], ["constant", {}]]}],
        "expert": ["forest", {"features": "static", "n_trees": 5}],
    },
    "structure_alone": {"of": ["forest", {"features": "static", "n_trees": 8}]},
    "stacked": {"members": [["forest", {"n_trees": 5}], ["constant", {}]], "folds": 2},
    NETWORK: {
        "settings": {
            "model": {**SMALL_MODEL, "rounds": 1, "online_only_dropout": 0.2},
            "optimiser": {"epochs": 1, "encoder_epochs": 1},
            "accelerator": "cpu",
        }
    },
}


def small(name: str) -> Estimator:
    """Return an unfitted estimator."""
    return make_estimator(name, **SETTINGS.get(name, {}))


def with_graphs(instances: list[Instance]) -> list[Instance]:
    """Return instances with one small graph for all."""
    graph = clause_variable_graph(from_recipe("random-ksat:k=3,n=10,ratio=3,seed=1"), None)
    return [replace(one, graph=graph) for one in instances]


def table_for(name: str, *args: Any, **settings: Any) -> TrainingTable:
    """Return a table of :func:`synthetic_table.make_table` whose instances have what an estimator needs."""
    table = make_table(*args, **settings)
    return replace(table, instances=with_graphs(list(table.instances))) if "graph" in small(name).needs else table


def as_costs(table: TrainingTable) -> TrainingTable:
    """Return a table in which bounds are taken for costs."""
    return replace(table, censored=np.zeros_like(table.censored))
