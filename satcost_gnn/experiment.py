"""From a labelled data set to a checkpoint: preprocess, fit every estimator, calibrate, measure, write.

The instances that the probe already solves are set apart: they are solved, not predicted. Everything that is fitted
sees the training side only; the network stops early on the validation side; calibration uses the calibration side; the
numbers in ``metrics.json`` and in the card are of the test side, which nothing else has touched.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.calibration import Calibration
from satcost_gnn.checkpoint import Checkpoint, CheckpointConfig
from satcost_gnn.checkpoint_contents import write_probe_offsets
from satcost_gnn.config import TrainingConfig, write_config
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.materialise import materialise
from satcost_gnn.data.splits import SIDES
from satcost_gnn.distribution import CostDistribution
from satcost_gnn.early_answers import probe_cost, write_relative_costs
from satcost_gnn.errors import CheckpointError, DatasetError
from satcost_gnn.estimators import make_estimator
from satcost_gnn.estimators.base import Estimator, TrainingTable
from satcost_gnn.evaluation.accuracy import accuracy, compare
from satcost_gnn.evaluation.metrics import expected_coded, rmse
from satcost_gnn.explanation import BACKGROUND_FILE, Background
from satcost_gnn.instance import Instance
from satcost_gnn.instance_cache import InstanceCache
from satcost_gnn.model_card import card, read_new_families
from satcost_gnn.observed import label_bounds
from satcost_gnn.out_of_distribution import NoveltyDetector
from satcost_gnn.output_files import write_json
from satcost_gnn.portfolio.select import overhead_of
from satcost_gnn.portfolio.training_fit import fit_portfolio
from satcost_gnn.portfolio.training_side import PORTFOLIO_FILE
from satcost_gnn.portfolio.training_side import UNIT as PORTFOLIO_UNIT
from satcost_gnn.preprocess import PreprocessSettings
from satcost_gnn.progress import ProgressLine
from satcost_gnn.search.probe import ProbeSettings
from satcost_gnn.training_warnings import card_section, training_warnings

if TYPE_CHECKING:
    from satcost_gnn.estimators.gnn import GnnEstimator

Say = Callable[[str], None]

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
#: Order in which a prediction is tried; the forest on static features is for instances without an early search.
CHAIN = ("gnn", "forest", "forest_static", "linear", "tree_size", "constant")


@dataclass(frozen=True, eq=False)
class LabelledInstances:
    """Preprocessed instances with their labels, in one order.

    Parameters
    ----------
    instances
        Instances that the probe did not solve.
    tables
        Unit -> table of their costs.
    sides
        ``train``, ``validation``, ``calibration`` or ``test`` of each.
    probe_offsets
        Unit -> solver -> log10 of its cost over the probe's, for training instances that the probe solved.
    solved_by_probe
        Instances that the probe solved, by side.
    solved
        Identity -> those instances, without graph and trace.
    """

    instances: list[Instance]
    tables: dict[str, TrainingTable]
    sides: NDArray[np.str_]
    probe_offsets: dict[str, dict[str, NDArray[np.float64]]]
    solved_by_probe: dict[str, int]
    solved: dict[str, Instance] = field(default_factory=dict)

    def side(self, *names: str) -> NDArray[np.int64]:
        """Return the positions of the instances on some sides."""
        return np.flatnonzero(np.isin(self.sides, names))


def load_labelled(
    dataset: Dataset,
    cache: InstanceCache,
    solvers: Sequence[str],
    units: Sequence[str],
    sides: Mapping[str, str],
    say: Say,
    keep: Collection[str] = ("graph", "trace"),
) -> LabelledInstances:
    """Join the cached instances of a data set with its labels.

    Parameters
    ----------
    dataset
        Manifest and runs.
    cache
        Filled with the instances that could be found and read.
    solvers, units
        Columns and tables wanted.
    sides
        Instance -> side; an instance without one is left out.
    say
        Called with what a reader of the log should know.
    keep
        Large parts of instances to hold in memory: ``graph``, ``trace``.

    Raises
    ------
    DatasetError
        If no instance is left.
    """
    names = [name for name in dataset.instances if sides.get(name) in ("train", "validation", "calibration", "test")]
    kept: list[str] = []
    instances: list[Instance] = []
    solved: dict[str, Instance] = {}
    absent = 0
    for name, instance in zip(names, cache.load(names), strict=True):
        if instance is None or instance.online is None:
            absent += 1
        elif instance.probe is not None and instance.probe.solved:
            solved[name] = _with_parts(instance, ())
        else:
            kept.append(name)
            instances.append(_with_parts(instance, keep))
    if not kept:
        raise DatasetError(f"{dataset.directory}: found no labelled instance that was read and not solved by the probe")
    say(f"{len(kept)} instances to learn from, {len(solved)} solved by the probe, {absent} not found or not probed")
    satisfiable = dataset.satisfiable(kept)
    groups = dataset.families(kept)
    tables = {}
    offsets: dict[str, dict[str, NDArray[np.float64]]] = {}
    for unit in units:
        matrix = dataset.cost_matrix(solvers, unit, instances=kept)
        tables[unit] = TrainingTable(
            instances,
            tuple(solvers),
            unit,
            np.nan_to_num(matrix.cost),
            matrix.censored,
            matrix.known,
            groups,
            satisfiable,
        )
        offsets[unit] = _probe_offsets(dataset, solved, solvers, unit, sides)
    by_side = {
        side: sum(sides[name] == side for name in solved) for side in ("train", "validation", "calibration", "test")
    }
    return LabelledInstances(instances, tables, np.array([sides[name] for name in kept]), offsets, by_side, solved)


def _with_parts(instance: Instance, parts: Collection[str]) -> Instance:
    """Return the instance without the large parts that aren't listed."""
    probe = instance.probe
    if probe is not None and "trace" not in parts:
        probe = replace(probe, trace=None)
    return replace(instance, probe=probe, graph=instance.graph if "graph" in parts else None)


