"""From a labelled data set to a checkpoint: preprocess, fit every estimator, calibrate, measure, write.

The instances that the probe already solves are set apart: they are solved, not predicted. Everything that is fitted
sees the training side only; the network stops early on the validation side; calibration uses the calibration side; the
numbers in ``metrics.json`` and in the card are of the test side, which nothing else has touched.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.config import TrainingConfig, write_config
from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.observed import label_reach
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.splits import LEARNT_SIDES, SIDES
from satcost_gnn.decide.scoring import charge
from satcost_gnn.decide.training_fit import fit_copula_correlation, fit_longer, fit_portfolio
from satcost_gnn.decide.training_statistics import PORTFOLIO_FILE
from satcost_gnn.decide.training_statistics import UNIT as PORTFOLIO_UNIT
from satcost_gnn.errors import CheckpointError, DatasetError
from satcost_gnn.evaluate.accuracy import accuracy, compare
from satcost_gnn.evaluate.metrics import expected_coded, rmse
from satcost_gnn.features.spec import FeatureVersions
from satcost_gnn.learn.base import Estimator, TrainingTable
from satcost_gnn.learn.calibration import Calibration
from satcost_gnn.learn.early_answers import write_relative_costs
from satcost_gnn.learn.fitting import (
    STATIC,
    before_search,
    calibrate,
    ensemble,
    fit_classical,
    fit_network,
    not_learnt_from,
    predict_all,
)
from satcost_gnn.learn.labelled_instances import (
    LabelledInstances,
    default_cutoffs,
    largest_solved,
    own_limit,
    prepare,
    preprocess_settings,
    split_sides,
)
from satcost_gnn.learn.out_of_distribution import OODDetector
from satcost_gnn.learn.stored_estimator import STRUCTURE
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import write_json
from satcost_gnn.runtime.progress import ProgressLine
from satcost_gnn.search.probe_settings import ProbeSettings
from satcost_gnn.serve.checkpoint import Checkpoint, CheckpointConfig
from satcost_gnn.serve.checkpoint_contents import write_probe_offsets
from satcost_gnn.serve.explanation import BACKGROUND_FILE, Background
from satcost_gnn.serve.members import NETWORK, MemberStore
from satcost_gnn.train.model_card import card, read_new_families
from satcost_gnn.train.training_warnings import card_section, training_warnings

#: What the network is mixed with others into.
ENSEMBLE = "ensemble"
#: Order in which a prediction is tried after the ensemble, or the network where there is none; those of structure alone
#: are for instances without an early search.
FALLBACKS = ("forest", STRUCTURE, "forest_static", "linear", "tree_size", "constant")


def run_experiment(config: TrainingConfig, progress: Callable[[int, str], ProgressLine]) -> Checkpoint:
    """Do everything from the data set to the checkpoint; whatever is cached or finished is not done again.

    ``progress`` makes a progress reporter of a number of steps and what they are. SatcostError if the data set is
    unusable or the checkpoint exists already.
    """
    target = config.checkpoint.directory / f"{config.checkpoint.name}-v{config.checkpoint.version}"
    if target.exists():
        raise CheckpointError(f"{target} exists; checkpoints are never overwritten, choose the next version")
    dataset, data = prepare(config, progress)
    config.directory.mkdir(parents=True, exist_ok=True)
    write_config(config, config.directory / "config.json")
    sides = dict(sorted(split_sides(dataset, config).items()))
    write_json(config.directory / "split.json", sides)
    with tempfile.TemporaryDirectory(dir=config.directory) as folder:
        staging = Path(folder) / target.name
        staging.mkdir()
        metrics: dict[str, Any] = {"solved_by_probe": data.solved_by_probe, "units": {}}
        calibrations: dict[str, dict[str, Any]] = {}
        correlation: dict[str, float] = {}
        # First, since it says at once if there are too few instances, which would be a pity after the training.
        learnt = data.side(*LEARNT_SIDES)
        groups = data.tables[config.data.units[0]].groups
        detector = OODDetector(judged_by="static").fit([data.instances[k] for k in learnt], [groups[k] for k in learnt])
        fitted: dict[str, dict[str, Estimator]] = {unit: fit_classical(data, unit) for unit in config.data.units}
        log.info("training the network")
        network = fit_network(data, config)
        best = ensemble(network, data, config, fitted=fitted, detector=detector)
        head = NETWORK if all(one.name == NETWORK for one in best.values()) else ENSEMBLE
        store = MemberStore(staging)
        store.add(NETWORK, network)
        store.add(detector.name, detector)
        for unit in config.data.units:
            earlier = before_search(network.for_unit(unit), fitted[unit][STATIC], config)
            estimators = {
                **{name: one for name, one in fitted[unit].items() if name not in earlier},
                NETWORK: network.for_unit(unit),
                head: best[unit],
            }
            fitted[unit] |= earlier
            unseen = data.tables[unit].subset(data.side("calibration"))
            predicted = {name: one.predict(unseen.instances) for name, one in estimators.items()}
            maps = calibrate(unseen, predicted)
            everything = data.before_search(unit, "calibration")
            earlier_maps = calibrate(
                everything, {name: one.predict(everything.instances) for name, one in earlier.items()}
            )
            calibrations[unit] = {name: found.to_json() for name, found in {**maps, **earlier_maps}.items()}
            solved = unseen.known & ~unseen.censored
            correlation[unit] = fit_copula_correlation(maps[head].apply(predicted[head]), unseen.cost, solved)
            test = data.tables[unit].subset(data.side("test"))
            cutoffs = largest_solved(data, unit)
            metrics["units"][unit] = measure(predict_all(estimators, maps, test.instances), test, cutoffs)
            everything = data.before_search(unit, "test")
            metrics["units"][unit]["before_search"] = accuracy_by_solver(
                predict_all(earlier, earlier_maps, everything.instances), everything, cutoffs
            )
            for name, estimator in {**fitted[unit], head: best[unit]}.items():
                store.add(NETWORK if name == NETWORK else f"{unit}/{name}", estimator)
            write_probe_offsets(staging / unit / "probe_offset.json", data.probe_offsets[unit])
            write_relative_costs(staging / unit, dataset, sides, config.data.solvers, unit)
        known, fresh = (
            {str(unit): data.tables[unit].subset(data.side(*sides)) for unit in config.data.units}
            for sides in (LEARNT_SIDES, ("calibration",))
        )
        told = {unit: best[unit].predict(table.instances) for unit, table in known.items()}
        metrics["warnings"] = warnings = training_warnings(known, told, fresh)
        for line in warnings:
            log.warning(line)
        (staging / "calibration.json").write_text(json.dumps(calibrations) + "\n")
        (staging / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
        if PORTFOLIO_UNIT in config.data.units:
            calibration = Calibration.from_json(calibrations[PORTFOLIO_UNIT][head])
            write_portfolio(staging / PORTFOLIO_FILE, dataset, config, data, best[PORTFOLIO_UNIT], calibration)
        Background.sample([data.instances[k] for k in learnt], config.network.seed).save(staging / BACKGROUND_FILE)
        settings = preprocess_settings(config)
        reach = label_reach(
            dataset, [name for name in sides if sides[name] == "train"], config.data.solvers, config.data.units
        )
        bounds = {unit: max(by_solver.values()) for unit, by_solver in reach.items()}
        about = CheckpointConfig(
            name=config.checkpoint.name,
            version=config.checkpoint.version,
            solvers=config.data.solvers,
            probe_solver=ProbeSettings().solver,
            units=config.data.units,
            cutoffs=default_cutoffs(dataset, config.data.units, bounds),
            members=store.members,
            chain=(head, *(name for name in FALLBACKS if all(name in one for one in fitted.values()))),
            features=asdict(settings.features),
            feature_versions=asdict(FeatureVersions.today()),
            limits=asdict(settings.limits),
            training={**training_identity(dataset, config, data), "reach": reach},
            label_bounds=bounds,
            solver_correlation=correlation,
        )
        found = config.checkpoint.new_families
        (staging / "CARD.md").write_text(
            card(
                about,
                metrics,
                sum(data.solved_by_probe.values()),
                read_new_families(Path(found)) if found else None,
            )
            + card_section(warnings)
        )
        checkpoint = Checkpoint.write(staging, target, about)
    log.info(f"wrote {checkpoint.directory}")
    return checkpoint


def write_portfolio(
    path: Path,
    dataset: Dataset,
    config: TrainingConfig,
    data: LabelledInstances,
    estimator: Estimator,
    calibration: Calibration,
) -> None:
    """Write what the checkpoint's solvers are worth as a portfolio, if the training side tells."""
    fresh = not_learnt_from(config)
    instances = [data.instances[k] for k in data.side(*fresh)]
    sides = split_sides(dataset, config)
    portfolio = fit_portfolio(
        dataset,
        config.data.solvers,
        sides,
        own_limit(dataset),
        [instance.gbdhash for instance in instances],
        calibration.apply(estimator.predict(instances)),
        float(np.mean([charge(instance.timings) for instance in instances])) if instances else 0.0,
        fresh,
    )
    if portfolio is None:
        return
    learnt = [name for name, side in sides.items() if side in LEARNT_SIDES]
    for cutoff_s in config.checkpoint.longer_limits_s:
        try:
            portfolio = fit_longer(portfolio, dataset, config.data.solvers, learnt, cutoff_s)
        except DatasetError as error:
            log.warning(f"no single best solver for limits of {cutoff_s:g} s: {error}")
    write_json(path, portfolio.to_json(), indent=1)


