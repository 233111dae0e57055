"""The protocol: every method fitted, calibrated and asked about the same instances, for each seed and fold.

Classical estimators are fitted on the training and the validation side, since they need no early stopping; the network
trains on the first and stops by the second. Calibration is fitted on the calibration side; nothing is fitted, chosen or
stopped by the test side. With the split by family every fold of families is left out once, and the predictions for the
folds are pooled. Instances that the probe solves are in none of this: they are solved, not predicted.

Every fit runs in a process of its own and leaves its predictions in a file, so that a method that fails or exhausts
the memory costs its own row only, and an interrupted evaluation goes on where it was.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn import __version__
from satcost_gnn.config import EnsembleConfig, ModelConfig, TrainingConfig
from satcost_gnn.data.dataset import SPLITS_FILE, Dataset
from satcost_gnn.data.splits import LEARNT_SIDES, SIDES
from satcost_gnn.errors import DatasetError, EvaluationError, SatcostError
from satcost_gnn.evaluate.methods import NETWORK, Method, seeded
from satcost_gnn.evaluate.results import Floats, has_predictions
from satcost_gnn.evaluate.stored_predictions import SIDES_STORED, StoredPredictions, digest, file_name, key_of
from satcost_gnn.features.instance import Instance, missing_need
from satcost_gnn.learn.base import Estimator, TrainingTable
from satcost_gnn.learn.fitting import ensemble, fit_network
from satcost_gnn.learn.labelled_instances import (
    LabelledInstances,
    cached_instances,
    load_labelled,
    open_datasets,
    preprocess_settings,
)
from satcost_gnn.learn.registry import make_estimator
from satcost_gnn.runtime.forked import run_forked
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.progress import ProgressLine
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.members import Members

if TYPE_CHECKING:
    from satcost_gnn.runtime.ray_cluster import RayCluster

Progress = Callable[[int, str], ProgressLine]

SPLITS = ("instance", "family")
#: Unit in which solvers are selected.
SELECTION_UNIT = "cpu_seconds"


@dataclass(frozen=True)
class Fit:
    """One estimator to be fitted.

    Parameters
    ----------
    method
        Which.
    seed
        Its seed, None if it has none.
    fold
        Fold left out, None for the split by instance.
    settings
        All settings of a classical estimator; overrides of the network's configuration.
    key
        Hash of what its predictions depend on.
    units
        What it predicts in. Solvers are selected by the first seed of a classical estimator: to fit it again in CPU
        seconds for every seed would double the work.
    checkpoint
        Where its network is taken from instead of being trained.
    """

    method: Method
    seed: int | None
    fold: int | None
    settings: Mapping[str, Any]
    key: str
    units: tuple[str, ...]
    checkpoint: Checkpoint | None = None

    @property
    def file(self) -> str:
        """Name of the file of its predictions."""
        return file_name(self.method.name, self.seed, self.fold)

    @property
    def label(self) -> str:
        """Name with seed and fold, for messages."""
        parts = [self.method.name]
        parts += [f"seed {self.seed}"] if self.seed is not None else []
        parts += [f"fold {self.fold}"] if self.fold is not None else []
        return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class EvaluationSetup:
    """What all methods share.

    Parameters
    ----------
    data
        Its instances that the probe did not solve, with their labels; sides are those of the split by instance.
    solved_sides
        Instance that the probe solved -> side, or fold.
    config
        Configuration of the network and of preprocessing.
    split
        ``instance`` or ``family``.
    units
        Units that are predicted in: the one of the table and CPU seconds.
    solvers
        In the order of every array; the first is the one of the table.
    """

    dataset: Dataset
    data: LabelledInstances
    config: TrainingConfig
    split: str
    units: tuple[str, ...]
    solvers: tuple[str, ...]

    @cached_property
    def folds(self) -> tuple[int | None, ...]:
        """Folds that are left out in turn; None alone for the split by instance."""
        assert self.dataset.splits is not None
        return (None,) if self.split == "instance" else tuple(range(self.dataset.splits.n_folds))

    def side_names(self, fold: int | None) -> dict[str, str]:
        """Return instance -> side."""
        splits = self.dataset.splits
        assert splits is not None
        if fold is None:
            return dict(splits.side)
        return {name: side for side, names in splits.leave_out(fold).items() for name in names}

    def at(self, fold: int | None) -> LabelledInstances:
        """Return the data with the sides of a fold."""
        side = self.side_names(fold)
        return replace(
            self.data,
            sides=np.array([side.get(one.gbdhash, "") for one in self.data.instances]),
            solved_sides=np.array([side.get(name, "") for name in self.data.solved], dtype=np.str_),
        )

    @cached_property
    def test(self) -> NDArray[np.int64]:
        """Positions of the test instances, of all folds together, in the order of the data."""
        found = np.zeros(len(self.data.instances), dtype=bool)
        for fold in self.folds:
            found[self.at(fold).side("test")] = True
        return np.flatnonzero(found)

    def solved_in_test(self) -> dict[str, Instance]:
        """Return the test instances that the probe solved."""
        names: set[str] = set()
        for fold in self.folds:
            names |= {name for name, side in self.side_names(fold).items() if side == "test"}
        return {name: instance for name, instance in self.data.solved.items() if name in names}

    def data_key(self, fold: int | None) -> str:
        """Return a hash of the instances, labels and sides of a fold."""
        data = self.at(fold)
        arrays = [data.sides.astype("U16"), data.solved_sides.astype("U16")]
        for unit in self.units:
            for table in (data.tables[unit], data.solved_tables[unit]):
                arrays += [np.where(table.known, table.cost, 0.0), table.censored, table.known, table.limit_s]
        names = [*(one.gbdhash for one in data.instances), *data.solved]
        return digest(arrays, [preprocess_settings(self.config).features.key(), *self.solvers, *self.units, *names])


def open_setup(
    config: TrainingConfig,
    split: str,
    unit: str,
    solver: str,
    methods: Sequence[Method],
    progress: Progress,
    cluster: RayCluster | None = None,
) -> EvaluationSetup:
    """Open the data set, preprocess what isn't cached, and join instances and labels.

    Parameters
    ----------
    config
        Data set, cache, solvers, network and preprocessing.
    split, unit, solver
        What the table is of.
    methods
        Who is compared: parts of instances that none of them needs are not held in memory.
    cluster
        Where instances are preprocessed; None for this machine.

    Raises
    ------
    DatasetError
        If the data set has no splits, no runs of the solver, or no instance of it can be had.
    EvaluationError
        If there is no such split.
    """
    if split not in SPLITS:
        raise EvaluationError(f"found split {split!r}; expected one of {', '.join(SPLITS)}")
    dataset = open_datasets(config)
    if solver not in dataset.solvers:
        raise DatasetError(
            f"{dataset.directory}: found no runs of solver {solver!r}; expected one of {', '.join(dataset.solvers)}"
        )
    solvers = tuple(dict.fromkeys([solver, *(name for name in config.data.solvers if name in dataset.solvers)]))
    units = tuple(dict.fromkeys([unit, SELECTION_UNIT]))
    network = any(one.is_network for one in methods)
    wanted = tuple(dict.fromkeys([*units, *(config.data.units if network else ())]))
    keep = set[str]()
    for one in methods:
        keep |= _needs(one)
    cache = cached_instances(dataset, config, progress, cluster)
    splits = dataset.splits
    assert splits is not None  # open_datasets asks for them
    roles = (
        {name: side for name, side in splits.side.items() if side in SIDES}
        if split == "instance"
        # Sides change with the fold: what counts here is only that an instance has a fold.
        else {
            name: splits.side[name] if splits.side[name] in SIDES else "test"
            for name, f in splits.fold.items()
            if f is not None
        }
    )
    data = load_labelled(dataset, cache, solvers, wanted, roles, keep)
    return EvaluationSetup(dataset, data, config, split, units, solvers)


def _needs(method: Method) -> frozenset[str]:
    if method.is_network:
        return frozenset({"graph"})
    try:
        return make_estimator(method.kind, **method.settings).needs
    except (SatcostError, ImportError):
        # Reported when it is to be fitted.
        return frozenset()


# Planning -------------------------------------------------------------------------------------------------------------


def plan(
    setup: EvaluationSetup,
    methods: Sequence[Method],
    seeds: Sequence[int],
    checkpoints: Sequence[Checkpoint],
    network_seeds: Sequence[int] | None = None,
) -> tuple[list[Fit], dict[str, str]]:
    """Return what has to be fitted, and method -> why it can't be.

    ``network_seeds`` are those of the networks, if they aren't those of the classical estimators.
    """
    fits: list[Fit] = []
    failed: dict[str, str] = {}
    data_keys = {fold: setup.data_key(fold) for fold in setup.folds}
    for one in methods:
        for fold in setup.folds:
            shared = {"version": __version__, "data": data_keys[fold], "kind": one.kind}
            if one.is_network:
                own = seeds if network_seeds is None else network_seeds
                fits += [_network_fit(setup, one, seed, fold, shared, checkpoints) for seed in own]
                continue
            try:
                for number, seed in enumerate(seeds[:1] if one.one_seed else seeds):
                    settings, has_seed = seeded(one.kind, one.settings, seed)
                    units = setup.units if number == 0 else setup.units[:1]
                    key = key_of(**shared, settings=settings, units=units)
                    fits.append(Fit(one, seed if has_seed else None, fold, settings, key, units))
                    if not has_seed:
                        break
            except (SatcostError, ImportError) as error:
                failed[one.name] = str(error)
                break
    return fits, failed


def network_config(config: TrainingConfig, method: Method, seed: int) -> TrainingConfig:
    """Return the configuration of the network of a method and a seed.

    An ensemble takes as many seeds in a row as it has members, so that those of two seeds have none in common.
    """
    if "modalities" in method.settings:
        model = config.model
        alone = {**method.settings, "modalities": tuple(method.settings["modalities"])}
        config = config.model_copy(update={"model": model.model_copy(update=alone), "ensemble": EnsembleConfig()})
    return config.model_copy(update={"seed": seed * config.members})


def _network_units(setup: EvaluationSetup, config: TrainingConfig) -> tuple[str, ...]:
    """Return what a network is trained for: the configuration's units, and those that it is measured in."""
    return tuple(dict.fromkeys([*config.data.units, *setup.units]))


