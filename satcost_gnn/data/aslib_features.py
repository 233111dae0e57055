"""Features of a data set's instances as the feature steps of a scenario in ASlib format, with what each step costs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import DatasetError
from satcost_gnn.features.instance import Instance

#: Feature step -> stages of preprocessing whose CPU seconds it costs. Reading the file is not among them: every solver
#: has to do it.
STEPS: Mapping[str, tuple[str, ...]] = {"structure": ("features",), "early_search": ("probe", "probe replicate")}


def feature_steps(
    instances: Mapping[str, Instance],
) -> tuple[dict[str, FeatureVector], dict[str, tuple[str, ...]]]:
    """Return the features of preprocessed instances, and which of them each step provides.

    Parameters
    ----------
    instances
        Identity -> preprocessed instance. One without an early search has its features missing, at no cost.

    Returns
    -------
    features
        Identity -> features of the formula and of the early search, with the CPU seconds of each step.
    steps
        Step -> names of its features; a step that no instance has is left out.

    Raises
    ------
    DatasetError
        If there is no instance.
    """
    if not instances:
        raise DatasetError("features: found no preprocessed instance, expected at least one")
    structure = next(iter(instances.values())).static.names
    early = next((one.online.names for one in instances.values() if one.online is not None), ())
    steps = {name: names for name, names in zip(STEPS, (structure, early), strict=True) if names}
    features = {}
    for name, instance in instances.items():
        online = instance.online if instance.online is not None else FeatureVector.missing(early)
        seconds = {
            step: float(sum(instance.timings.get(stage, 0.0) for stage in STEPS[step]))
            for step in steps
            if step == "structure" or instance.online is not None
        }
        features[name] = FeatureVector(
            (*instance.static.names, *online.names), np.concatenate([instance.static.values, online.values]), seconds
        )
    return features, steps