def training_identity(dataset: Dataset, config: TrainingConfig, data: LabelledInstances) -> dict[str, Any]:
    """Return what a checkpoint was trained on, so that a changed data set can be told from it."""
    found: dict[str, Any] = {
        "dataset": dataset.directory.name,
        "sha256": _table_hashes(dataset.directory),
        "split": config.data.split,
        "fold": config.data.fold if config.data.split == "family" else None,
        "instances": {side: len(data.side(side)) for side in SIDES},
        "config": config.model_dump(mode="json", exclude={"data": {"root", "cache"}}),
    }
    if config.data.also:
        found["also"] = {path.name: _table_hashes(path) for path in config.data.also}
    return found


def _table_hashes(directory: Path) -> dict[str, str]:
    return {
        name: hashlib.sha256((directory / name).read_bytes()).hexdigest()
        for name in ("manifest.parquet", "runs.parquet", "splits.json")
    }


def measure(
    predictions: Mapping[str, CostDistribution], test: TrainingTable, cutoffs: Mapping[str, float]
) -> dict[str, Any]:
    """Return the accuracy of every estimator for every solver, and how the network and the forest differ.

    Parameters
    ----------
    predictions
        Estimator -> predictions of shape ``(n, n_solvers)`` for the test instances.
    cutoffs
        Solver -> log10 of the largest cost at which it solved an instance of the training side.
    """
    first = test.solvers[0]
    return {
        "solvers": accuracy_by_solver(predictions, test, cutoffs),
        "cutoffs": dict(cutoffs),
        "against_forest": compare(predictions, test, first, "forest", cutoffs[first]),
        "families": by_family(predictions, test, first, cutoffs[first]),
    }


def accuracy_by_solver(
    predictions: Mapping[str, CostDistribution], test: TrainingTable, cutoffs: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """Return solver -> estimator -> measures; parameters as for :func:`measure`."""
    return {
        solver: {name: accuracy(predicted, test, solver, cutoffs[solver]) for name, predicted in predictions.items()}
        for solver in test.solvers
    }


def by_family(
    predictions: Mapping[str, CostDistribution], test: TrainingTable, solver: str, cutoff: float
) -> dict[str, Any]:
    """Return number of solved runs and RMSE by family, for the network and the forest."""
    column = test.solvers.index(solver)
    usable = test.known[:, column] & ~test.censored[:, column]
    found: dict[str, Any] = {}
    for family in sorted(set(test.groups)):
        rows = np.flatnonzero(usable & (np.array(test.groups) == family))
        if len(rows):
            found[family] = {"n": len(rows)} | {
                name: rmse(expected_coded(predictions[name][rows, column], "solved", cutoff), test.cost[rows, column])
                for name in ("forest", "gnn", "ensemble")
                if name in predictions
            }
    return found