def _probe_offsets(
    dataset: Dataset, solved: Mapping[str, Instance], solvers: Sequence[str], unit: str, sides: Mapping[str, str]
) -> dict[str, NDArray[np.float64]]:
    names = [name for name in solved if sides[name] == "train"]
    matrix = dataset.cost_matrix(solvers, unit, instances=names)
    base = np.array([probe_cost(solved[name], unit) for name in names])
    found = {}
    for column, solver in enumerate(solvers):
        usable = matrix.known[:, column]
        values = matrix.cost[usable, column] - base[usable]
        found[solver] = values if len(values) else np.zeros(1)
    return found


def fit_classical(data: LabelledInstances, unit: str, say: Say) -> dict[str, Estimator]:
    """Fit the estimators other than the network on the training and validation sides: they need no early stopping."""
    table = data.tables[unit].subset(data.side("train", "validation"))
    fitted = {}
    for name, (kind, settings) in CLASSICAL.items():
        say(f"fitting {name} for {unit} on {len(table)} instances")
        fitted[name] = make_estimator(kind, **settings).fit(table)
    return fitted


def calibrate(data: LabelledInstances, unit: str, estimators: Mapping[str, Estimator]) -> dict[str, Calibration]:
    """Fit a calibration of each estimator on the calibration side, which no estimator was fitted to."""
    table = data.tables[unit].subset(data.side("calibration"))
    return {
        name: Calibration.fit(estimator.predict(table.instances), table.cost, table.censored, table.known)
        for name, estimator in estimators.items()
    }


def fit_network(
    data: LabelledInstances, config: TrainingConfig, say: Say, classical: Path | None = None
) -> GnnEstimator:
    """Train the network on all units at once; early stopping looks at the validation side, if it is asked for.

    An interrupted training of the same configuration on the same split goes on where it was. The directory
    ``classical`` keeps the classical estimators beside the network, for further networks on the same instances.
    """
    # Imported here: everything else in this module works without torch.
    from satcost_gnn.estimators.gnn import GnnEstimator

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
        say=say,
    )


def predict_all(
    fitted: Mapping[str, Estimator], calibrations: Mapping[str, Calibration], instances: list[Instance]
) -> dict[str, CostDistribution]:
    """Return the calibrated predictions of every estimator for the same instances."""
    return {name: calibrations[name].apply(estimator.predict(instances)) for name, estimator in fitted.items()}


def preprocess_settings(config: TrainingConfig) -> PreprocessSettings:
    """Return how the configuration wants instances preprocessed."""
    probe = ProbeSettings(conflicts=config.preprocess.conflicts)
    return PreprocessSettings(
        probe=probe, again=config.preprocess.again, max_graph_edges=config.preprocess.max_graph_edges
    )


def prepare(
    config: TrainingConfig, say: Say, progress: Callable[[int, str], ProgressLine]
) -> tuple[Dataset, LabelledInstances]:
    """Open the data set, preprocess what isn't cached, and join instances and labels.

    Raises
    ------
    DatasetError
        If the data set has no splits, or no instance of it can be had.
    """
    dataset = Dataset.open(config.data.dataset)
    if dataset.splits is None:
        raise DatasetError(f"{config.data.dataset}: found no splits.json; make it with `satcost dataset split`")
    cache = fill_cache(dataset, config, say, progress)
    data = load_labelled(dataset, cache, config.data.solvers, config.data.units, split_sides(dataset, config), say)
    say(", ".join(f"{side}: {len(data.side(side))}" for side in SIDES))
    return dataset, data


