"""What is in a data set: who solves what, how costs are spread, what doesn't fit together."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.selection_metrics import PortfolioBounds, par, virtual_best
from satcost_gnn.data.dataset import SHORTEST_S, CostUnit, Dataset
from satcost_gnn.data.race_summary import common_limits, limit_counts
from satcost_gnn.data.run_outcome import outcome_within
from satcost_gnn.data.schema import RunStatus
from satcost_gnn.data.splits import EXCLUDED, SIDES, check_splits
from satcost_gnn.errors import DatasetError
from satcost_gnn.runtime.output_files import check_outputs, replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
class PortfolioSummary:
    """How solvers complement each other within a CPU limit, on the instances that all of them were run on.

    Parameters
    ----------
    scope
        ``all``, or ``mid-range``: instances that some solver solves within the limit and that take the reference
        solver 10^3 to 10^6 conflicts or run into its limit. (To ask that the reference solver solves them would
        favour it.)
    cutoff_s
        CPU limit in seconds.
    instances
        Instances that count.
    par2
        Solver -> mean CPU seconds with twice the limit for no answer.
    solved
        Solver -> instances solved.
    single_best
        Solver with the lowest mean.
    sbs, vbs
        PAR2 of the single best solver, and of a choice that is right for every instance.
    gain
        ``1 - vbs / sbs``.
    vbs_solved
        Instances that some solver solves.
    marginal
        Solver -> seconds by which the VBS is worse without it.
    only
        Solver -> instances that only it solves.
    picks
        Solver -> share of the solved instances that it is the fastest on (of equals, the first).
    """

    scope: str
    cutoff_s: float
    instances: int
    par2: dict[str, float]
    solved: dict[str, int]
    single_best: str
    sbs: float
    vbs: float
    gain: float
    vbs_solved: int
    marginal: dict[str, float]
    only: dict[str, int]
    picks: dict[str, float]


@dataclass(frozen=True)
class NoiseSummary:
    """How much a cost changes with the seed alone: the floor of the error of any prediction.

    Parameters
    ----------
    solver, unit, answer
        Whose cost, counted in what, on instances that are ``SAT``, ``UNSAT``, or ``any``.
    instances
        Instances that were solved with at least two seeds.
    sd_log10
        Standard deviation of log10 cost within an instance (root of the mean variance).
    median_ratio
        Median over pairs of seeds of larger over smaller cost.
    within_2, within_10
        Share of pairs that differ by less than these factors.
    """

    solver: str
    unit: str
    answer: str
    instances: int
    sd_log10: float
    median_ratio: float
    within_2: float
    within_10: float


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

    def to_json(self) -> str:
        """Return the summary as indented JSON."""
        return json.dumps(asdict(self), indent=2)

    def __str__(self) -> str:
        return "\n".join(_text(self))


def reference_solver(dataset: Dataset) -> str | None:
    """Return the solver whose costs describe the data set: cadical195, or the one with most runs; None without runs."""
    if REFERENCE_SOLVER in dataset.solvers:
        return REFERENCE_SOLVER
    return dataset.solvers[0] if dataset.solvers else None


def _unit(dataset: Dataset, solver: str) -> CostUnit:
    """Return what costs of a solver are shown in: conflicts, or CPU seconds where only they are known."""
    counted = any(run.conflicts is not None for run in dataset.runs if run.solver == solver)
    return CostUnit.CONFLICTS if counted else CostUnit.CPU_SECONDS


def cost_histogram(dataset: Dataset, solver: str, unit: str = CostUnit.CONFLICTS, width: float = 0.5) -> CostHistogram:
    """Return how the costs of a solver with seed 0 are spread, in bins of ``width`` decades.

    Raises
    ------
    DatasetError
        If the solver has no runs or the unit is unknown.
    """
    cost, censored, known = dataset.cost_matrix([solver], unit)
    values = cost[known[:, 0], 0]
    cut = censored[known[:, 0], 0]
    low = width * np.floor(values.min() / width) if len(values) else 0.0
    bins = max(1, int(np.ceil((values.max() - low) / width + 1e-9))) if len(values) else 1
    edges = low + width * np.arange(bins + 1)
    counts = [np.histogram(values[chosen], edges)[0] for chosen in (~cut, cut)]
    return CostHistogram(
        solver,
        str(CostUnit.of(unit)),
        tuple(edges.tolist()),
        tuple(counts[0].tolist()),
        tuple(counts[1].tolist()),
    )


def mid_range_instances(dataset: Dataset, solver: str) -> frozenset[str]:
    """Return the instances that a solver with seed 0 solves with 10^3 to 10^6 conflicts."""
    cost, censored, known = dataset.cost_matrix([solver], CostUnit.CONFLICTS)
    low, high = np.log10(MID_RANGE)
    with np.errstate(invalid="ignore"):
        inside = known[:, 0] & ~censored[:, 0] & (cost[:, 0] >= low) & (cost[:, 0] <= high)
    return frozenset(itertools.compress(dataset.instances, inside))


def _not_trivial(dataset: Dataset, solver: str) -> frozenset[str]:
    """Return the instances that take a solver 10^3 to 10^6 conflicts, or that it is cut off on before 10^6."""
    cost, censored, known = dataset.cost_matrix([solver], CostUnit.CONFLICTS)
    low, high = np.log10(MID_RANGE)
    with np.errstate(invalid="ignore"):
        inside = known[:, 0] & (cost[:, 0] <= high) & ((cost[:, 0] >= low) | censored[:, 0])
    return frozenset(itertools.compress(dataset.instances, inside))


def par_scores(
    dataset: Dataset, solvers: Sequence[str], cutoff_s: float, k: float = 2.0
) -> tuple[list[str], NDArray[np.float64]]:
    """Return the instances on which all solvers' runs with seed 0 tell, and ``float64[n, s]`` their PAR-k scores.

    A score is CPU seconds, or ``k`` times the cutoff for no answer within it.
    """
    instances, scores = [], []
    for instance in dataset.instances:
        by_solver = defaultdict(list)
        for run in dataset.runs_of.get(instance, ()):
            if run.seed == 0:
                by_solver[run.solver].append(run)
        outcomes = [outcome_within(by_solver[solver], cutoff_s) for solver in solvers]
        told = [outcome for outcome in outcomes if outcome is not None]
        if len(told) == len(solvers):
            instances.append(instance)
            scores.append([max(run.cpu_s, SHORTEST_S) if status.solved else np.inf for run, status in told])
    cost = np.array(scores, dtype=np.float64).reshape(len(instances), len(solvers))
    return instances, par(cost, np.isfinite(cost), cutoff_s, k)


def portfolio_summary(
    dataset: Dataset, solvers: Sequence[str], cutoff_s: float, scope: str = "all", among: Iterable[str] | None = None
) -> PortfolioSummary | None:
    """Return how solvers complement each other; None if no instance is left.

    Parameters
    ----------
    dataset, solvers, cutoff_s
        Whose runs, and the CPU limit in seconds.
    scope
        Name of what is counted.
    among
        Instances that count, if some solver solves them within the limit; all by default, also those that none solves.
    """
    instances, scores = par_scores(dataset, solvers, cutoff_s)
    if among is not None and len(scores):
        wanted = frozenset(among)
        scores = scores[np.array([name in wanted for name in instances]) & (scores <= cutoff_s).any(axis=1)]
    if not len(scores) or not solvers:
        return None
    answered = scores <= cutoff_s
    best, bounds = virtual_best(scores), PortfolioBounds.of(scores)
    some = answered.any(axis=1)
    picks = np.bincount(np.argmin(scores[some], axis=1), minlength=len(solvers)) / max(1, some.sum())
    marginal, only = {}, {}
    for j, solver in enumerate(solvers):
        others = np.delete(scores, j, axis=1)
        without = virtual_best(others) if others.shape[1] else par(best, False, cutoff_s)
        marginal[solver] = float((without - best).mean())
        only[solver] = int((answered[:, j] & (without > cutoff_s)).sum())
    return PortfolioSummary(
        scope=scope,
        cutoff_s=cutoff_s,
        instances=len(scores),
        par2=dict(zip(solvers, scores.mean(axis=0).tolist(), strict=True)),
        solved=dict(zip(solvers, answered.sum(axis=0).tolist(), strict=True)),
        single_best=solvers[bounds.single],
        sbs=bounds.sbs,
        vbs=bounds.vbs,
        gain=1 - bounds.vbs / bounds.sbs,
        vbs_solved=int(some.sum()),
        marginal=marginal,
        only=only,
        picks=dict(zip(solvers, picks.tolist(), strict=True)),
    )


def noise_summaries(dataset: Dataset, unit: str = CostUnit.CONFLICTS) -> tuple[NoiseSummary, ...]:
    """Return, for each solver with several seeds, how much its cost changes with the seed alone."""
    unit = CostUnit.of(unit)
    answers = dict(zip(dataset.instances, dataset.satisfiable().tolist(), strict=True))
    made = {(run.solver, run.seed) for run in dataset.runs}
    found = []
    for solver in dataset.solvers:
        seeds = [seed for seed in dataset.seeds if (solver, seed) in made]
        if len(seeds) < 2:
            continue
        columns = [dataset.cost_matrix([solver], unit, seed) for seed in seeds]
        cost = np.hstack([matrix.cost for matrix in columns])
        solved = np.hstack([matrix.known & ~matrix.censored for matrix in columns])
        for answer, code in (("any", None), ("SAT", 1), ("UNSAT", 0)):
            rows = [
                cost[i, solved[i]]
                for i, instance in enumerate(dataset.instances)
                if solved[i].sum() >= 2 and code in (None, answers[instance])
            ]
            if not rows:
                continue
            gaps = np.array([abs(a - b) for row in rows for a, b in itertools.combinations(row.tolist(), 2)])
            found.append(
                NoiseSummary(
                    solver=solver,
                    unit=str(unit),
                    answer=answer,
                    instances=len(rows),
                    sd_log10=float(np.sqrt(np.mean([row.var(ddof=1) for row in rows]))),
                    median_ratio=float(10 ** np.median(gaps)),
                    within_2=float((gaps < np.log10(2)).mean()),
                    within_10=float((gaps < 1).mean()),
                )
            )
    return tuple(found)


def _portfolio_solvers(dataset: Dataset) -> tuple[str, ...]:
    covered: dict[str, set[str]] = {solver: set() for solver in dataset.solvers}
    for run in dataset.runs:
        if run.seed == 0:
            covered[run.solver].add(run.instance)
    coverage = {solver: len(its) for solver, its in covered.items()}
    most = max(coverage.values(), default=0)
    return tuple(solver for solver in dataset.solvers if coverage[solver] >= max(1.0, _PORTFOLIO_COVERAGE * most))


def summarise(
    dataset: Dataset, *, solvers: Sequence[str] | None = None, cutoffs: Sequence[float] | None = None
) -> DatasetSummary:
    """Count everything worth knowing of a data set.

    Parameters
    ----------
    dataset
        The data set.
    solvers
        Portfolio whose complementarity is measured; by default all solvers that were run on a fair share of it.
    cutoffs
        CPU limits in seconds for that; by default the limits of the runs, but for those that a race has made.

    Raises
    ------
    DatasetError
        If a solver has no runs.
    """
    reference = reference_solver(dataset)
    middle = mid_range_instances(dataset, reference) if reference is not None else frozenset()
    hard = _not_trivial(dataset, reference) if reference is not None else frozenset()
    portfolio = _portfolio_solvers(dataset) if solvers is None else tuple(solvers)
    for name in portfolio:
        if name not in dataset.solvers:
            raise DatasetError(f"found solver {name!r} without runs, expected some of {', '.join(dataset.solvers)}")
    limits = common_limits(dataset) if cutoffs is None else sorted(cutoffs)
    portfolios = [
        portfolio_summary(dataset, portfolio, cutoff, scope, among)
        for cutoff in limits
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
        histogram=cost_histogram(dataset, reference, _unit(dataset, reference)) if reference is not None else None,
        portfolios=tuple(found for found in portfolios if found is not None),
        noise=noise_summaries(dataset),
        machines=dict(Counter(run.machine for run in dataset.runs).most_common()),
        limits=limit_counts(dataset),
        duplicates={isohash: tuple(sorted(its)) for isohash, its in sorted(same.items()) if len(its) > 1},
        contradictions=tuple(map(str, dataset.contradictions)),
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


# ---------------------------------------------------------------------------------------------------------------------
# Texts and pictures.


def plain_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table: texts to the left, numbers (already formatted, or int) to the right."""
    cells = [[str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]

    def is_number(text: str) -> bool:
        return text.rstrip("%").replace(".", "", 1).replace("-", "", 1).isdecimal()

    right = [bool(cells) and all(is_number(row[k]) for row in cells) for k in range(len(header))]

    def line(values: Sequence[str]) -> str:
        padded = (
            value.rjust(width) if to_right else value.ljust(width)
            for value, width, to_right in zip(values, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return [line(header), *(line(row) for row in cells)]


def histogram_lines(histogram: CostHistogram, width: int = 50) -> list[str]:
    """Return a histogram as text: ``#`` for costs, ``>`` for lower bounds, scaled to ``width`` characters."""
    peak = max((s + c for s, c in zip(histogram.solved, histogram.censored, strict=True)), default=0) or 1
    lines = [f"log10 {histogram.unit} of {histogram.solver} (#: solved, >: more than this)"]
    bins = zip(itertools.pairwise(histogram.edges), histogram.solved, histogram.censored, strict=True)
    for (low, high), solved, censored in bins:
        # A bin that holds anything shows at least one mark.
        marks = [max(count > 0, round(width * count / peak)) for count in (solved, censored)]
        bar = "#" * marks[0] + ">" * marks[1]
        lines.append(f"{low:5.1f} .. {high:4.1f}  {solved:5d} {censored:5d}  {bar}".rstrip())
    return lines


def histogram_figure(histogram: CostHistogram) -> Figure:
    """Return a histogram as a matplotlib figure (no window is opened)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 3.5), layout="constrained")
    axes = figure.add_subplot()
    edges = np.array(histogram.edges)
    solved, censored = np.array(histogram.solved), np.array(histogram.censored)
    axes.bar(edges[:-1], solved, np.diff(edges), align="edge", edgecolor="white", label="solved")
    axes.bar(
        edges[:-1],
        censored,
        np.diff(edges),
        bottom=solved,
        align="edge",
        edgecolor="white",
        color="lightgrey",
        hatch="//",
        label="more than this (cut off)",
    )
    axes.set_xlabel(f"log10 {histogram.unit.replace('_', ' ')} of {histogram.solver}")
    axes.set_ylabel("instances")
    axes.legend()
    return figure


def write_histogram(histogram: CostHistogram, path: Path | str) -> None:
    """Write a histogram as a PNG picture.

    Raises
    ------
    OutputError
        If the file can't be written.
    """
    figure = histogram_figure(histogram)
    with replacing(Path(path)) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def family_table(summary: DatasetSummary) -> list[str]:
    """Return the counts by family as lines."""
    header = ("family", "origin", "instances", "SAT", "UNSAT", "unsolved", "no runs", "mid-range")
    return plain_table(
        header,
        [
            (
                f.family,
                "+".join(f.origins),
                f.instances,
                f.satisfiable,
                f.unsatisfiable,
                f.unsolved,
                f.without_runs,
                f.mid_range,
            )
            for f in summary.families
        ],
    )


def solver_table(summary: DatasetSummary) -> list[str]:
    """Return the counts by solver and status as lines."""
    header = ("solver", "instances", *map(str, RunStatus))
    return plain_table(header, [(s.solver, s.instances, *s.statuses.values()) for s in summary.solvers])


def portfolio_lines(portfolio: PortfolioSummary) -> list[str]:
    """Return how solvers complement each other as lines."""
    p = portfolio
    rows = [
        (
            solver,
            p.solved[solver],
            f"{p.par2[solver]:.3f}",
            f"{p.marginal[solver]:.3f}",
            p.only[solver],
            f"{100 * p.picks[solver]:.1f}%",
        )
        for solver in sorted(p.par2, key=lambda name: p.par2[name])
    ]
    return [
        f"{p.scope}, {p.cutoff_s:g} s, {p.instances} instances with runs of all {len(rows)} solvers: "
        f"SBS {p.single_best} {p.sbs:.3f} s, VBS {p.vbs:.3f} s ({100 * p.gain:.1f}% less), "
        f"{p.vbs_solved} solved by some solver",
        *plain_table(("solver", "solved", "PAR2 s", "marginal s", "only it", "picked"), rows),
    ]


def noise_table(summary: DatasetSummary) -> list[str]:
    """Return the noise of labels as lines."""
    header = ("solver", "unit", "answer", "instances", "sd log10", "median ratio", "within x2", "within x10")
    return plain_table(
        header,
        [
            (
                n.solver,
                n.unit,
                n.answer,
                n.instances,
                f"{n.sd_log10:.3f}",
                f"{n.median_ratio:.2f}",
                f"{100 * n.within_2:.1f}%",
                f"{100 * n.within_10:.1f}%",
            )
            for n in summary.noise
        ],
    )


def _text(summary: DatasetSummary) -> list[str]:
    origins = ", ".join(f"{count} {origin}" for origin, count in summary.origins.items())
    lines = [
        f"{summary.name}: {summary.instances} instances ({origins or 'none'}) of {len(summary.families)} families, "
        f"{summary.runs} runs of {len(summary.solvers)} solvers",
    ]
    if summary.journals:
        lines.append(
            f"{summary.journals} journals of collectors are not merged yet: start the collector again to finish them"
        )
    if summary.unlisted_runs:
        lines.append(f"{summary.unlisted_runs} runs are of instances that are not in the manifest")
    lines += ["", *family_table(summary)]
    if summary.solvers:
        lines += ["", *solver_table(summary)]
    if summary.histogram is not None:
        if summary.histogram.unit == CostUnit.CONFLICTS:
            lines += ["", f"{summary.mid_range} instances take {summary.reference} 10^3 to 10^6 conflicts"]
        lines += ["", *histogram_lines(summary.histogram)]
    for portfolio in summary.portfolios:
        lines += ["", *portfolio_lines(portfolio)]
    if summary.noise:
        lines += ["", "Change of the cost with the seed alone", *noise_table(summary)]
    copies = sum(len(its) for its in summary.duplicates.values())
    lines += ["", f"{len(summary.duplicates)} isohashes are shared by {copies} instances"]
    lines.append(f"{len(summary.contradictions)} instances are in quarantine for contradicting answers")
    lines += [f"  {contradiction}" for contradiction in summary.contradictions]
    if summary.splits:
        lines += ["", "splits: " + ", ".join(f"{name} {count}" for name, count in summary.splits.items())]
    return lines


# ---------------------------------------------------------------------------------------------------------------------
# What the command line calls.


def info(directory: Path | str, *, as_json: bool = False, histogram: Path | str | None = None) -> str:
    """Return what is in a data set as text or JSON.

    Parameters
    ----------
    directory
        Data set directory.
    as_json
        JSON instead of text.
    histogram
        Where to write the histogram of costs as a PNG picture.

    Raises
    ------
    DatasetError
        If the data set can't be read, or there are no costs for the picture.
    """
    if histogram is not None:
        tables = [path for path in Path(directory).glob("*") if path.is_file()]
        check_outputs({"--histogram": Path(histogram)}, tables)
    summary = summarise(Dataset.open(directory))
    if histogram is not None:
        if summary.histogram is None:
            raise DatasetError(
                f"{directory}: found no runs, expected some for a histogram of costs; collect them first"
            )
        write_histogram(summary.histogram, histogram)
    return summary.to_json() if as_json else str(summary)


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
            located = dataset.locate(root, verify="hash", scan=False)
        except DatasetError as error:
            return [*problems, str(error)]
        problems += [f"{path}: found another formula, expected {name}" for name, path in sorted(located.wrong.items())]
    return problems
