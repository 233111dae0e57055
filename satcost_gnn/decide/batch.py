"""A set of instances on several cores: in which order, with which solver and for how long, from the predictions.

Two aims. The least *mean* time until an instance is solved asks for those first that are likely to be solved soon: the
next run is that with the largest index

    max over solvers s and limits d of  P(cost_s <= d | cost_s > c_s) / E[min(cost_s, d) | cost_s > c_s],

with c_s what s has been given without an answer,
the Gittins index (Gittins 1979, "Bandit processes and dynamic allocation indices") of a job that begins again from
nothing whenever it is stopped; a failed run comes back with a larger limit. The least *total* time on several cores
asks for little work and no long run at the end: each instance has one run, by the solver with the least expected cost,
and the longest are begun first (Graham 1969, "Bounds on multiprocessing timing anomalies").
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from satcost_gnn.core.distribution import CostDistribution, Floats, grid_for
from satcost_gnn.core.observed import bound_of
from satcost_gnn.decide.batch_presolving import left_open
from satcost_gnn.decide.batch_runs import RunOrder, runs_here, runs_on_cluster
from satcost_gnn.decide.objective import Objective, partial_moment, scores
from satcost_gnn.decide.training_statistics import UNIT, TrainingStatistics
from satcost_gnn.errors import ConfigError, FormulaError
from satcost_gnn.features.preprocessing import Preprocessed
from satcost_gnn.formula.sources import FormulaFile, UnreadableName, for_children
from satcost_gnn.serve.predictor import Predictor

if TYPE_CHECKING:
    from satcost_gnn.runtime.ray_cluster import RayCluster

# Limits of runs: so many from a thousandth of the largest to the largest, each about twice the one before.
_LIMITS = 11
# Less than this share of the limit is not worth another run.
_LEAST_SHARE = 1e-3

#: Column -> (type, meaning) of the table of results.
BATCH_COLUMNS: dict[str, tuple[type, str]] = {
    "path": (str, "file as it was named or found"),
    "gbdhash": (str, "identity of the normalised formula"),
    "status": (str, "SAT, UNSAT, TIMEOUT, MEMOUT, CRASHED, or error: see the column error"),
    "solver": (str, "solver of the last run; probe where listening to it solved the instance"),
    "cpu_s": (float, "CPU seconds of all runs of this instance"),
    "runs": (int, "number of these runs; 0 where presolving or the probe solved it"),
    "finished_s": (float, "wall seconds from the beginning of the batch to this row"),
    "expected_s": (float, "CPU seconds that were expected of the best solver within the limit; missing as p_solved is"),
    "p_solved": (float, "probability of its answer within the limit; missing for a limit above known_up_to_s"),
    "known_up_to_s": (float, "CPU seconds beyond which the training labels tell nothing"),
    "source": (str, "what the prediction comes from"),
    "in_distribution": (bool, "whether the instance resembles the training data"),
    "error": (str, "what is wrong with the file, or what happened to the last run"),
    "warnings": (str, "what was odd about the file, though it could be read"),
}


class Aim(StrEnum):
    """What the order is to make small."""

    MEAN = "mean"
    TOTAL = "total"
    GIVEN = "given"

    @classmethod
    def of(cls, name: str) -> Aim:
        """Return the aim of this name; ConfigError if there is none."""
        try:
            return cls(name)
        except ValueError:
            raise ConfigError(f"found {name!r} to minimise; expected one of {', '.join(cls)}") from None


@dataclass(frozen=True)
class Task:
    """One run: an instance (its number), a solver, CPU seconds."""

    instance: int
    solver: str
    cpu_s: float


def _check_limit(limit_s: float) -> None:
    if not (np.isfinite(limit_s) and limit_s > 0):
        raise ConfigError(f"found a limit of {limit_s:g} s; expected a positive number of seconds")


class BatchQueue:
    """Says what is to be run next; knows nothing of files and processes.

    Parameters
    ----------
    distribution
        ``(m, n_solvers)``, in CPU seconds.
    limit_s
        CPU seconds of an instance, for all that is done for it. It is given up when they are used up.
    aim
        ``mean`` or ``total``; ``given``: first come, first served, by the solver with the least expected cost.
    keeps
        Instance -> the one solver that is run on it, unless that turns out to be of no use.
    spent_s
        ``float64[m]``: CPU seconds of the limit that each instance has used already; None for nothing.

    Raises
    ------
    ConfigError
        If the limit isn't positive, or there is no solver.
    """

    def __init__(
        self,
        distribution: CostDistribution,
        solvers: Sequence[str],
        limit_s: float,
        aim: Aim,
        keeps: Mapping[int, str] | None = None,
        spent_s: ArrayLike | None = None,
    ) -> None:
        _check_limit(limit_s)
        if not solvers:
            raise ConfigError("found no solver to run; expected at least one")
        m, self._solvers, self._limit, self._aim = distribution.shape[0], tuple(solvers), limit_s, aim
        self.expected_s = scores(distribution, Objective.EXPECTED_COST, limit_s).value
        self.p_solved = distribution.p_solved_by(limit_s)
        self._lengths = np.geomspace(limit_s / 1000, limit_s, _LIMITS)
        if aim is Aim.MEAN:
            self._cdf = np.stack([distribution.p_solved_by(length) for length in self._lengths], axis=-1)
            self._moment = np.stack([partial_moment(distribution, length, 1) for length in self._lengths], axis=-1)
        # Position in the limits of the longest failed run, -1 before the first.
        self._tried = np.full((m, len(solvers)), -1, dtype=np.int64)
        self._left = limit_s - np.broadcast_to(0.0 if spent_s is None else np.asarray(spent_s, dtype=np.float64), m)
        self._out = np.zeros((m, len(solvers)), dtype=bool)
        self._kept = {instance: self._solvers.index(solver) for instance, solver in (keeps or {}).items()}
        self._heap: list[tuple[float, int, Task]] = []
        #: Instances that never get a run: the limit is used up already.
        self.used_up = [instance for instance in range(m) if not self._push(instance)]

    def next(self) -> Task | None:
        """Return what to run next, None if nothing waits (what is running may come back)."""
        return heapq.heappop(self._heap)[2] if self._heap else None

    def failed(self, task: Task, used_s: float | None = None, *, out: bool = False) -> bool:
        """Take a run back that gave no answer, and return whether the instance will be run again.

        Parameters
        ----------
        used_s
            CPU seconds that it has used; None for all that it was given, or for none if its solver is of no use.
        out
            Whether its solver is of no use on this instance, however long it runs (a crash, an exhausted memory).
        """
        column = self._solvers.index(task.solver)
        self._left[task.instance] -= used_s if used_s is not None else 0.0 if out else task.cpu_s
        if out:
            self._out[task.instance, column] = True
        else:
            self._tried[task.instance, column] = int(np.searchsorted(self._lengths, task.cpu_s * (1 - 1e-9)))
        return self._push(task.instance)

    def _push(self, instance: int) -> bool:
        able = np.flatnonzero(~self._out[instance])
        left = float(self._left[instance])
        if not len(able) or left < _LEAST_SHARE * self._limit:
            return False
        if self._kept.get(instance) in able:
            able = np.array([self._kept[instance]])
        best = int(able[np.argmin(self.expected_s[instance, able])])
        if self._aim is Aim.MEAN:
            index, column, length = self._index(instance, able)
            if index <= 0.0:
                # Nothing is expected of any run: all that is left, at the end of the queue.
                column, length = best, left
            elif left < 3 * length:
                # No run of twice its length could come after it: it has what is left.
                length = left
            heapq.heappush(self._heap, (-index, instance, Task(instance, self._solvers[column], length)))
        else:
            rank = -float(self.expected_s[instance, best]) if self._aim is Aim.TOTAL else 0.0
            heapq.heappush(self._heap, (rank, instance, Task(instance, self._solvers[best], left)))
        return True

    def _index(self, instance: int, able: Any) -> tuple[float, int, float]:
        """Return the largest index of an instance, with the solver's column and the limit that it is for."""
        best = (0.0, int(able[0]), self._limit)
        for column in able.tolist():
            cdf, moment = self._cdf[instance, column], self._moment[instance, column]
            tried = self._tried[instance, column]
            known, spent = (cdf[tried], moment[tried]) if tried >= 0 else (0.0, 0.0)
            later = (np.arange(len(self._lengths)) > tried) & (self._lengths <= self._left[instance] * (1 + 1e-9))
            # Of a run that is known to take longer than it had: both are up to the same factor, the chance of that.
            solved = np.maximum(cdf - known, 0.0)
            used = np.maximum(moment - spent, 0.0) + self._lengths * (1.0 - cdf)
            index: Floats = np.where(later & (used > 0), solved / np.maximum(used, 1e-12), -1.0)
            k = int(np.argmax(index))
            if index[k] > best[0]:
                best = (float(index[k]), column, float(self._lengths[k]))
        return best