def fill_cache(
    dataset: Dataset, config: TrainingConfig, say: Say, progress: Callable[[int, str], ProgressLine]
) -> InstanceCache:
    """Preprocess the instances that have runs and aren't cached yet, and return the cache."""
    cache = InstanceCache(config.data.cache, preprocess_settings(config))
    labelled = sorted({run.instance for run in dataset.runs} & set(dataset.instances))
    with progress(len(labelled), "instances preprocessed") as bar:
        missing = [name for name in labelled if not cache.has(name)]
        bar.skip(len(labelled) - len(missing))
        files = materialise(
            dataset, config.data.root, config.data.cache / "instances", instances=missing, on_problem=bar.message
        )
        failed = cache.fill(files, jobs=config.preprocess.jobs, on_step=lambda _: bar.advance())
    for item in failed:
        say(f"left out: {item.error}")
    return cache


def run_experiment(config: TrainingConfig, say: Say, progress: Callable[[int, str], ProgressLine]) -> Checkpoint:
    """Do everything from the data set to the checkpoint; whatever is cached or finished is not done again.

    Parameters
    ----------
    config
        The whole run.
    say
        Called with lines for the log.
    progress
        Makes a progress reporter of a number of steps and what they are.

    Returns
    -------
    Checkpoint
        The new checkpoint.

    Raises
    ------
    SatcostError
        If the data set is unusable or the checkpoint exists already.
    """
    target = config.checkpoint.directory / f"{config.checkpoint.name}-v{config.checkpoint.version}"
    if target.exists():
        raise CheckpointError(f"{target} exists; checkpoints are never overwritten, choose the next version")
    dataset, data = prepare(config, say, progress)
    config.directory.mkdir(parents=True, exist_ok=True)
    write_config(config, config.directory / "config.json")
    sides = dict(sorted(split_sides(dataset, config).items()))
    write_json(config.directory / "split.json", sides)
    with tempfile.TemporaryDirectory(dir=config.directory) as folder:
        staging = Path(folder) / target.name
        staging.mkdir()
        metrics: dict[str, Any] = {"solved_by_probe": data.solved_by_probe, "units": {}}
        calibrations: dict[str, dict[str, Any]] = {}
        fitted = {unit: fit_classical(data, unit, say) for unit in config.data.units}
        say("training the network")
        network = fit_network(data, config, say)
        network.save(staging / "gnn")
        for unit in config.data.units:
            estimators = {**fitted[unit], "gnn": network.for_unit(unit)}
            maps = calibrate(data, unit, estimators)
            calibrations[unit] = {name: found.to_json() for name, found in maps.items()}
            test = data.tables[unit].subset(data.side("test"))
            cutoffs = largest_solved(data, unit)
            metrics["units"][unit] = measure(predict_all(estimators, maps, test.instances), test, cutoffs)
            for name, estimator in fitted[unit].items():
                estimator.save(staging / unit / name)
            write_probe_offsets(staging / unit / "probe_offset.json", data.probe_offsets[unit])
            write_relative_costs(staging / unit, dataset, sides, config.data.solvers, unit)
        known, fresh = (
            {str(unit): data.tables[unit].subset(data.side(*sides)) for unit in config.data.units}
            for sides in (("train", "validation"), ("calibration",))
        )
        told = {unit: network.for_unit(unit).predict(table.instances) for unit, table in known.items()}
        metrics["warnings"] = warnings = training_warnings(known, told, fresh)
        for line in warnings:
            say(f"warning: {line}")
        (staging / "calibration.json").write_text(json.dumps(calibrations) + "\n")
        (staging / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
        if PORTFOLIO_UNIT in config.data.units:
            write_portfolio(
                staging / PORTFOLIO_FILE, dataset, config, data, network.for_unit(PORTFOLIO_UNIT), calibrations
            )
        learnt = data.side("train", "validation")
        groups = data.tables[config.data.units[0]].groups
        novelty = NoveltyDetector(judged_by="static").fit(
            [data.instances[k] for k in learnt], [groups[k] for k in learnt]
        )
        novelty.save(staging / "novelty")
        Background.sample([data.instances[k] for k in learnt], config.network.seed).save(staging / BACKGROUND_FILE)
        settings = preprocess_settings(config)
        about = CheckpointConfig(
            name=config.checkpoint.name,
            version=config.checkpoint.version,
            solvers=config.data.solvers,
            probe_solver=ProbeSettings().solver,
            units=config.data.units,
            cutoffs=default_cutoffs(dataset, config.data.units),
            chain=CHAIN,
            preprocess=json.loads(json.dumps(asdict(settings))),
            preprocess_key=settings.key(),
            training=training_identity(dataset, config, data),
            label_bounds=label_bounds(
                dataset, [name for name in sides if sides[name] == "train"], config.data.solvers, config.data.units
            ),
        )
        found = config.checkpoint.new_families
        (staging / "CARD.md").write_text(
            card(
                about,
                metrics,
                sum(data.solved_by_probe.values()),
                max(run.cpu_limit_s for run in dataset.runs),
                read_new_families(Path(found)) if found else None,
            )
            + card_section(warnings)
        )
        checkpoint = Checkpoint.write(staging, target, about)
    say(f"wrote {checkpoint.directory}")
    return checkpoint


def write_portfolio(
    path: Path,
    dataset: Dataset,
    config: TrainingConfig,
    data: LabelledInstances,
    network: Estimator,
    calibrations: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write what the checkpoint's solvers are worth as a portfolio, if the training side tells."""
    fresh = not_learnt_from(config)
    instances = [data.instances[k] for k in data.side(*fresh)]
    portfolio = fit_portfolio(
        dataset,
        config.data.solvers,
        split_sides(dataset, config),
        default_cutoffs(dataset, [PORTFOLIO_UNIT])[PORTFOLIO_UNIT],
        [instance.gbdhash for instance in instances],
        Calibration.from_json(calibrations[PORTFOLIO_UNIT]["gnn"]).apply(network.predict(instances)),
        float(np.mean([overhead_of(instance.timings) for instance in instances])) if instances else 0.0,
        fresh,
    )
    if portfolio is not None:
        write_json(path, portfolio.to_json(), indent=1)


def not_learnt_from(config: TrainingConfig) -> tuple[str, ...]:
    """Return the sides besides the test side that tell what the network is worth on what it did not see."""
    return ("calibration",) if config.optimiser.stopping == "none" else ("validation", "calibration")


def split_sides(dataset: Dataset, config: TrainingConfig) -> dict[str, str]:
    """Return instance -> side of the split that the configuration asks for."""
    splits = dataset.splits
    assert splits is not None
    if config.data.split == "instance":
        return dict(splits.side)
    return {name: side for side, names in splits.leave_out(config.data.fold).items() for name in names}


def default_cutoffs(dataset: Dataset, units: Sequence[str]) -> dict[str, float]:
    """Return budgets for ``p_solved``: the labels' CPU limit, and a round count that most runs reach in that time."""
    limit = max(run.cpu_limit_s for run in dataset.runs)
    return {unit: limit if unit == "cpu_seconds" else {"conflicts": 1e5, "propagations": 1e8}[unit] for unit in units}


def training_identity(dataset: Dataset, config: TrainingConfig, data: LabelledInstances) -> dict[str, Any]:
    """Return what a checkpoint was trained on, so that a changed data set can be told from it."""
    tables = {
        name: hashlib.sha256((dataset.directory / name).read_bytes()).hexdigest()
        for name in ("manifest.parquet", "runs.parquet", "splits.json")
    }
    return {
        "dataset": dataset.directory.name,
        "sha256": tables,
        "split": config.data.split,
        "fold": config.data.fold if config.data.split == "family" else None,
        "instances": {side: len(data.side(side)) for side in SIDES},
        "config": config.model_dump(mode="json", exclude={"data": {"root", "cache"}}),
    }


def largest_solved(data: LabelledInstances, unit: str) -> dict[str, float]:
    """Return log10 of the largest cost at which each solver solved an instance of the training side."""
    table = data.tables[unit].subset(data.side("train"))
    solved = table.known & ~table.censored
    return {solver: float(table.cost[solved[:, k], k].max()) for k, solver in enumerate(table.solvers)}


def measure(
    predictions: Mapping[str, CostDistribution], test: TrainingTable, cutoffs: Mapping[str, float]
) -> dict[str, Any]:
    """Return the accuracy of every estimator for every solver, and how the network and the forest differ.

    Parameters
    ----------
    predictions
        Estimator -> predictions of shape ``(n, n_solvers)`` for the test instances.
    test
        The test instances with their costs.
    cutoffs
        Solver -> log10 of the largest cost at which it solved an instance of the training side.
    """
    found: dict[str, Any] = {}
    for solver in test.solvers:
        found[solver] = {
            name: accuracy(predicted, test, solver, cutoffs[solver]) for name, predicted in predictions.items()
        }
    first = test.solvers[0]
    return {
        "solvers": found,
        "cutoffs": dict(cutoffs),
        "against_forest": compare(predictions, test, first, "forest", cutoffs[first]),
        "families": by_family(predictions, test, first, cutoffs[first]),
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
                for name in ("forest", "gnn")
            }
    return found
