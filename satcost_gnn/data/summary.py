"""What is in a data set: who solves what, how costs are spread, what doesn't fit together."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from satcost_gnn.data.dataset import CostUnit, Dataset
from satcost_gnn.data.portfolio_summary import NoiseSummary, PortfolioSummary, noise_summaries, portfolio_summary
from satcost_gnn.data.race_summary import common_limits, limit_counts
from satcost_gnn.data.schema import RunStatus
from satcost_gnn.data.splits import EXCLUDED, SIDES, check_splits
from satcost_gnn.errors import DatasetError

REFERENCE_SOLVER = "cadical195"
MID_RANGE = (1e3, 1e6)
# Solvers with runs on fewer instances than this share of the best covered one don't count as part of the portfolio.
_PORTFOLIO_COVERAGE = 0.25


@dataclass(frozen=True)
class FamilySummary:
    """Counts of one family.

    Parameters
    ----------
    family, origins
        Its name and where its instances come from.
    instances
        Instances in the manifest.
    satisfiable, unsatisfiable
        Instances that some solver answered.
    unsolved
        Instances with runs that none answered.
    without_runs
        Instances that no solver was run on.
    mid_range
        Instances that the reference solver solves with a cost in the middle (10^3 to 10^6 conflicts).
    """

    family: str
    origins: tuple[str, ...]
    instances: int
    satisfiable: int
    unsatisfiable: int
    unsolved: int
    without_runs: int
    mid_range: int


@dataclass(frozen=True)
class SolverSummary:
    """Runs of one solver by status, over all seeds and limits, and what ran."""

    solver: str
    versions: tuple[str, ...]
    instances: int
    statuses: dict[str, int]


@dataclass(frozen=True)
class CostHistogram:
    """Costs of one solver with seed 0 on a logarithmic scale.

    Parameters
    ----------
    solver, unit
        Whose costs, and what they are counted in.
    edges
        log10 of the edges, one more than there are bins. The last bin holds its upper edge.
    solved, censored
        Runs by bin: costs, and lower bounds of costs.
    """

    solver: str
    unit: str
    edges: tuple[float, ...]
    solved: tuple[int, ...]
    censored: tuple[int, ...]


@dataclass(frozen=True)
class DatasetSummary:
    """Everything that :func:`summarise` counts; see the classes of its parts.

    Parameters
    ----------
    name
        Name of the directory.
    instances, runs
        Sizes of the tables.
    origins
        Origin -> instances.
    families, solvers
        Per family and per solver.
    reference
        Solver whose costs tell the middle range and the histogram; empty without runs.
    mid_range
        Instances that it solves with a cost in the middle.
    histogram, portfolios, noise
        Costs, complementarity and noise of labels; None or empty without runs that tell.
    machines, limits
        Machine -> runs, and ``CPU s / wall s / MiB`` -> runs.
    duplicates
        Isohash -> instances that share it, where they are several.
    contradictions
        One line for each instance in quarantine.
    unlisted_runs
        Runs of instances that are not in the manifest.
    splits
        Side -> instances and ``fold K`` -> instances; empty before splits are made.
    journals
        Journals of collectors that are not merged into the table of runs.
    """

    name: str
    instances: int
    runs: int
    origins: dict[str, int]
    families: tuple[FamilySummary, ...]
    solvers: tuple[SolverSummary, ...]
    reference: str
    mid_range: int
    histogram: CostHistogram | None
    portfolios: tuple[PortfolioSummary, ...]
    noise: tuple[NoiseSummary, ...]
    machines: dict[str, int]
    limits: dict[str, int]
    duplicates: dict[str, tuple[str, ...]]
    contradictions: tuple[str, ...]
    unlisted_runs: int
    splits: dict[str, int]
    journals: int


def reference_solver(dataset: Dataset) -> str | None:
    """Return the solver whose costs describe the data set: cadical195, or the one with most runs; None without runs."""
    if REFERENCE_SOLVER in dataset.solvers:
        return REFERENCE_SOLVER
    return dataset.solvers[0] if dataset.solvers else None


def cost_histogram(dataset: Dataset, solver: str) -> CostHistogram:
    """Return how the costs of a solver with seed 0 are spread, in bins of half a decade.

    Costs are conflicts, or CPU seconds where only they are known.
    """
    counted = any(run.conflicts is not None for run in dataset.runs if run.solver == solver)
    unit = CostUnit.CONFLICTS if counted else CostUnit.CPU_SECONDS
    cost, censored, known = dataset.cost_matrix([solver], unit)
    values = cost[known[:, 0], 0]
    cut = censored[known[:, 0], 0]
    low = 0.5 * np.floor(2 * values.min()) if len(values) else 0.0
    bins = max(1, int(np.ceil(2 * (values.max() - low) + 1e-9))) if len(values) else 1
    edges = low + 0.5 * np.arange(bins + 1)
    solved, bounds = (tuple(np.histogram(values[chosen], edges)[0].tolist()) for chosen in (~cut, cut))
    return CostHistogram(solver, str(unit), tuple(edges.tolist()), solved, bounds)


def _by_effort(dataset: Dataset, solver: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the instances that take a solver with seed 0 10^3 to 10^6 conflicts, and with those cut off below 10^6."""
    matrix = dataset.cost_matrix([solver], CostUnit.CONFLICTS)
    low, high = np.log10(MID_RANGE)
    effort, censored = np.where(matrix.known[:, 0], matrix.cost[:, 0], np.inf), matrix.censored[:, 0]
    middle = ~censored & (low <= effort) & (effort <= high)
    cut = censored & (effort <= high)
    names = dataset.instances
    return frozenset(itertools.compress(names, middle)), frozenset(itertools.compress(names, middle | cut))