def simulate(work: BatchQueue, runtime_s: Floats, solvers: Sequence[str], cores: int) -> dict[str, float]:
    """Run an unused queue on measured times instead of solvers, so many runs at a time.

    Parameters
    ----------
    runtime_s
        ``float64[m, n_solvers]``: CPU seconds, infinite for no answer.

    Returns
    -------
    dict
        ``mean_s``: mean time until an instance is solved or given up; ``mean_solved_s``: the same over the solved ones;
        ``total_s``: time until the last has ended; ``solved``: number of solved instances.
    """
    column = {name: k for k, name in enumerate(solvers)}
    ended: dict[int, float] = {}
    solved: list[float] = []
    running: list[tuple[float, int, Task]] = []
    now, number = 0.0, 0
    while True:
        while len(running) < cores and (task := work.next()) is not None:
            number += 1
            took = min(float(runtime_s[task.instance, column[task.solver]]), task.cpu_s)
            heapq.heappush(running, (now + took, number, task))
        if not running:
            break
        now, _, task = heapq.heappop(running)
        if runtime_s[task.instance, column[task.solver]] <= task.cpu_s:
            solved.append(now)
            ended[task.instance] = now
        elif not work.failed(task):
            ended[task.instance] = now
    times = np.array(list(ended.values()))
    return {
        "mean_s": float(times.mean()) if len(times) else 0.0,
        "mean_solved_s": float(np.mean(solved)) if solved else 0.0,
        "total_s": now,
        "solved": len(solved),
    }


