"""From CNFs to predictions with a checkpoint: preprocessing, a chain of estimators, calibration, rows.

The chain is tried in order for every instance: network, forest on features, linear model on the early search, tree-size
estimator, constant of the training set. Each prediction says which of them it comes from and why the earlier ones were
passed over. Whatever readable CNF comes in, a prediction comes out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.observed import beyond_note, observed_up_to, without_extrapolation
from satcost_gnn.errors import CheckpointError, ConfigError
from satcost_gnn.features.early_budget import DEFAULT_LIMIT_S, within_limit
from satcost_gnn.features.instance import Instance, missing_need
from satcost_gnn.features.preprocessing import Preprocessed, preprocess, preprocess_many
from satcost_gnn.features.user_cache import UserCache, preprocess_cached
from satcost_gnn.formula.in_memory import from_memory
from satcost_gnn.formula.sources import FormulaFile, FormulaSource
from satcost_gnn.learn.early_answers import above_survived, after_plain_run, after_probe, given_plain_run
from satcost_gnn.learn.out_of_distribution import OODDetector
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.runtime.threads import one_thread
from satcost_gnn.serve import checkpoint_contents as contents
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.members import DETECTOR, Members
from satcost_gnn.serve.prediction import Prediction

if TYPE_CHECKING:
    from satcost_gnn.learn.base import Estimator
    from satcost_gnn.search.plain_run import PlainRun

# Instances of one pass at most, however small they are.
_BATCH_INSTANCES = 64


class Predictor:
    """Predicts costs with a checkpoint.

    Parameters
    ----------
    checkpoint
        The opened checkpoint; all settings come from it.
    unit
        Cost unit, None for the checkpoint's default.
    solvers
        Solvers to report, None for all.
    cutoff
        Budget of ``p_solved`` in the cost unit, None for the checkpoint's.
    device
        ``auto``, ``cpu``, ``cuda`` …: where the network runs.
    start
        Estimator that the chain starts at, None for its first.
    machine_factor
        Seconds of this machine for one of the training machine, for predictions in ``cpu_seconds``; None for the one
        that ``satcost calibrate-machine`` has kept, if any; 1 for none.
    relaxed
        Whether files with fewer clauses than their header announces are read, with a warning.
    limit_s
        Seconds that a solver would be given for an instance; the early search may take about a hundredth of it.
    search
        Whether there is an early search at all; without it predictions are of structure alone, and known to be worse.

    Raises
    ------
    ConfigError
        If the unit, a solver or the estimator is not in the checkpoint, or the kept factor can't be read.

    Examples
    --------
    >>> with Predictor.from_checkpoint() as predictor:  # doctest: +SKIP
    ...     prediction = predictor.predict([[1, -2], [2, 3], [-1, -3]])
    >>> prediction.quantile(0.5)["cadical195"]  # doctest: +SKIP
    1.0
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        unit: str | None = None,
        solvers: Sequence[str] | None = None,
        cutoff: float | None = None,
        device: str = "auto",
        start: str | None = None,
        machine_factor: float | None = None,
        relaxed: bool = False,
        limit_s: float = DEFAULT_LIMIT_S,
        search: bool = True,
    ) -> None:
        config = checkpoint.config
        self.checkpoint = checkpoint
        self.unit = unit or config.units[0]
        if self.unit not in config.units:
            raise ConfigError(f"unit {self.unit!r} is not in {config.label}; expected one of {', '.join(config.units)}")
        unknown = [name for name in solvers or () if name not in config.solvers]
        if unknown:
            raise ConfigError(f"{unknown[0]!r} is not in {config.label}; expected some of {', '.join(config.solvers)}")
        self.solvers = tuple(solvers or config.solvers)
        self._columns = [config.solvers.index(name) for name in self.solvers]
        self.cutoff = float(cutoff if cutoff is not None else config.cutoffs[self.unit])
        self.chain = config.chain_from(start, search)
        self.device = device
        #: What a user should know of this checkpoint on this machine, one line each.
        self.notes: tuple[str, ...]
        self.settings, self.notes = contents.read_preprocess_settings(checkpoint, relaxed)
        self.settings = within_limit(self.settings, limit_s if search else None, config.probe_solver)
        #: Told the path and each thing that is odd about an input that can be read.
        self.on_warning: Callable[[str, str], None] | None = None
        #: Seconds of this machine for one of the training machine.
        self.machine_factor = 1.0 if machine_factor is None else machine_factor
        if self.unit == "cpu_seconds" and machine_factor is None:
            from satcost_gnn.serve.machine_speed import read_factor

            if (kept := read_factor()) is not None:
                self.machine_factor, place = kept
                self.notes += (f"seconds are those of the training machine times {self.machine_factor:.3g} ({place})",)
        self._calibrations = contents.read_calibrations(checkpoint, self.unit)
        if self.chain[0] not in self._calibrations:
            self.notes += (f"{self.chain[0]} alone is not calibrated in this checkpoint: read its intervals with care",)
        self._offsets = contents.read_probe_offsets(checkpoint, self.unit)
        self._relative = contents.read_relative_costs(checkpoint, self.unit)
        self.ood_detector = OODDetector.load(checkpoint.directory / DETECTOR)
        self._members = Members(checkpoint, self.unit, device)
        self._estimators: dict[str, Estimator | str] = {}
        #: Where :meth:`predict_many` keeps what files have taken, and finds it again, without models; None for nowhere.
        self.cache: UserCache | None = None
        self._sandbox: Sandbox | None = None

    @classmethod
    def from_checkpoint(cls, where: str | Path | None = None, **options: Any) -> Self:
        """Open a checkpoint by directory or name (None: the newest that ships with the package) and predict with it."""
        return cls(Checkpoint.open(where), **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the helper process."""
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None

    def _estimator(self, name: str) -> Estimator | str:
        """Return an estimator of the chain, or why it can't be had."""
        if name not in self._estimators:
            self._estimators[name] = contents.open_estimator(self._members, name)
        return self._estimators[name]

    def predict(self, source: FormulaSource) -> Prediction:
        """Predict the costs of one instance.

        Parameters
        ----------
        source
            Path of a DIMACS file, a :class:`Formula`, an object of ``pysat.formula`` (of any kind that has no weights)
            or an iterable of clauses.

        Returns
        -------
        Prediction
            With status ``error`` if a file could not be read.

        Raises
        ------
        FormulaError
            If clauses given in memory are malformed.
        """
        return self.predict_preprocessed([self.preprocess(source)])[0]

    def preprocess(self, source: FormulaSource, *, plain: bool = True) -> Preprocessed:
        """Read and search one instance with this checkpoint's settings; see :meth:`predict`.

        Without ``plain`` there is no plain run, and what it would answer is featurised like all else.
        """
        if self._sandbox is None:
            self._sandbox = Sandbox()
        if not isinstance(source, str | os.PathLike | FormulaFile):
            source = from_memory(source)
        settings = self.settings if plain else self.settings.with_features(plain=None)
        return preprocess(source, settings, self._sandbox)

    def load(self) -> None:
        """Load the first estimator of the chain that can be had, which is done at the first prediction otherwise."""
        any(not isinstance(self._estimator(name), str) for name in self.chain)

    def estimator(self, name: str) -> Estimator:
        """Return an estimator of the chain by its name there; CheckpointError if it can't be had."""
        found = self._estimator(name)
        if isinstance(found, str):
            raise CheckpointError(f"{self.checkpoint.directory}: {name}: {found}")
        return found

    @one_thread()
    def predict_variants(self, name: str, variants: Sequence[Instance]) -> CostDistribution:
        """Return the calibrated predictions of one estimator of the chain for variants of one instance.

        Parameters
        ----------
        name
            The estimator's name in the chain, as in :attr:`Prediction.estimator`.
        variants
            See :meth:`satcost_gnn.learn.base.Estimator.predict_variants`; of what :meth:`as_in_training` returned.

        Returns
        -------
        CostDistribution
            Of shape ``(n_variants, n_solvers)``, solvers as asked of this predictor.

        Raises
        ------
        CheckpointError
            If the estimator can't be had.
        """
        found = self._calibrated(name, self.estimator(name).predict_variants(variants))
        # Variants of one instance have its plain run in common.
        plain = variants[0].plain if variants else None
        found = self._given_plain_run(found, plain)
        reported = self._reported(CostDistribution(found.grid, found.cdf[:, self._columns]))
        return above_survived(reported, self.solvers, plain, self.unit)

    def predict_many(
        self, sources: Iterable[FormulaSource], *, jobs: int = 1, batch_edges: int = 500_000
    ) -> Iterator[Prediction]:
        """Predict many instances, in the order in which they get ready.

        Parameters
        ----------
        sources
            What :meth:`predict` takes; consumed as they are worked on, never held all at once.
        jobs
            Instances read and probed at a time, each by a helper process of its own.
        batch_edges
            Literal occurrences that are collected for one pass of the network while others are being probed.

        Yields
        ------
        Prediction
            One for each source.
        """
        if self.cache is None:
            items = preprocess_many(enumerate(sources), self.settings, jobs=jobs)
        else:
            items = preprocess_cached(enumerate(sources), self.settings, self.cache, jobs=jobs)
        yield from self.predict_ready(items, batch_edges)

    def predict_ready(
        self, items: Iterable[tuple[Any, Preprocessed] | None], batch_edges: int = 500_000
    ) -> Iterator[Prediction]:
        """Predict what :func:`preprocess_many` yields, several at a time; see :meth:`predict_many`."""
        batch, edges = list[Preprocessed](), 0
        for item in items:
            if item is not None:
                batch.append(item[1])
                graph = item[1].instance.graph if item[1].instance is not None else None
                edges += graph.n_edges if graph is not None else 0
            # When nothing else is ready, what has been collected need not wait.
            if batch and (item is None or edges >= batch_edges or len(batch) >= _BATCH_INSTANCES):
                yield from self.predict_preprocessed(batch)
                batch, edges = [], 0
        if batch:
            yield from self.predict_preprocessed(batch)

    @one_thread()
    def predict_preprocessed(self, batch: Sequence[Preprocessed], *, one_graph: bool = False) -> list[Prediction]:
        """Predict instances that have been preprocessed with this checkpoint's settings, in their order.

        With ``one_graph`` all of them are taken to have the graph of the first that has one, which is encoded once.
        """
        results: dict[int, Prediction] = {}
        open_: list[int] = []
        reasons: dict[int, list[str]] = {}
        for k, item in enumerate(batch):
            if item.instance is None:
                results[k] = self._failed(item)
            elif item.instance.plain is not None and item.instance.plain.solved:
                results[k] = self._solved(item.instance, item.instance.plain)
            elif item.instance.probe is not None and item.instance.probe.solved:
                results[k] = self._probe_solved(item)
            else:
                open_.append(k)
                reasons[k] = [item.note] if item.note else []
        instances = {k: self.as_in_training(item.instance) for k, item in enumerate(batch) if item.instance is not None}
        known = self._in_distribution({k: instances[k] for k in open_})
        for name in self.chain:
            if not open_:
                break
            estimator = self._estimator(name)
            if isinstance(estimator, str):
                for k in open_:
                    reasons[k].append(f"{name}: {estimator}")
                continue
            able = []
            for k in open_:
                lack = next(filter(None, (missing_need(need, instances[k]) for need in sorted(estimator.needs))), "")
                if not lack and not estimator.for_new and known[k] is not None and known[k].far:
                    lack = "far outside the training distribution"
                if lack:
                    reasons[k].append(f"{name}: {lack}")
                else:
                    able.append(k)
            waiting = [able] if able else []
            while waiting:
                together = waiting.pop()
                start = time.process_time()
                distribution = self._try(name, estimator, [instances[k] for k in together], one_graph)
                if isinstance(distribution, str):
                    if len(together) > 1:
                        # One instance may be what is too much: each gets its own chance.
                        waiting = [[k] for k in together]
                    else:
                        reasons[together[0]].append(f"{name}: {distribution}")
                    continue
                share = (time.process_time() - start) / len(together)
                for k, cdf in zip(together, distribution.cdf, strict=True):
                    found = CostDistribution(distribution.grid, cdf)
                    results[k] = self._predicted(instances[k], name, found, reasons[k], known[k], share)
            open_ = [k for k in open_ if k not in results]
        for k in open_:
            item = batch[k]
            results[k] = self._failed(Preprocessed(item.path, None, error="; ".join(reasons[k])))
        for item in batch:
            for warning in item.warnings:
                if self.on_warning is not None:
                    self.on_warning(item.path, warning)
        return [replace(self._as_observed(results[k]), warnings=item.warnings) for k, item in enumerate(batch)]

    def _as_observed(self, prediction: Prediction) -> Prediction:
        """Return a prediction that says nothing of costs which no label of the training data has reached."""
        if prediction.distribution is None:
            return prediction
        return replace(
            prediction,
            distribution=observed_up_to(prediction.distribution, self.known_up_to),
            solver_bounds=self.checkpoint.config.solver_bounds(self.unit, self._seconds_factor),
        )

    @property
    def known_up_to(self) -> float:
        """Largest cost in the unit that the training labels tell about, in seconds of this machine."""
        return self.checkpoint.config.bound(self.unit) * self._seconds_factor

    @property
    def _seconds_factor(self) -> float:
        return self.machine_factor if self.unit == "cpu_seconds" else 1.0

    def cutoff_note(self, cutoff: float | None = None) -> str:
        """Return one line about a cutoff beyond the labels, this predictor's or another one; empty for none."""
        return beyond_note(self.cutoff if cutoff is None else cutoff, self.known_up_to, self.unit)

    def as_in_training(self, instance: Instance) -> Instance:
        """Return the instance with its probe timed as if on the training machine, where seconds are predicted."""
        if self.unit != "cpu_seconds" or instance.probe is None:
            return instance
        from satcost_gnn.serve.machine_speed import on_training_machine

        return replace(instance, probe=on_training_machine(instance.probe, self.machine_factor))

    def _try(
        self, name: str, estimator: Estimator, instances: list[Instance], one_graph: bool
    ) -> CostDistribution | str:
        """Predict, or say why that failed: an estimator's failure must not cost the batch."""
        try:
            found = estimator.predict_variants(instances) if one_graph else estimator.predict(instances)
            return self._calibrated(name, found)
        except MemoryError:
            return "out of memory"
        except Exception as error:
            text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            return "out of memory" if "memory" in text.lower() else f"{type(error).__name__}: {text}"

    def _calibrated(self, name: str, distribution: CostDistribution) -> CostDistribution:
        found = self._calibrations.get(name)
        return found.apply(distribution) if found is not None else distribution

    def _given_plain_run(self, found: CostDistribution, run: PlainRun | None) -> CostDistribution:
        """Return what is predicted of all the checkpoint's solvers, given what the plain run has spent in vain."""
        config = self.checkpoint.config
        correlation = config.solver_correlation.get(self.unit, 0.0)
        return given_plain_run(found, config.solvers, run, self.unit, correlation, self.machine_factor)

    def _in_distribution(self, instances: dict[int, Instance]) -> dict[int, Any]:
        usable = {k: i for k, i in instances.items() if not missing_need("static", i)}
        verdicts = self.ood_detector.judge(list(usable.values())) if usable else []
        return {**dict.fromkeys(instances), **dict(zip(usable, verdicts, strict=True))}

    def _common(self, instance: Instance, seconds: float = 0.0) -> dict[str, Any]:
        """Return what every prediction of an instance says; ``seconds`` of inference."""
        return {
            "path": instance.path,
            "gbdhash": instance.gbdhash,
            "unit": self.unit,
            "solvers": self.solvers,
            "checkpoint": self.checkpoint.config.label,
            "cutoff": self.cutoff,
            "timings": {**instance.timings, "inference": seconds},
            "xor_share": instance.static.as_dict().get("xor_share", float("nan")),
        }

    def _reported(self, distribution: CostDistribution) -> CostDistribution:
        """Return a distribution for the training machine as one for this machine."""
        if self.unit != "cpu_seconds" or self.machine_factor == 1.0:
            return distribution
        return distribution.scaled(self.machine_factor)

    def _predicted(
        self,
        instance: Instance,
        name: str,
        distribution: CostDistribution,
        reasons: list[str],
        verdict: Any,
        seconds: float,
    ) -> Prediction:
        found = self._given_plain_run(distribution, instance.plain)
        found = CostDistribution(found.grid, found.cdf[self._columns])
        found = without_extrapolation(found, self.solvers, self.checkpoint.config.solver_bounds(self.unit))
        found = self._reported(found)
        found = above_survived(found, self.solvers, instance.plain, self.unit)
        replicate = instance.replicate if instance.replicate is not None and instance.replicate.solved else None
        return Prediction(
            **self._common(instance, seconds),
            status="ok",
            distribution=found,
            # The kind of estimator that a member of the chain is: `forest_static` is a forest.
            source=name.removesuffix("_static"),
            reason="; ".join(reasons),
            result="" if replicate is None else str(replicate.status),
            in_distribution=None if verdict is None else bool(verdict.inside),
            estimator=name,
            model=None if replicate is None else replicate.model,
            survived=self._survived(instance),
        )

    def _solved(self, instance: Instance, run: PlainRun) -> Prediction:
        """Return what is known when the plain run has answered: its cost, and others' relative to it."""
        distribution, known = after_plain_run(run, self.unit, self.solvers, self._relative, self._offsets)
        return Prediction(
            **self._common(instance),
            status="solved",
            distribution=distribution,
            source="search",
            result=str(run.status),
            model=run.model,
            known=known,
        )

    def _probe_solved(self, item: Preprocessed) -> Prediction:
        """Return what is predicted when the listening probe has answered: every cost is relative to the probe's."""
        instance = item.instance
        assert instance is not None and instance.probe is not None
        return Prediction(
            **self._common(instance),
            status="ok",
            distribution=after_probe(instance, self.unit, self.solvers, self._offsets),
            source="probe",
            reason=item.note,
            result=str(instance.probe.status),
            model=instance.probe.model,
            survived=self._survived(instance),
        )

    def _survived(self, instance: Instance) -> dict[str, float]:
        run = instance.plain
        return {} if run is None or run.solver not in self.solvers else {run.solver: run.spent(self.unit)}

    def _failed(self, item: Preprocessed) -> Prediction:
        return Prediction(
            path=item.path,
            gbdhash="",
            status="error",
            unit=self.unit,
            solvers=self.solvers,
            reason=item.error,
            checkpoint=self.checkpoint.config.label,
            cutoff=self.cutoff,
        )