def _portfolio_solvers(dataset: Dataset) -> tuple[str, ...]:
    covered: dict[str, set[str]] = {solver: set() for solver in dataset.solvers}
    for run in dataset.runs:
        if run.seed == 0:
            covered[run.solver].add(run.instance)
    coverage = {solver: len(its) for solver, its in covered.items()}
    most = max(coverage.values(), default=0)
    return tuple(solver for solver in dataset.solvers if coverage[solver] >= max(1.0, _PORTFOLIO_COVERAGE * most))


def summarise(dataset: Dataset) -> DatasetSummary:
    """Count everything worth knowing of a data set.

    Complementarity is measured for all solvers that were run on a fair share of it, within the limits of the runs, but
    for those that a race has made.
    """
    reference = reference_solver(dataset)
    middle, hard = (frozenset[str](), frozenset[str]()) if reference is None else _by_effort(dataset, reference)
    portfolio = _portfolio_solvers(dataset)
    portfolios = [
        portfolio_summary(dataset, portfolio, cutoff, scope, among)
        for cutoff in common_limits(dataset)
        for scope, among in (("all", None), ("mid-range", hard))
    ]
    same: dict[str, list[str]] = defaultdict(list)
    for row in dataset.manifest:
        same[row.isohash].append(row.instance)
    split_counts: dict[str, int] = {}
    if dataset.splits is not None:
        present = [row.instance for row in dataset.manifest]
        sides = Counter(dataset.splits.side.get(instance, "not in the splits") for instance in present)
        split_counts = {side: sides[side] for side in (*SIDES, EXCLUDED, "not in the splits") if sides[side]}
        folds = Counter(dataset.splits.fold.get(instance) for instance in present)
        split_counts |= {f"fold {fold}": folds[fold] for fold in range(dataset.splits.n_folds)}
        if folds[None]:
            split_counts["no fold"] = folds[None]
    return DatasetSummary(
        name=dataset.directory.resolve().name,
        instances=len(dataset.manifest),
        runs=len(dataset.runs),
        origins=dict(sorted(Counter(str(row.origin) for row in dataset.manifest).items())),
        families=_family_summaries(dataset, middle),
        solvers=_solver_summaries(dataset),
        reference=reference or "",
        mid_range=len(middle),
        histogram=cost_histogram(dataset, reference) if reference is not None else None,
        portfolios=tuple(found for found in portfolios if found is not None),
        noise=noise_summaries(dataset),
        machines=dict(Counter(run.machine for run in dataset.runs).most_common()),
        limits=limit_counts(dataset),
        duplicates={isohash: tuple(sorted(its)) for isohash, its in sorted(same.items()) if len(its) > 1},
        contradictions=tuple(dataset.contradictions.values()),
        unlisted_runs=sum(run.instance not in dataset.by_instance for run in dataset.runs),
        splits=split_counts,
        journals=len(list((dataset.directory / "journal").glob("*.jsonl"))),
    )


def _solver_summaries(dataset: Dataset) -> tuple[SolverSummary, ...]:
    statuses = Counter((run.solver, run.status) for run in dataset.runs)
    versions, instances = defaultdict(set), defaultdict(set)
    for run in dataset.runs:
        versions[run.solver].add(run.solver_version)
        instances[run.solver].add(run.instance)
    return tuple(
        SolverSummary(
            solver=solver,
            versions=tuple(sorted(versions[solver])),
            instances=len(instances[solver]),
            statuses={str(status): statuses[solver, status] for status in RunStatus},
        )
        for solver in dataset.solvers
    )


def _family_summaries(dataset: Dataset, middle: frozenset[str]) -> tuple[FamilySummary, ...]:
    rows = defaultdict(list)
    for row in dataset.manifest:
        rows[row.family].append(row)
    names = [row.instance for row in dataset.manifest]
    answers = dict(zip(names, dataset.satisfiable(names).tolist(), strict=True))
    summaries = []
    for family, its in sorted(rows.items()):
        counts = Counter(answers[row.instance] for row in its)
        without = sum(row.instance not in dataset.runs_of for row in its)
        summaries.append(
            FamilySummary(
                family=family,
                origins=tuple(sorted({str(row.origin) for row in its})),
                instances=len(its),
                satisfiable=counts[1],
                unsatisfiable=counts[0],
                unsolved=counts[-1] - without,
                without_runs=without,
                mid_range=sum(row.instance in middle for row in its),
            )
        )
    return tuple(summaries)


def check(directory: Path | str, root: Path | str | None = None) -> list[str]:
    """Return what is wrong with a data set, one line a violation.

    Checked are: the tables can be read and their rows are sound; every run is of an instance in the manifest; there
    are splits, and nothing straddles them (see :func:`satcost_gnn.data.splits.check_splits`); with ``root``, the files
    found at the paths of the manifest hold what they should. Instances in quarantine and files that are not there
    are no violations.
    """
    directory = Path(directory)
    try:
        dataset = Dataset.open(directory)
    except DatasetError as error:
        return [str(error)]
    problems = []
    unlisted = Counter(run.instance for run in dataset.runs if run.instance not in dataset.by_instance)
    problems += [
        f"{directory}: {count} runs of {instance}, which is not in the manifest"
        for instance, count in sorted(unlisted.items())
    ]
    if dataset.splits is None:
        problems.append(f"{directory}: found no splits.json, expected one; make the splits")
    else:
        problems += [f"{directory}: {problem}" for problem in check_splits(dataset.manifest, dataset.splits)]
    if root is not None:
        try:
            located = dataset.locate(root, verify=True)
        except DatasetError as error:
            return [*problems, str(error)]
        problems += [f"{path}: found another formula, expected {name}" for name, path in sorted(located.wrong.items())]
    return problems
