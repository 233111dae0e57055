"""The predictions that an evaluation has made, gathered and calibrated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.evaluate.stored_predictions import StoredPredictions
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.learn.calibration import Calibration
from satcost_gnn.learn.labelled_instances import largest_solved

if TYPE_CHECKING:
    from satcost_gnn.evaluate.protocol import EvaluationSetup, Fit


Floats = NDArray[np.float64]


def has_predictions(fit: Fit, output: Path) -> bool:
    """Whether the predictions of a fit are there, made from the same data and settings."""
    found = StoredPredictions.read(output / "predictions" / fit.file)
    return found is not None and found.key == fit.key


@dataclass(frozen=True, eq=False)
class Predicted:
    """Calibrated predictions of one method and seed for all test instances.

    Parameters
    ----------
    seed
        None if it has none.
    calibrated, raw
        Unit -> predictions of shape ``(n_test, n_solvers)``, after and before calibration; the unit of selection may
        be missing.
    held_out
        Unit -> predictions for the calibration instances of each fold, each calibrated on the other calibration
        instances, and their positions in the data: how good the calibration is, without the test side.
    fit_seconds, predict_seconds
        Unit -> wall seconds, of all folds together; of one instance on average.
    lacking, needs, note
        See :class:`~satcost_gnn.evaluate.stored_predictions.StoredPredictions`.
    """

    seed: int | None
    calibrated: Mapping[str, CostDistribution]
    raw: Mapping[str, CostDistribution]
    held_out: Mapping[str, tuple[CostDistribution, NDArray[np.int64]]]
    fit_seconds: Mapping[str, float]
    predict_seconds: Mapping[str, float]
    lacking: int
    needs: tuple[str, ...]
    note: str


@dataclass(frozen=True, eq=False)
class Results:
    """Where everything is that the table, the figures and the selection are made of.

    Parameters
    ----------
    setup
        Data and rules.
    tables
        Unit -> the test instances with what they did cost.
    cutoffs
        Unit -> ``float64[n_test, n_solvers]``: log10 of the largest cost that was seen solved in training.
    folds
        ``int64[n_test]``: fold of each, -1 for the split by instance.
    files
        (method, seed) -> files of its predictions, one a fold; only those that are complete.
    failed
        Method -> why it has none, or not all.
    """

    setup: EvaluationSetup
    tables: Mapping[str, TrainingTable]
    cutoffs: Mapping[str, Floats]
    folds: NDArray[np.int64]
    files: Mapping[tuple[str, int | None], Sequence[Path]]
    failed: Mapping[str, str] = field(default_factory=dict)

    def predictions(self) -> Iterator[tuple[str, Predicted]]:
        """Yield methods and their predictions, one seed at a time: all at once would fill the memory."""
        rows = {one.gbdhash: row for row, one in enumerate(self.tables[self.setup.units[0]].instances)}
        place = {one.gbdhash: k for k, one in enumerate(self.setup.data.instances)}
        for (name, seed), paths in self.files.items():
            parts = [one for path in paths if (one := StoredPredictions.read(path)) is not None]
            yield name, _pooled(self.setup, self.tables, seed, parts, rows, place)


def gather(
    setup: EvaluationSetup, fits: Sequence[Fit], failed: Mapping[str, str], problems: Mapping[str, str], output: Path
) -> Results:
    """Say which methods have all their predictions, and join what they are measured by.

    Parameters
    ----------
    failed, problems
        Method -> why it couldn't be tried; file -> what went wrong with the fit.
    """
    rows = {setup.data.instances[k].gbdhash: n for n, k in enumerate(setup.test)}
    tables = {unit: setup.data.tables[unit].subset(setup.test) for unit in setup.units}
    cutoffs = {unit: np.full(tables[unit].cost.shape, np.nan) for unit in setup.units}
    folds = np.full(len(setup.test), -1, dtype=np.int64)
    for fold in setup.folds:
        data = setup.at(fold)
        mine = [rows[data.instances[k].gbdhash] for k in data.side("test")]
        folds[mine] = -1 if fold is None else fold
        for unit in setup.units:
            largest = largest_solved(data, unit)
            cutoffs[unit][mine] = [largest[solver] for solver in setup.solvers]
    by_seed: dict[tuple[str, int | None], list[Fit]] = {}
    for fit in fits:
        by_seed.setdefault((fit.method.name, fit.seed), []).append(fit)
    reasons: dict[str, list[str]] = {name: [why] for name, why in failed.items()}
    files: dict[tuple[str, int | None], list[Path]] = {}
    for (name, seed), parts in by_seed.items():
        lost = [fit for fit in parts if not has_predictions(fit, output)]
        reasons.setdefault(name, []).extend(f"{fit.label}: {problems.get(fit.file, 'not fitted')}" for fit in lost)
        if not lost:
            files[name, seed] = [output / "predictions" / fit.file for fit in parts]
    told = {name: "; ".join(dict.fromkeys(texts)) for name, texts in reasons.items() if texts}
    return Results(setup, tables, cutoffs, folds, files, told)


def _pooled(
    setup: EvaluationSetup,
    tables: Mapping[str, TrainingTable],
    seed: int | None,
    parts: Sequence[StoredPredictions],
    rows: Mapping[str, int],
    place: Mapping[str, int],
) -> Predicted:
    calibrated, raw, held_out = {}, {}, {}
    # A table whose unit isn't predicted in plays no part.
    tables = {unit: table for unit, table in tables.items() if unit in parts[0].fit_seconds}
    for unit, table in tables.items():
        shape = (len(table), len(table.solvers), table.grid.bins + 1)
        own, before = np.zeros(shape), np.zeros(shape)
        checks: list[CostDistribution] = []
        checked: list[NDArray[np.int64]] = []
        whole = setup.data.tables[unit]
        for part in parts:
            where = np.array([place[name] for name in part.instances["calibration"]], dtype=np.int64)
            seen = CostDistribution(table.grid, part.cdf[unit, "calibration"].astype(np.float64))
            cost, censored, known = whole.cost[where], whole.censored[where], whole.known[where]
            calibration = Calibration.fit(seen, cost, censored, known)
            test = CostDistribution(table.grid, part.cdf[unit, "test"].astype(np.float64))
            mine = [rows[name] for name in part.instances["test"]]
            own[mine], before[mine] = calibration.apply(test).cdf, test.cdf
            checks.append(calibrated_by_others(seen, cost, censored, known))
            checked.append(where)
        calibrated[unit] = CostDistribution(table.grid, own)
        raw[unit] = CostDistribution(table.grid, before)
        held_out[unit] = (CostDistribution.concatenate(checks), np.concatenate(checked))
    count = sum(len(part.instances["test"]) for part in parts)
    return Predicted(
        seed,
        calibrated,
        raw,
        held_out,
        {unit: sum(part.fit_seconds[unit] for part in parts) for unit in tables},
        {
            unit: sum(part.predict_seconds[unit] * len(part.instances["test"]) for part in parts) / max(1, count)
            for unit in tables
        },
        sum(part.lacking for part in parts),
        parts[0].needs,
        "; ".join(dict.fromkeys(part.note for part in parts if part.note)),
    )


def calibrated_by_others(
    seen: CostDistribution, cost: Floats, censored: NDArray[np.bool_], known: NDArray[np.bool_], folds: int = 5
) -> CostDistribution:
    """Return predictions for calibration instances, each calibrated on those of the other folds."""
    cdf = np.array(seen.cdf)
    fold_of = np.random.default_rng(0).permutation(len(cdf)) % folds
    for fold in range(folds):
        others, mine = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        if len(others) and len(mine):
            calibration = Calibration.fit(seen[others], cost[others], censored[others], known[others])
            cdf[mine] = calibration.apply(seen[mine]).cdf
    return CostDistribution(seen.grid, cdf)
