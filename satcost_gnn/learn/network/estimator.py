"""The network as an estimator: from training tables to an ensemble of networks, and from instances to distributions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from satcost_gnn import __version__
from satcost_gnn.config import NetworkConfig, TrainingConfig
from satcost_gnn.core.distribution import CostDistribution, grid_for
from satcost_gnn.errors import EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.formula.static_feature_list import ORDER_FEATURE_NAMES
from satcost_gnn.learn.base import Bools, Estimator, TrainingTable, group_folds, register
from satcost_gnn.learn.network.array_model import ArrayModel, online_readings, readings
from satcost_gnn.learn.network.batching import GraphSample, graph_sample, online_vector
from satcost_gnn.learn.network.definition import ModelShape
from satcost_gnn.learn.network.device import NetworkOutOfMemoryError, is_processor, out_of_memory
from satcost_gnn.learn.network.network_files import NetworkHeader, check_header, graph_inputs, read_weights
from satcost_gnn.learn.stored_estimator import FORMAT, read_header

if TYPE_CHECKING:
    from satcost_gnn.learn.network.cost_model import CostModel
    from satcost_gnn.learn.network.torch_inference import TorchInference

#: What :meth:`GnnEstimator.fit` takes beyond the table: extra, validation, structure, run_directory and resume.
_FitOptions = tuple[Sequence[TrainingTable], Sequence[TrainingTable], Sequence[TrainingTable], Path | None, bool]
_NO_OPTIONS: _FitOptions = ((), (), (), None, False)

_WEIGHTS = "model.safetensors"
_HEADER = "config.json"


@register
class GnnEstimator(Estimator):
    """An ensemble of networks over the graph, the static features and the early search.

    One network predicts for every solver in every unit of its training tables; what :meth:`predict` returns is in
    ``unit``, see :meth:`for_unit`. The members' distributions are averaged.

    Parameters
    ----------
    settings
        :class:`satcost_gnn.config.NetworkConfig` or its values as nested dictionaries; ConfigError if one is unknown or
        invalid.
    device
        Where it predicts: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1`` …
    """

    name: ClassVar[str] = "gnn"
    multi_unit: ClassVar[bool] = True
    needs: frozenset[str] = frozenset({"graph", "static", "online"})
    for_new: bool = False

    def __init__(self, settings: NetworkConfig | Mapping[str, Any] | None = None, *, device: str = "auto") -> None:
        if isinstance(settings, TrainingConfig):
            settings = settings.network
        self.settings = NetworkConfig.checked(settings, "settings of the network")
        # Samples for the batches carry a graph even if the network is told to ignore it.
        self.needs = frozenset({"graph", *self.settings.model.modalities})
        # Without modality dropout in training the stand-in of a missing graph has learnt nothing.
        missable = self.settings.model.modality_dropout > 0 and len(self.settings.model.modalities) > 1
        self.can_miss = frozenset({"graph"} & set(self.settings.model.modalities)) if missable else frozenset()
        self.device = device
        self._shape: ModelShape | None = None
        self._static_names: tuple[str, ...] = ()
        self._online_names: tuple[str, ...] = ()
        # As they were read from a file; what has been learnt here is in torch's models only.
        self._weights: list[dict[str, NDArray[Any]]] = []
        self._members: list[CostModel] = []
        self._options = _NO_OPTIONS
        #: The object that others for further units share their networks with; see :meth:`for_unit`.
        self.shared: GnnEstimator = self

    def parameters(self) -> dict[str, Any]:
        """Return the settings."""
        return {"settings": self.settings.model_dump(mode="json")}

    @property
    def units(self) -> tuple[str, ...]:
        """Units that it can predict in, the main one first; EstimatorError before fitting."""
        return tuple(self._fitted_shape.solvers)

    @property
    def _fitted_shape(self) -> ModelShape:
        if self._shape is None:
            raise EstimatorError(f"estimator {self.name!r} is not fitted; call fit() or load() first")
        return self._shape

    def for_unit(self, unit: str) -> Self:
        """Return this estimator predicting in another of its units; the networks are shared.

        EstimatorError if it was not trained for the unit.
        """
        if unit not in self.units:
            raise EstimatorError(f"network: found unit {unit!r}; it was trained for {', '.join(self.units)}")
        other = type(self)(self.settings, device=self.device)
        other.__dict__.update(self.__dict__)
        other._unit, other._solvers = unit, self._fitted_shape.solvers[unit]
        other.shared = self.shared
        return other

    # Fitting ----------------------------------------------------------------------------------------------------------

    def fit(
        self,
        table: TrainingTable,
        extra: Sequence[TrainingTable] = (),
        validation: Sequence[TrainingTable] = (),
        structure: Sequence[TrainingTable] = (),
        run_directory: Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn from a table, and from tables of other units on the same or other instances.

        Parameters
        ----------
        table
            Labels in the main unit.
        extra
            Labels in further units. Instances are matched by ``gbdhash``; an instance that is only in some tables is
            learnt from with the labels that it has.
        validation
            Tables of the same units whose instances decide when to stop; by default a part of the training instances
            is held out for that. None is needed, or held out, if all epochs are made (``optimiser.stopping``).
        structure
            Tables of the same units and solvers of instances that the probe solved: they are learnt from without their
            early search, as often as others are seen without theirs.
        run_directory
            Where to keep configuration, split, log and state of the run; None: nowhere.
        resume
            Go on with the run there.

        Raises
        ------
        EstimatorError
            If a table is empty, a solver has no run, units repeat, or an instance has no graph.
        ConfigError
            If the run directory holds another run.
        """
        tables = (table, *extra)
        units = [one.unit for one in tables]
        if len(set(units)) != len(units):
            raise EstimatorError(f"network: found tables in the units {', '.join(units)}; expected each unit once")
        if validation and sorted(one.unit for one in validation) != sorted(units):
            raise EstimatorError(
                f"network: found validation tables in {', '.join(one.unit for one in validation)}; "
                f"expected {', '.join(units)}"
            )
        for one in structure:
            if one.unit not in units or one.solvers != tables[units.index(one.unit)].solvers:
                raise EstimatorError(
                    f"network: found a table of structure in {one.unit} for {', '.join(one.solvers)}; expected the "
                    "units and solvers of the training tables"
                )
        self._options = (extra, validation, structure, run_directory, resume)
        try:
            return super().fit(table)
        finally:
            self._options = _NO_OPTIONS

    def _fit(self, table: TrainingTable) -> None:
        from satcost_gnn.learn.network.joined_tables import JoinedTables, marginal_logits
        from satcost_gnn.learn.network.training import open_run, train_network

        extra, validated, structure, run_directory, resume = self._options
        tables = {one.unit: one for one in (table, *extra)}
        for one in tables.values():
            if not len(one) or not one.known.any(axis=0).all():
                raise EstimatorError(f"network: the table in {one.unit} lacks runs of some solver; leave it out")
        joined = JoinedTables.of(tables)
        if validated:
            by_unit = {one.unit: one for one in validated}
            held_out = JoinedTables.of({unit: by_unit[unit] for unit in tables})
            if any(held_out.tables[unit].solvers != one.solvers for unit, one in tables.items()):
                raise EstimatorError(
                    "network: validation tables must have the solvers of the training tables, in order"
                )
            train, validation = joined, held_out
        elif self.settings.optimiser.stopping == "none":
            train, validation = joined, joined.subset(np.zeros(0, dtype=np.int64))
        else:
            inside = self._held_out(joined.groups)
            train, validation = joined.subset(np.flatnonzero(~inside)), joined.subset(np.flatnonzero(inside))
        first = train.instances[0]
        # What says how a file happens to be written is left to the classical estimators, which it moves little.
        self._static_names = tuple(name for name in first.static.names if name not in ORDER_FEATURE_NAMES)
        self._online_names = next((one.online.names for one in train.instances if one.online is not None), ())
        shape = ModelShape(
            len(self._static_names), len(self._online_names), {unit: one.solvers for unit, one in tables.items()}
        )
        solved = JoinedTables.of({one.unit: one for one in structure}) if structure else None
        families = {*train.groups, *(solved.groups if solved is not None else ())}
        learnt, judged = train.samples(self._sample, families), validation.samples(self._sample)
        if solved is not None:
            model = self.settings.model
            share = 1.0 - (1.0 - model.structure_only_dropout) * (1.0 - model.modality_dropout)
            before_search = solved.samples(lambda one: self._sample(replace(one, online=None)), families)
            learnt += [replace(one, share=share) for one in before_search]
        if run_directory is not None:
            split = {
                side: [one.gbdhash or one.path for one in part.instances]
                for side, part in (("train", train), ("validation", validation), ("structure", solved))
                if part is not None
            }
            open_run(run_directory, self.settings.model_dump(mode="json"), split, resume=resume)
        try:
            self._weights = []
            self._members = train_network(
                self.settings,
                shape,
                learnt,
                judged,
                {unit: marginal_logits(one) for unit, one in train.tables.items()},
                directory=run_directory,
                resume=resume,
            )
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise NetworkOutOfMemoryError(
                f"network: out of memory in training ({error}); lower batches.edges "
                f"({self.settings.batches.edges}) or batches.max_graph_edges ({self.settings.batches.max_graph_edges})"
            ) from error
        self._shape = shape

    def _held_out(self, groups: Sequence[str]) -> Bools:
        """Choose the instances, or whole families, that decide when to stop."""
        settings = self.settings.optimiser
        count = len(groups)
        if count < 2:
            raise EstimatorError(f"network: found {count} training instances; expected at least 2")
        names = list(groups) if settings.validation_by == "family" else [str(i) for i in range(count)]
        folds = max(2, round(1 / settings.validation_share))
        return np.asarray(group_folds(names, folds, self.settings.seed) == 0)

    def _sample(self, instance: Instance) -> GraphSample:
        limit = self.settings.batches.max_graph_edges
        return graph_sample(instance, self._static_names, self._online_names, limit)

    # Predicting -------------------------------------------------------------------------------------------------------

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        samples, paths = [self._sample(one) for one in instances], [one.path for one in instances]
        # With numpy where torch hasn't just learnt the networks, and without a GPU.
        if not self._members and is_processor(self.device):
            there = np.zeros(len(samples), dtype=np.bool_)
            return self._averaged(readings(self._array_models, samples, there, paths, self.unit))
        return self._averaged(self._in_torch.readings(samples, paths, self.unit))

    @property
    def _array_models(self) -> list[ArrayModel]:
        return [ArrayModel(self.settings.model, weights) for weights in self._arrays()]

    @property
    def _in_torch(self) -> TorchInference:
        from satcost_gnn.learn.network.cost_model import CostModel
        from satcost_gnn.learn.network.torch_inference import TorchInference

        shape = self._fitted_shape
        if not self._members:
            # In place: estimators for other units share them.
            self._members += [CostModel.from_arrays(self.settings.model, shape, one) for one in self._weights]
        return TorchInference(self._members, self.device, self.settings.batches)

    def _averaged(self, readings: NDArray[np.float64]) -> CostDistribution:
        """Return the mean of the networks' distributions, ``[n, n_models, n_solvers, bins + 1]``."""
        found = CostDistribution(self.grid, np.moveaxis(readings, 0, 1))
        return CostDistribution.mixture(found, np.ones(len(found)))

    def online_reading(self, instances: Sequence[Instance]) -> CostDistribution | None:
        """Return what it predicts from the early search alone, None if it has not learnt to (``online_only_dropout``).

        A network that is shown a part of the instance only is judged by that part.
        """
        model = self.settings.model
        if not model.online_only_dropout or len(model.modalities) < 3:
            return None
        online = np.stack([online_vector(one, self._online_names) for one in instances])
        static = np.full((len(online), len(self._static_names)), np.nan, dtype=online.dtype)
        return self._averaged(online_readings(self._array_models, static, online, self.unit))

    def predict_variants(self, variants: Sequence[Instance]) -> CostDistribution:
        """Predict for variants of one instance; the graph is encoded once.

        They may differ in their features and in whether they have the graph. One without it is predicted as the network
        learnt to when modalities were missing in training; EstimatorError if all are.
        """
        first = next((one for one in variants if one.graph is not None), None)
        if first is None:
            raise EstimatorError("network: found no graph in any variant of the instance")
        graph = self._sample(first).graph
        samples = [self._sample(replace(one, graph=graph)) for one in variants]
        without = np.array([one.graph is None for one in variants])
        found = readings(self._array_models, samples, without, [one.path for one in variants], self.unit)
        return self._averaged(found)

    # Saving -----------------------------------------------------------------------------------------------------------

    def _arrays(self) -> list[dict[str, NDArray[Any]]]:
        """Return the weights of each network."""
        if self._weights:
            return self._weights
        states = [member.state_dict() for member in self._members]
        return [{name: tensor.detach().cpu().contiguous().numpy() for name, tensor in one.items()} for one in states]

    def save(self, directory: Path, *, with_parts: bool = True) -> None:
        """Write weights (safetensors) and configuration (JSON); EstimatorError if it isn't fitted."""
        shape = self._fitted_shape
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        weights = {f"{number}.{name}": one for number, own in enumerate(self._arrays()) for name, one in own.items()}
        header = {
            "estimator": self.name,
            "format": FORMAT,
            "package_version": __version__,
            "parameters": self.parameters(),
            "unit": next(iter(shape.solvers)),
            "shape": shape.to_json(),
            "inputs": {
                "static": list(self._static_names),
                "online": list(self._online_names),
                **graph_inputs(),
            },
            "grids": {unit: grid_for(unit).to_json() for unit in shape.solvers},
        }
        text = json.dumps(header, indent=1, sort_keys=True, allow_nan=False)
        save_file(weights, directory / _WEIGHTS)
        (directory / _HEADER).write_text(text + "\n")

    @classmethod
    def load(cls, directory: Path, *, parts: Mapping[str, Any] | None = None, **options: Any) -> Self:
        """Read a fitted network, wherever it was trained.

        Parameters
        ----------
        options
            ``unit``: the unit to predict in (default: the main one); ``device``: where (default ``auto``).

        Raises
        ------
        CheckpointError
            If files are missing or damaged, or were written for other inputs than this version computes.
        EstimatorError
            If it was not trained for the unit, or an option is unknown.
        """
        unknown = sorted(set(options) - {"unit", "device"})
        if unknown:
            raise EstimatorError(f"network: found options {', '.join(unknown)}; expected unit or device")
        directory = Path(directory)
        header = read_header(directory / _HEADER, NetworkHeader, cls.name)
        check_header(header, directory / _HEADER)
        estimator = cls(header.parameters.settings, device=options.get("device") or "auto")
        estimator._shape = ModelShape.from_json(header.shape.model_dump())
        estimator._static_names, estimator._online_names = header.inputs.static, header.inputs.online
        estimator._unit = header.unit
        estimator._solvers = estimator._shape.solvers[estimator._unit]
        estimator._weights = read_weights(directory / _WEIGHTS, estimator.settings, estimator._shape)
        wanted = options.get("unit")
        return estimator if wanted in (None, estimator._unit) else estimator.for_unit(str(wanted))
