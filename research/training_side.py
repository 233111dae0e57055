"""All instances of a configuration but its test sides, and what is related among them: what experiments are made on."""

from __future__ import annotations

from dataclasses import dataclass

from satcost_gnn.config import TrainingConfig
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.split_groups import family_blocks, group_instances
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.learn.labelled_instances import open_datasets, preprocess_settings


@dataclass(frozen=True)
class TrainingSide:
    """What ``load_labelled`` takes, and how to fold it."""

    dataset: Dataset
    cache: InstanceCache
    #: Instance -> ``train``; those of the test sides are left out.
    sides: dict[str, str]
    #: Way of folding (``instance``, ``family``) -> instance -> group that no fold splits.
    groups: dict[str, dict[str, str]]


def training_side(config: TrainingConfig) -> TrainingSide:
    """Open the data sets and the cache of a configuration."""
    dataset = open_datasets(config)
    assert dataset.splits is not None
    return TrainingSide(
        dataset,
        InstanceCache(config.data.cache, preprocess_settings(config)),
        {name: "train" for name, side in dataset.splits.side.items() if side != "test"},
        {"instance": group_instances(dataset.manifest), "family": family_blocks(dataset.manifest)},
    )
