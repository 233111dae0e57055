"""Which estimators a checkpoint has, and how each is fitted and calibrated: on the sides that it may see."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satcost_gnn.config import TrainingConfig
from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Estimator
from satcost_gnn.learn.calibration import Calibration
from satcost_gnn.learn.registry import make_estimator

if TYPE_CHECKING:
    from satcost_gnn.learn.network.estimator import GnnEstimator

from satcost_gnn.learn.labelled_instances import LabelledInstances
from satcost_gnn.runtime.logs import log

#: Estimators besides the network, saved with every checkpoint; those in the chain are fallbacks, the others baselines.
#: Name in the checkpoint -> estimator and its settings.
CLASSICAL: Mapping[str, tuple[str, dict[str, Any]]] = {
    "constant": ("constant", {}),
    "size": ("size", {}),
    "tree_size": ("tree_size", {}),
    "linear": ("linear", {}),
    "forest_static": ("forest", {"features": "static", "n_trees": 60}),
    "forest": ("forest", {}),
}
#: Those that are only compared with: a checkpoint does without one that cannot be fitted.
BASELINES = frozenset({"size"})


def fit_classical(data: LabelledInstances, unit: str) -> dict[str, Estimator]:
    """Fit the estimators other than the network on the training and validation sides: they need no early stopping."""
    table = data.tables[unit].subset(data.side("train", "validation"))
    fitted = {}
    for name, (kind, settings) in CLASSICAL.items():
        log.info(f"fitting {name} for {unit} on {len(table)} instances")
        try:
            fitted[name] = make_estimator(kind, **settings).fit(table)
        except EstimatorError as error:
            # Instances of one size, say: there is nothing to learn from the size.
            if name not in BASELINES:
                raise
            log.warning(f"{name} for {unit} is left out: {error}")
    return fitted


def calibrate(data: LabelledInstances, unit: str, estimators: Mapping[str, Estimator]) -> dict[str, Calibration]:
    """Fit a calibration of each estimator on the calibration side, which no estimator was fitted to."""
    table = data.tables[unit].subset(data.side("calibration"))
    return {
        name: Calibration.fit(estimator.predict(table.instances), table.cost, table.censored, table.known)
        for name, estimator in estimators.items()
    }


def not_learnt_from(config: TrainingConfig) -> tuple[str, ...]:
    """Return the sides besides the test side that tell what the network is worth on what it did not see."""
    return ("calibration",) if config.optimiser.stopping == "none" else ("validation", "calibration")


def fit_network(data: LabelledInstances, config: TrainingConfig, classical: Path | None = None) -> GnnEstimator:
    """Train the network on all units at once; early stopping looks at the validation side, if it is asked for.

    An interrupted training of the same configuration on the same split goes on where it was. The directory
    ``classical`` keeps the classical members of the ensemble, for further networks on the same instances.
    """
    # Imported here: everything else in this module works without torch.
    from satcost_gnn.learn.network.estimator import GnnEstimator

    stops = "validation" in not_learnt_from(config)
    learnt = data.side("train") if stops else data.side("train", "validation")
    first, *rest = (data.tables[unit].subset(learnt) for unit in config.data.units)
    directory = config.directory / "network"
    return GnnEstimator(config.network).fit(
        first,
        extra=rest,
        validation=[data.tables[unit].subset(data.side("validation")) for unit in config.data.units if stops],
        run_directory=directory,
        resume=directory.exists(),
        classical=classical,
    )


def predict_all(
    fitted: Mapping[str, Estimator], calibrations: Mapping[str, Calibration], instances: list[Instance]
) -> dict[str, CostDistribution]:
    """Return the calibrated predictions of every estimator for the same instances."""
    return {name: calibrations[name].apply(estimator.predict(instances)) for name, estimator in fitted.items()}