def _network_fit(
    setup: EvaluationSetup,
    method: Method,
    seed: int,
    fold: int | None,
    shared: Mapping[str, Any],
    checkpoints: Sequence[Checkpoint],
) -> Fit:
    config = network_config(setup.config, method, seed)
    for checkpoint in checkpoints:
        why = _unfit(setup, checkpoint, config, fold)
        if not why:
            content = hashlib.sha256((checkpoint.directory / "config.json").read_bytes()).hexdigest()
            return Fit(method, seed, fold, {}, key_of(**shared, checkpoint=content), setup.units, checkpoint)
        if seed * config.members == (checkpoint.config.training.get("config") or {}).get("seed"):
            log.warning(f"{checkpoint.config.label} is not used for {method.name}, seed {seed}: {why}")
    settings = {**config.network.model_dump(mode="json"), "ensemble": config.ensemble.model_dump(mode="json")}
    units = _network_units(setup, config)
    return Fit(method, seed, fold, settings, key_of(**shared, settings=settings, units=units), setup.units)


def _unfit(setup: EvaluationSetup, checkpoint: Checkpoint, config: TrainingConfig, fold: int | None) -> str:
    """Return why the network of a checkpoint isn't that of a method, seed and fold; empty if it is."""
    training = checkpoint.config.training
    its = training.get("config") or {}
    model = ModelConfig.checked(its.get("model", {}), str(checkpoint.directory))
    mixed = EnsembleConfig.checked(its.get("ensemble", {}), str(checkpoint.directory))
    assert setup.dataset.splits is not None
    splits = hashlib.sha256((setup.dataset.directory / SPLITS_FILE).read_bytes()).hexdigest()
    if training.get("split") != ("instance" if fold is None else "family") or training.get("fold") != fold:
        return "it was trained on another split"
    if (training.get("sha256") or {}).get(SPLITS_FILE) != splits:
        return f"it was trained on other splits than those of {setup.dataset.directory} today"
    if its.get("seed", 0) != config.seed:
        return "it was trained with another seed"
    if sorted(model.modalities) != sorted(config.model.modalities):
        return "its network sees other parts of an instance"
    if model.probe_node_features != config.model.probe_node_features:
        return "its graphs have other probe node features"
    if config.ensemble not in (EnsembleConfig(), mixed):
        return "its network is mixed with others differently"
    if not set(setup.units) <= set(checkpoint.config.units) or not set(setup.solvers) <= set(checkpoint.config.solvers):
        return f"it predicts {', '.join(checkpoint.config.solvers)} in {', '.join(checkpoint.config.units)} only"
    features = preprocess_settings(setup.config).features
    if found := checkpoint.config.stale_features() or features.differences(checkpoint.config.preprocessing.features):
        return f"its instances were preprocessed otherwise ({'; '.join(found)})"
    return ""


