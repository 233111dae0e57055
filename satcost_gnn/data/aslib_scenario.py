"""An algorithm selection scenario in ASlib format: its runs, features, folds and files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.selection_metrics import par
from satcost_gnn.data.arff import NUMERIC, STRING, Column, Kind, write_arff
from satcost_gnn.data.aslib_description import Description, format_description
from satcost_gnn.data.dataset import SHORTEST_S, CostMatrix
from satcost_gnn.errors import DatasetError
from satcost_gnn.runtime.output_files import write_text

DESCRIPTION_FILE = "description.txt"
RUNS_FILE = "algorithm_runs.arff"
VALUES_FILE = "feature_values.arff"
STATUS_FILE = "feature_runstatus.arff"
COSTS_FILE = "feature_costs.arff"
FOLDS_FILE = "cv.arff"
TRUTH_FILE = "ground_truth.arff"

RUN_STATUSES = ("ok", "timeout", "memout", "not_applicable", "crash", "other")
FEATURE_STATUSES = ("ok", "timeout", "memout", "presolved", "crash", "other", "unknown")


class FeatureStep(NamedTuple):
    """A step of feature extraction: the features that it provides and the steps that have to come before."""

    name: str
    provides: tuple[str, ...]
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class AslibScenario:
    """A scenario: n instances, a algorithms, f features in s steps.

    Parameters
    ----------
    name
        ``scenario_id`` of the description.
    instances, algorithms
        In the order of their first run.
    measure
        Name of the performance measure.
    is_runtime
        Whether it is a time or another cost that ends at a cutoff (else a quality of solutions).
    maximise
        Whether more is better.
    cutoff_s
        Time limit of the algorithms in seconds, None if the description states none.
    runtimes
        ``float64[n, a, r]``: the measure as published, r repetitions; NaN where there is no run. Runs without an
        answer hold the cutoff, somewhat more, or a multiple of it, as their publishers chose.
    statuses
        ``str[n, a, r]``: ``ok``, ``timeout``, ``memout``, ``not_applicable``, ``crash`` or ``other``; empty where
        there is no run.
    feature_names
        Names of the f columns.
    features
        ``float64[n, f]``: mean over repetitions, NaN where missing.
    steps
        Feature steps, in the order of the columns of the two arrays below.
    feature_statuses
        ``str[n, s]``: how each step ended (``ok`` if it did in all repetitions); empty where not stated.
    feature_costs
        ``float64[n, s]``: seconds of each step, mean over repetitions; None if the scenario has no costs.
    default_steps
        Steps that the publishers recommend.
    folds
        ``int64[n, q]``: fold of each instance, as published, in q repetitions of cross-validation; None if the
        scenario has none.
    ground_truth
        Column -> n values, such as satisfiability; empty if the scenario has none.
    description
        The whole description.
    warnings
        What doesn't fit together but does no harm.
    """

    name: str
    instances: tuple[str, ...]
    algorithms: tuple[str, ...]
    measure: str
    is_runtime: bool
    maximise: bool
    cutoff_s: float | None
    runtimes: NDArray[np.float64]
    statuses: NDArray[np.str_]
    feature_names: tuple[str, ...]
    features: NDArray[np.float64]
    steps: tuple[FeatureStep, ...]
    feature_statuses: NDArray[np.str_]
    feature_costs: NDArray[np.float64] | None = None
    default_steps: tuple[str, ...] = ()
    folds: NDArray[np.int64] | None = None
    ground_truth: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    description: Mapping[str, Description] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def is_time_feature(self) -> NDArray[np.bool_]:
        """``bool[f]``: features that are times of feature extraction, which depend on the machine."""
        return np.array([_TIME_FEATURE.search(name) is not None for name in self.feature_names], dtype=np.bool_)

    @property
    def solved(self) -> NDArray[np.bool_]:
        """``bool[n, a, r]``: runs that gave an answer within the cutoff."""
        good = self.statuses == "ok"
        if self.cutoff_s is not None and self.is_runtime:
            good &= self.runtimes <= self.cutoff_s
        return np.asarray(good)

    def _require_runtime(self) -> float | None:
        if not self.is_runtime or self.maximise:
            raise DatasetError(
                f"{self.name}: found the measure {self.measure!r} that is no runtime, expected one to be minimised"
            )
        return self.cutoff_s

    def par(self, k: float = 2.0) -> NDArray[np.float64]:
        """Return ``float64[n, a]``: penalised runtimes, ``k`` cutoffs for no answer, mean over repetitions.

        A run that is missing counts as no answer.

        Raises
        ------
        DatasetError
            If the measure is no runtime or there is no cutoff.
        """
        cutoff = self._require_runtime()
        if cutoff is None:
            raise DatasetError(f"{self.name}: found no algorithm_cutoff_time in {DESCRIPTION_FILE}, expected seconds")
        return np.asarray(par(self.runtimes, self.solved, cutoff, k).mean(axis=2))

    def cost_matrix(self, repetition: int = 0) -> CostMatrix:
        """Return the log10 runtimes of one repetition, ``[n, a]``.

        Timeouts and runs out of memory are censored at the cutoff; crashes, unsupported and missing runs are unknown.

        Raises
        ------
        DatasetError
            If the measure is no runtime.
        """
        cutoff = self._require_runtime()
        times, statuses = self.runtimes[:, :, repetition], self.statuses[:, :, repetition]
        solved = self.solved[:, :, repetition] & np.isfinite(times)
        censored = np.isin(statuses, ("timeout", "memout")) | ((statuses == "ok") & ~solved & np.isfinite(times))
        bound = times if cutoff is None else np.full(times.shape, cutoff)
        known = solved | (censored & np.isfinite(bound))
        cost = np.full(times.shape, np.nan)
        cost[solved] = np.log10(np.maximum(times[solved], SHORTEST_S))
        cut = censored & known
        cost[cut] = np.log10(np.maximum(bound[cut], SHORTEST_S))
        return CostMatrix(cost, cut, known)

    def feature_cost(self, steps: Sequence[str] | None = None) -> NDArray[np.float64] | None:
        """Return ``float64[n]``: seconds of these steps (by default all), None if the scenario has no costs.

        Steps without a cost are left out of an instance's sum, which is NaN where none has one.

        Raises
        ------
        DatasetError
            If there is no such step.
        """
        names = [step.name for step in self.steps]
        for step in steps or ():
            if step not in names:
                raise DatasetError(f"{self.name}: found no feature step {step!r}, expected one of {', '.join(names)}")
        if self.feature_costs is None:
            return None
        chosen = [k for k, name in enumerate(names) if steps is None or name in steps]
        costs = self.feature_costs[:, chosen]
        return np.where(np.isnan(costs).all(axis=1), np.nan, np.nansum(costs, axis=1))

    def write(self, directory: Path | str, *, overwrite: bool = False) -> None:
        """Write the scenario; reading it gives the same arrays.

        Features and their costs are written as one repetition.

        Raises
        ------
        DatasetError
            If there is a scenario already and ``overwrite`` is not given, or a file can't be written.
        """
        directory = Path(directory)
        if (directory / DESCRIPTION_FILE).exists() and not overwrite:
            raise DatasetError(
                f"{directory}: found a scenario there, expected none; name another place or overwrite it"
            )
        stem = self.name
        once = np.ones(len(self.instances))
        head: list[tuple[str, Kind]] = [("instance_id", STRING), ("repetition", NUMERIC)]
        names: list[str | None] = list(self.instances)
        runs = [
            (self.instances[i], float(r + 1), self.algorithms[j], self.runtimes[i, j, r], str(self.statuses[i, j, r]))
            for i, j, r in np.ndindex(*self.runtimes.shape)
            if self.statuses[i, j, r]
        ]
        statuses = (*RUN_STATUSES, *sorted({run[4] for run in runs} - set(RUN_STATUSES)))
        run_attributes = [
            *head,
            ("algorithm", STRING),
            (self.measure, NUMERIC),
            ("runstatus", statuses),
        ]
        run_columns: list[Column] = [
            [run[0] for run in runs],
            np.array([run[1] for run in runs]),
            [run[2] for run in runs],
            np.array([run[3] for run in runs]),
            [run[4] for run in runs],
        ]
        write_arff(directory / RUNS_FILE, f"ALGORITHM_RUNS_{stem}", run_attributes, run_columns)
        write_arff(
            directory / VALUES_FILE,
            f"FEATURE_VALUES_{stem}",
            [*head, *((name, NUMERIC) for name in self.feature_names)],
            [names, once, *self.features.T],
        )
        states = (*FEATURE_STATUSES, *sorted(set(self.feature_statuses.flat) - {"", *FEATURE_STATUSES}))
        write_arff(
            directory / STATUS_FILE,
            f"FEATURE_RUNSTATUS_{stem}",
            [*head, *((step.name, tuple(map(str, states))) for step in self.steps)],
            [names, once, *([str(state) or None for state in column] for column in self.feature_statuses.T)],
        )
        if self.feature_costs is not None:
            write_arff(
                directory / COSTS_FILE,
                f"FEATURE_COSTS_{stem}",
                [*head, *((step.name, NUMERIC) for step in self.steps)],
                [names, once, *self.feature_costs.T],
            )
        if self.folds is not None:
            rounds = self.folds.shape[1]
            write_arff(
                directory / FOLDS_FILE,
                f"CV_{stem}",
                [*head, ("fold", NUMERIC)],
                [
                    [name for name in names for _ in range(rounds)],
                    np.tile(np.arange(1.0, rounds + 1), len(names)),
                    self.folds.astype(np.float64).ravel(),
                ],
            )
        if self.ground_truth:
            choices = {k: sorted({v for v in values if v is not None}) for k, values in self.ground_truth.items()}
            write_arff(
                directory / TRUTH_FILE,
                f"GROUND_TRUTH_{stem}",
                [head[0], *((name, choices[name]) for name in self.ground_truth)],
                [names, *(list(values) for values in self.ground_truth.values())],
            )
        # Last, since it is what tells a scenario from an unfinished one.
        write_text(directory / DESCRIPTION_FILE, format_description(self.description))


_TIME_FEATURE = re.compile(r"feature[-_.]?time$|^lptime$", re.IGNORECASE)