# With solvers ---------------------------------------------------------------------------------------------------------


@dataclass
class _Job:
    """An instance that is being solved; ``early_s`` are the CPU seconds of its reading, early search and prediction."""

    file: FormulaFile
    row: dict[str, Any]
    early_s: float = 0.0
    cpu_s: float = 0.0
    runs: int = 0


@dataclass(frozen=True)
class BatchSettings:
    """How to solve a set.

    Parameters
    ----------
    limit_s
        CPU seconds of an instance: reading, early search, prediction and all its runs together.
    memory_limit_mb
        Mebibytes of each run.
    programs
        Solver of the checkpoint -> registered name of the program that is run in its place.
    """

    limit_s: float = 60.0
    memory_limit_mb: int = 4096
    cores: int = 1
    aim: Aim = Aim.MEAN
    programs: Mapping[str, str] = field(default_factory=dict)


def solve_batch(
    predictor: Predictor,
    sources: Iterable[str],
    settings: BatchSettings,
    on_row: Callable[[dict[str, Any]], None],
    cluster: RayCluster | None = None,
) -> None:
    """Solve a set of instances, in an order and with limits made from the predictions.

    Each instance is first given to the solver of the early search alone, for about as long as a prediction takes
    (:func:`~satcost_gnn.features.early_budget.presolving`); what that answers is done, without a prediction. All others
    are predicted; those that the probe solves are done then, and of the rest no more than the names and the predictions
    are held.

    Parameters
    ----------
    on_row
        Called in the caller's thread with the row (:data:`BATCH_COLUMNS`) of each instance that has ended.
    cluster
        Where files are read, searched and run, instead of the cores of this machine; predictions are made here.

    Raises
    ------
    ConfigError
        If the predictor is of another unit or a number is out of range.
    SolverError
        If a program can't be started.
    ExecutorError
        See :meth:`~satcost_gnn.runtime.ray_cluster.RayCluster.run`.
    """
    if predictor.unit != UNIT:
        raise ConfigError(f"found a predictor of {predictor.unit}; expected one of {UNIT}")
    _check_limit(settings.limit_s)
    if settings.cores < 1:
        raise ConfigError(f"found {settings.cores} cores; expected at least 1")
    begin = time.monotonic()

    def finish(row: dict[str, Any]) -> None:
        on_row({**row, "finished_s": time.monotonic() - begin})

    files: dict[str, FormulaFile] = {}

    def readable(name: str) -> FormulaFile | UnreadableName:
        """Return a file that child processes can read again and again, as long as the stack lasts, or why not."""
        limits = predictor.settings.limits
        try:
            file = stack.enter_context(for_children(name, limits.read, time.monotonic() + limits.wall_s))
        except FormulaError as error:
            return UnreadableName(name, str(error))
        assert isinstance(file, FormulaFile)
        # In the table it has the name that it was given by.
        files[name] = replace(file, name=name)
        return files[name]

    with ExitStack() as stack:
        readables, memory_mb = map(readable, sources), settings.memory_limit_mb
        items = left_open(predictor, readables, settings.limit_s, settings.cores, finish, memory_mb, cluster)
        _predict_and_run(predictor, items, settings, finish, files, cluster)