# Fitting --------------------------------------------------------------------------------------------------------------


def run_fits(
    setup: EvaluationSetup, fits: Sequence[Fit], output: Path, jobs: int, progress: Progress
) -> dict[str, str]:
    """Fit what has no predictions yet; return file -> what went wrong.

    ``jobs`` classical estimators are fitted at a time; networks are trained one after the other.
    """
    folder = output / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    problems: dict[str, str] = {}
    with progress(len(fits), "fits") as bar:
        waiting = [fit for fit in fits if not has_predictions(fit, output)]
        bar.skip(len(fits) - len(waiting))
        for network in (False, True):
            group = [fit for fit in waiting if fit.method.is_network == network]

            def ended(number: int, problem: str, group: list[Fit] = group) -> None:
                fit = group[number]
                if problem or not has_predictions(fit, output):
                    problems[fit.file] = problem or "it left no predictions"
                    log.warning(f"{fit.label}: {problems[fit.file]}")
                bar.advance()

            fitting = [partial(_fit, setup, fit, output) for fit in group]
            run_forked(fitting, [fit.label for fit in group], 1 if network else jobs, ended)
    return problems


def _fit(setup: EvaluationSetup, fit: Fit, output: Path) -> None:
    """Fit, predict, and write the predictions; runs in a process of its own."""
    data = setup.at(fit.fold)
    estimators: dict[str, Estimator] = {}
    fit_seconds: dict[str, float] = {}
    note = ""
    if fit.method.is_network:
        start = time.monotonic()
        networks, note = _networks(setup, data, fit, output)
        for unit in fit.units:
            estimators[unit] = networks[unit]
            fit_seconds[unit] = time.monotonic() - start
    learn = {unit: data.tables[unit].subset(data.side(*LEARNT_SIDES)) for unit in fit.units}
    for unit in fit.units:
        if unit not in estimators:
            start = time.monotonic()
            estimator = make_estimator(fit.method.kind, **fit.settings)
            usable = _usable(estimator, learn[unit].instances)
            estimators[unit] = estimator.fit(learn[unit].subset(usable))
            fit_seconds[unit] = time.monotonic() - start
    cdf: dict[tuple[str, str], NDArray[np.float32]] = {}
    names: dict[str, list[str]] = {}
    predict_seconds: dict[str, float] = {}
    lacking = 0
    for unit, estimator in estimators.items():
        columns = [estimator.solvers.index(solver) for solver in setup.solvers]
        for side in SIDES_STORED:
            instances = [data.instances[k] for k in data.side(side)]
            names[side] = [one.gbdhash for one in instances]
            start = time.monotonic()
            found, without = _predict(estimator, learn[unit], instances, columns)
            if side == "test":
                predict_seconds[unit] = (time.monotonic() - start) / max(1, len(instances))
                lacking = without
            cdf[unit, side] = found.astype(np.float32)
    needs = tuple(sorted(next(iter(estimators.values())).needs))
    StoredPredictions(
        fit.method.name,
        fit.seed,
        fit.fold,
        fit.key,
        names,
        cdf,
        fit_seconds,
        predict_seconds,
        lacking,
        needs,
        note,
    ).write(output / "predictions" / fit.file)


