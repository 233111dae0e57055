"""Which estimators a checkpoint has, and how each is fitted and calibrated: on the sides that it may see."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satcost_gnn.config import TrainingConfig
from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.data.splits import LEARNT_SIDES
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Estimator, TrainingTable
from satcost_gnn.learn.calibration import Calibration
from satcost_gnn.learn.ensemble.mixture import Mixture
from satcost_gnn.learn.ensemble.mixture_of_experts import MixtureOfExperts
from satcost_gnn.learn.ensemble.ood_gate import OutOfDistributionGate, fit_fallback
from satcost_gnn.learn.ensemble.structure_alone import STATIC_FOREST, StructureAlone
from satcost_gnn.learn.fit_cache import cached_fit
from satcost_gnn.learn.labelled_instances import LabelledInstances
from satcost_gnn.learn.out_of_distribution import OODDetector
from satcost_gnn.learn.registry import make_estimator
from satcost_gnn.learn.stored_estimator import STRUCTURE
from satcost_gnn.runtime.logs import log

if TYPE_CHECKING:
    from satcost_gnn.learn.network.estimator import GnnEstimator

#: The unit in which runs have a limit.
SECONDS = "cpu_seconds"
#: The forest that learns from all instances, those that the probe solves too: it predicts from before any search.
STATIC = "forest_static"
#: Estimators besides the network, saved with every checkpoint; those in the chain are fallbacks, the others baselines.
#: Name in the checkpoint -> estimator and its settings.
CLASSICAL: Mapping[str, tuple[str, dict[str, Any]]] = {
    "constant": ("constant", {}),
    "size": ("size", {}),
    "tree_size": ("tree_size", {}),
    "linear": ("linear", {}),
    STATIC: STATIC_FOREST,
    # A third of the features at a split is as accurate as all of them, in a third of the time.
    "forest": ("forest", {"max_features": 1 / 3}),
}
#: Those that are only compared with: a checkpoint does without one that cannot be fitted.
BASELINES = frozenset({"size"})


def fit_classical(data: LabelledInstances, unit: str) -> dict[str, Estimator]:
    """Fit the estimators other than the network on the training and validation sides: they need no early stopping."""
    fitted = {}
    for name, (kind, settings) in CLASSICAL.items():
        if name == STATIC:
            table = data.before_search(unit, *LEARNT_SIDES)
        else:
            table = data.tables[unit].subset(data.side(*LEARNT_SIDES))
        table = table.subset(table.known.any(axis=1))
        log.info(f"fitting {name} for {unit} on {len(table)} instances")
        try:
            fitted[name] = make_estimator(kind, **settings).fit(table)
        except EstimatorError as error:
            # Instances of one size, say: there is nothing to learn from the size.
            if name not in BASELINES:
                raise
            log.warning(f"{name} for {unit} is left out: {error}")
    return fitted


def calibrate(table: TrainingTable, predicted: Mapping[str, CostDistribution]) -> dict[str, Calibration]:
    """Fit a calibration of each estimator to what it predicts of a table that no estimator was fitted to."""
    return {name: Calibration.fit(found, table.cost, table.censored, table.known) for name, found in predicted.items()}


def not_learnt_from(config: TrainingConfig) -> tuple[str, ...]:
    """Return the sides besides the test side that tell what the network is worth on what it did not see."""
    return ("calibration",) if config.optimiser.stopping == "none" else ("validation", "calibration")


def learnt_sides(config: TrainingConfig) -> tuple[str, ...]:
    """Return the sides that the network learns from."""
    return ("train",) if "validation" in not_learnt_from(config) else LEARNT_SIDES


def fit_network(data: LabelledInstances, config: TrainingConfig) -> GnnEstimator:
    """Train the network on all units at once; early stopping looks at the validation side, if it is asked for.

    An interrupted training of the same configuration on the same split goes on where it was.
    """
    # Imported here: everything else in this module works without torch.
    from satcost_gnn.learn.network.estimator import GnnEstimator

    stops = "validation" in not_learnt_from(config)
    sides = learnt_sides(config)
    first, *rest = (data.tables[unit].subset(data.side(*sides)) for unit in config.data.units)
    structure = [data.solved_table(unit, *sides) for unit in config.data.units]
    directory = config.directory / "network"
    return GnnEstimator(config.network).fit(
        first,
        extra=rest,
        validation=[data.tables[unit].subset(data.side("validation")) for unit in config.data.units if stops],
        structure=[one for one in structure if len(one) and config.model.structure_only_dropout],
        run_directory=directory,
        resume=directory.exists(),
    )


def ensemble(
    network: GnnEstimator,
    data: LabelledInstances,
    config: TrainingConfig,
    store: Path | None = None,
    *,
    fitted: Mapping[str, Mapping[str, Estimator]] | None = None,
    detector: OODDetector | None = None,
) -> dict[str, Estimator]:
    """Return what the network is mixed with and gated by, as the configuration says; the network itself if by nothing.

    Parameters
    ----------
    network
        Trained on :func:`learnt_sides`, as the other members are.
    store
        Directory that keeps the classical members, for further networks on the same instances.
    fitted
        Unit -> what :func:`fit_classical` returned: where the network learns from the same sides, its members are
        among them.
    detector
        One that has been fitted to the training instances.

    Returns
    -------
    dict
        Unit -> estimator.
    """
    settings, found = config.ensemble, dict[str, Estimator]()
    # A network that is shown a part of the instance only is judged by that part.
    whole = len(config.model.modalities) == 3
    there = fitted if fitted is not None and learnt_sides(config) == LEARNT_SIDES else {}
    for unit in network.units:
        table = data.tables[unit].subset(data.side(*learnt_sides(config)))
        one: Estimator = network.for_unit(unit)
        if settings.member != "none":
            member = there.get(unit, {}).get(settings.member)
            if member is None:
                log.info(f"fitting the ensemble member {settings.member}, in {unit}")
                kind, parameters = CLASSICAL[settings.member]
                member = cached_fit(kind, parameters, table.subset(table.known.any(axis=1)), store)
            share = settings.member_weight
            one = Mixture.of([one, member], [1.0 - share, share])
        weights = (settings.ood_weight, settings.ood_constant_s if unit == SECONDS else settings.ood_constant)
        if any(weights) and whole:
            parts, detector = fit_fallback(table, *weights, store=store, detector=detector)
            one = OutOfDistributionGate.of({"known": one, **parts, "detector": detector}, *weights)
        if unit == SECONDS and settings.expert_limit_s and whole:
            log.info(f"fitting the expert on runs with a limit of {settings.expert_limit_s:g} s or more")
            one = MixtureOfExperts.of(one, table, settings.expert_limit_s, settings.expert_after_s)
        found[unit] = one
    return found


def before_search(network: Estimator, static: Estimator, config: TrainingConfig) -> dict[str, Estimator]:
    """Return what predicts from before any search: name in the chain -> estimator.

    The network takes part if it has learnt to do without the early search (``structure_only_dropout``); ``static`` is a
    forest on static features.
    """
    found = {STATIC: static}
    if config.model.structure_only_dropout:
        found[STRUCTURE] = Mixture.of([StructureAlone.of(network), static], [0.5, 0.5])
    return found


def predict_all(
    fitted: Mapping[str, Estimator], calibrations: Mapping[str, Calibration], instances: list[Instance]
) -> dict[str, CostDistribution]:
    """Return the calibrated predictions of every estimator for the same instances."""
    return {name: calibrations[name].apply(estimator.predict(instances)) for name, estimator in fitted.items()}