def _predict_and_run(
    predictor: Predictor,
    items: Iterable[tuple[int, Preprocessed] | None],
    settings: BatchSettings,
    finish: Callable[[dict[str, Any]], None],
    files: Mapping[str, FormulaFile],
    cluster: RayCluster | None,
) -> None:
    jobs: list[_Job] = []
    cdfs: list[Floats] = []
    bound = float("inf")
    for prediction in predictor.predict_ready(items):
        row: dict[str, Any] = {
            "path": prediction.path,
            "gbdhash": prediction.gbdhash,
            "source": prediction.source,
            "in_distribution": prediction.in_distribution,
            "error": "",
            "warnings": "; ".join(prediction.warnings),
        }
        if prediction.distribution is None:
            finish({**row, "status": "error", "error": prediction.reason})
        elif prediction.result:
            seconds = prediction.searched_s or 0.0
            finish({**row, "status": prediction.result, "solver": prediction.answered_by, "cpu_s": seconds, "runs": 0})
        else:
            jobs.append(_Job(files[prediction.path], row, sum(prediction.timings.values())))
            cdfs.append(prediction.distribution.cdf)
            bound = bound_of(prediction.distribution)
    if not jobs:
        return
    distribution = CostDistribution(grid_for(UNIT), np.stack(cdfs))
    training = TrainingStatistics.of_checkpoint(predictor.checkpoint).at(settings.limit_s)
    single = training.single_best(predictor.solvers)
    unlike = [number for number, job in enumerate(jobs) if job.row["in_distribution"] is False]
    keeps, early = dict.fromkeys(unlike, single), [job.early_s for job in jobs]
    work = BatchQueue(distribution, predictor.solvers, settings.limit_s, settings.aim, keeps, early)
    for number, job in enumerate(jobs):
        best = int(np.argmin(work.expected_s[number]))
        known = settings.limit_s <= bound
        job.row["expected_s"] = float(work.expected_s[number, best]) if known else None
        job.row["p_solved"] = float(work.p_solved[number, best]) if known else None
        job.row["known_up_to_s"] = bound if np.isfinite(bound) else None
    for number in work.used_up:
        early_s, limit_s = jobs[number].early_s, settings.limit_s
        reason = f"reading, early search and prediction took {early_s:.3g} of {limit_s:g} CPU seconds: no run was begun"
        finish({**jobs[number].row, "status": "TIMEOUT", "solver": "", "cpu_s": 0.0, "runs": 0, "error": reason})
    _run_all(work, jobs, settings, finish, cluster)


def _run_all(
    work: BatchQueue,
    jobs: Sequence[_Job],
    settings: BatchSettings,
    finish: Callable[[dict[str, Any]], None],
    cluster: RayCluster | None,
) -> None:
    def wanted() -> tuple[Task, RunOrder] | None:
        task = work.next()
        if task is None:
            return None
        solver = settings.programs.get(task.solver, task.solver)
        return task, RunOrder(jobs[task.instance].file, solver, task.cpu_s, settings.memory_limit_mb)

    if cluster is None:
        runs = runs_here(wanted, min(settings.cores, len(jobs)))
    else:
        runs = runs_on_cluster(wanted, cluster, settings.memory_limit_mb)
    for task, run in runs:
        job = jobs[task.instance]
        job.cpu_s += run.cpu_s
        job.runs += 1
        answered = run.status in ("SAT", "UNSAT")
        out = run.status in ("MEMOUT", "CRASHED", "UNSUPPORTED")
        if not answered and work.failed(task, run.cpu_s, out=out):
            continue
        told = {"status": run.status, "solver": task.solver, "cpu_s": job.cpu_s, "runs": job.runs, "error": run.detail}
        finish({**job.row, **told})