def _usable(estimator: Estimator, instances: Sequence[Instance]) -> NDArray[np.bool_]:
    """Return which instances have what an estimator needs."""
    return np.array([not any(missing_need(need, one) for need in estimator.needs) for one in instances], dtype=bool)


def _predict(
    estimator: Estimator, learn: TrainingTable, instances: list[Instance], columns: list[int]
) -> tuple[Floats, int]:
    """Return the CDFs for the solvers wanted, and for how many instances the constant had to stand in."""
    usable = _usable(estimator, instances)
    cdf = np.empty((len(instances), len(columns), learn.grid.bins + 1))
    if usable.any():
        found = estimator.predict([instances[k] for k in np.flatnonzero(usable)])
        cdf[usable] = found.cdf[:, columns]
    if not usable.all():
        constant = make_estimator("constant").fit(learn)
        cdf[~usable] = constant.predict([instances[k] for k in np.flatnonzero(~usable)]).cdf
    return cdf, int((~usable).sum())


def _networks(
    setup: EvaluationSetup, data: LabelledInstances, fit: Fit, output: Path
) -> tuple[dict[str, Estimator], str]:
    """Return the network of a fit by unit, mixed as it is asked, and where it comes from: a checkpoint, or here."""
    assert fit.seed is not None
    config = network_config(setup.config, fit.method, fit.seed)
    if fit.checkpoint is not None:
        its = fit.checkpoint.config
        name = NETWORK if config.ensemble == EnsembleConfig() else its.chain[0]
        found = {unit: Members(fit.checkpoint, unit).get(its.member_for(name, unit)) for unit in fit.units}
        return found, f"{name} of checkpoint {its.label}"
    units = _network_units(setup, config)
    # Alone and in the ensemble it is the same network: it is trained once.
    settings = config.network.model_dump(mode="json")
    key = key_of(version=__version__, data=setup.data_key(fit.fold), settings=settings, units=units)
    _, _, seed_and_fold = fit.file.removesuffix(".npz").partition(".")
    run = f"network.{seed_and_fold}.{key[:8]}"
    config = config.model_copy(
        update={
            "runs": output / "networks",
            "name": run,
            "data": config.data.model_copy(update={"solvers": setup.solvers, "units": units}),
        }
    )
    return ensemble(fit_network(data, config), data, config, output / "networks" / "classical"), ""
