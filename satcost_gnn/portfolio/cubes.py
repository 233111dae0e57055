"""Cube and conquer: what each cube of a split will cost, and all of them together.

A cube is a conjunction of literals that is added to a formula as unit clauses. Cubes are predicted as the formulas that
they are, each with a probe of its own, which solves the easy ones on the way: theirs is a known cost. The cheap way
leaves the probe out and predicts from static features of the formula that is left after unit propagation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.data.generate.cube import with_units
from satcost_gnn.distribution import GRIDS, CostDistribution
from satcost_gnn.errors import ConfigError, FormulaError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import parse_dimacs
from satcost_gnn.predictor import Prediction, Predictor
from satcost_gnn.preprocess import Preprocessed, preprocess_many

Floats = NDArray[np.float64]

FEATURES = ("probe", "static")
#: Estimator of the cheap way.
STATIC_ESTIMATOR = "forest_static"
#: Share of the variance of the errors that cubes of one formula are taken to have in common.
COMMON_ERROR = 0.3
_DRAWS = 4000
_BATCH = 64


def read_cubes(path: Path | str) -> tuple[Formula | None, list[tuple[int, ...]]]:
    """Read cubes, and the formula if the file holds one.

    Parameters
    ----------
    path
        An iCNF file (``p inccnf``, clauses, and cubes as lines ``a 1 -2 0``), a file of such ``a`` lines alone, or one
        cube a line, its closing 0 optional. Lines that start with ``c`` are comments.

    Returns
    -------
    (Formula or None, list of tuple of int)
        The formula, None if there are no clauses; and the cubes in order.

    Raises
    ------
    FormulaError
        If the file can't be read, a line is neither clause nor cube, or there is no cube.
    """
    name = str(path)
    try:
        lines = Path(path).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as error:
        raise FormulaError(f"cannot be read: {error.strerror or error}", name) from error
    marked = any(line.startswith(("a ", "p inccnf")) for line in lines)
    clauses: list[str] = []
    found: list[tuple[int, ...]] = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0] == "c" or words[0] == "p":
            continue
        if marked and words[0] != "a":
            clauses.append(line)
            continue
        try:
            literals = [int(word) for word in words[words[0] == "a" :]]
        except ValueError:
            shown = line.strip()[:60]
            raise FormulaError(f"found {shown!r}; expected a cube: literals and a 0", name, number) from None
        if literals and literals[-1] == 0:
            literals.pop()
        if 0 in literals:
            raise FormulaError("found a 0 inside a cube; expected one at its end", name, number)
        if len({abs(literal) for literal in literals}) < len(literals):
            raise FormulaError(f"found a variable twice in cube {literals}; expected distinct ones", name, number)
        found.append(tuple(literals))
    if not found:
        raise FormulaError("found no cube; expected lines such as 'a 1 -2 0'", name)
    if not clauses:
        return None, found
    return parse_dimacs("\n".join(clauses).encode(), name), found


def simplified(formula: Formula, literals: Sequence[int]) -> Formula:
    """Return what is left of a formula under a cube after unit propagation.

    Satisfied clauses, false literals and fixed variables go; the variables that are left are numbered anew, in the same
    order. A refuted formula becomes a single empty clause.

    Raises
    ------
    ConfigError
        If a literal is zero or of a variable that the formula lacks.
    """
    if any(not 0 < abs(literal) <= formula.n_vars for literal in literals):
        raise ConfigError(f"found cube {list(literals)}; expected variables in 1..{formula.n_vars}")
    value = np.zeros(formula.n_vars + 1, dtype=np.int8)
    variables, signs = np.abs(formula.literals), np.sign(formula.literals).astype(np.int8)
    owner = np.repeat(np.arange(formula.n_clauses), formula.clause_lengths)
    units = np.array(literals, dtype=np.int64)
    refuted = Formula.from_arrays([], [0, 0], 0, formula.source)
    while True:
        if (value[np.abs(units)] == -np.sign(units)).any() or len(np.unique(np.abs(units))) < len(np.unique(units)):
            return refuted
        value[np.abs(units)] = np.sign(units)
        truth = value[variables] * signs
        satisfied = np.zeros(formula.n_clauses, dtype=bool)
        satisfied[owner[truth > 0]] = True
        open_literals = (truth == 0) & ~satisfied[owner]
        left = np.bincount(owner[open_literals], minlength=formula.n_clauses)
        if ((left == 0) & ~satisfied).any():
            return refuted
        fresh = open_literals & (left == 1)[owner]
        if not fresh.any():
            break
        units = np.unique(formula.literals[fresh].astype(np.int64))
    kept = formula.literals[open_literals]
    used, fresh_names = np.unique(np.abs(kept), return_inverse=True)
    return Formula.from_arrays(
        (fresh_names + 1) * np.sign(kept),
        np.concatenate([[0], np.cumsum(left[left > 0])]).astype(np.int64),
        len(used),
        formula.source,
    )


@dataclass(frozen=True, eq=False)
class CubePrediction:
    """What one cube is predicted to cost a solver.

    Parameters
    ----------
    number
        Its place in the list, from 0.
    literals
        The cube.
    prediction
        The prediction; for a cube that doesn't fit the formula, or couldn't be read, its status is ``error``.
    cost
        Distribution of the cost, of shape ``()``; None where there is no prediction.
    known
        The cost itself, in the unit, if the probe or unit propagation has solved the cube; else None.
    error
        Why there is no prediction.
    result
        ``SAT`` or ``UNSAT`` if the cube has been solved.
    """

    number: int
    literals: tuple[int, ...]
    prediction: Prediction | None
    cost: CostDistribution | None
    known: float | None
    error: str = ""
    result: str = ""

    @property
    def size(self) -> float:
        """One number for the cost, in the unit: the known one, else 10 to the mean of log10; NaN without prediction."""
        if self.known is not None:
            return self.known
        return float("nan") if self.cost is None else float(10.0 ** self.cost.mean())


def predict_cubes(
    formula: Formula,
    cubes: Sequence[Sequence[int]],
    predictor: Predictor,
    solver: str,
    *,
    features: str = "probe",
    jobs: int = 1,
    on_step: Callable[[], None] | None = None,
) -> list[CubePrediction]:
    """Predict the cost of every cube.

    Parameters
    ----------
    formula
        The formula that the cubes are of.
    cubes
        Literals of each.
    predictor
        Predicts ``solver``; for ``static`` features its chain should begin at :data:`STATIC_ESTIMATOR`.
    solver
        Solver that is to run the cubes.
    features
        ``probe``: each cube is probed, as any instance is. ``static``: no solver runs.
    jobs
        Cubes preprocessed at a time.
    on_step
        Called after each cube.

    Returns
    -------
    list of CubePrediction
        In the order of the cubes.

    Raises
    ------
    ConfigError
        If the features are unknown or the predictor doesn't know the solver.
    """
    if features not in FEATURES:
        raise ConfigError(f"found features {features!r}; expected one of {', '.join(FEATURES)}")
    if solver not in predictor.solvers:
        raise ConfigError(f"found solver {solver!r}; expected one of {', '.join(predictor.solvers)}")
    column = predictor.solvers.index(solver)
    static = features == "static"
    settings = replace(predictor.settings, probe=None) if static else predictor.settings
    results: dict[int, CubePrediction] = {}
    step = on_step or (lambda: None)

    def sources() -> Iterator[tuple[int, Formula]]:
        for number, literals in enumerate(cubes):
            try:
                made = simplified(formula, literals) if static else with_units(formula, literals, formula.source)
            except ConfigError as error:
                results[number] = CubePrediction(number, tuple(literals), None, None, None, str(error))
                step()
            else:
                if static and (made.has_empty_clause or not made.n_clauses):
                    answer = "UNSAT" if made.has_empty_clause else "SAT"
                    nothing = CostDistribution.from_points(GRIDS[predictor.unit], GRIDS[predictor.unit].low)
                    results[number] = CubePrediction(number, tuple(literals), None, nothing, 0.0, result=answer)
                    step()
                else:
                    yield number, made

    def flush(batch: list[tuple[int, Preprocessed]]) -> None:
        found = predictor.predict_preprocessed([item for _, item in batch])
        for (number, item), prediction in zip(batch, found, strict=True):
            cost = prediction.distribution[column] if prediction.distribution is not None else None
            known = None
            # The probe has done what its solver would; another solver's cost is a guess from it.
            if prediction.status == "solved" and solver == predictor.checkpoint.config.probe_solver:
                probe = item.instance.probe if item.instance is not None else None
                if probe is not None:
                    spent = {"conflicts": probe.conflicts, "propagations": probe.propagations}
                    known = float(spent.get(predictor.unit, probe.cpu_s) or 0.0)
            results[number] = CubePrediction(
                number,
                tuple(cubes[number]),
                prediction,
                cost,
                known,
                error="" if cost is not None else prediction.reason,
                result=prediction.result,
            )
            step()

    batch: list[tuple[int, Preprocessed]] = []
    for item in preprocess_many(sources(), settings, jobs=jobs):
        if item is not None:
            batch.append(item)
        if batch and (item is None or len(batch) >= _BATCH):
            flush(batch)
            batch = []
    if batch:
        flush(batch)
    return [results[number] for number in range(len(cubes))]


@dataclass(frozen=True)
class Total:
    """Cost of all cubes together, in the cost unit.

    Parameters
    ----------
    median, low, high
        Median and ends of the central 80 % interval.
    known
        What is known of it for certain: the cost of the cubes that the probe has solved.
    """

    median: float
    low: float
    high: float
    known: float


def total_of(cubes: Sequence[CubePrediction], common_error: float = COMMON_ERROR, seed: int = 0) -> Total:
    """Return the distribution of the sum of the cubes' costs from their predictions.

    Parameters
    ----------
    cubes
        The predicted cubes; those without a prediction are left out.
    common_error
        Correlation of the errors of two cubes. Cubes of one formula are alike, and so are the errors made on them:
        taken as independent they would average out, and the interval of the sum would be far too narrow.
    seed
        Of the simulation.

    Notes
    -----
    Simulated with a Gaussian copula of one factor: cube i has the quantile at Phi(sqrt(r) z + sqrt(1 - r) e_i), with z
    common to all. Mass beyond the grid counts at the grid's end.
    """
    from scipy.special import ndtr

    known = sum(cube.known for cube in cubes if cube.known is not None)
    open_ = [cube.cost for cube in cubes if cube.known is None and cube.cost is not None]
    if not open_:
        return Total(known, known, known, known)
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(_DRAWS)
    # The quantile function of each cube on a table: looking it up is all that a draw costs.
    levels = (np.arange(200) + 0.5) / 200
    total = np.full(_DRAWS, known, dtype=np.float64)
    for cost in open_:
        z = np.sqrt(common_error) * common + np.sqrt(1.0 - common_error) * rng.standard_normal(_DRAWS)
        total += 10.0 ** np.interp(ndtr(z), levels, cost.quantile(levels))
    low, median, high = np.quantile(total, [0.1, 0.5, 0.9])
    return Total(float(median), float(low), float(high), float(known))


def hardest_first(cubes: Sequence[CubePrediction]) -> list[int]:
    """Return the numbers of the cubes by falling predicted cost: the order that ends soonest on several cores.

    (Longest processing time first; Graham, "Bounds on multiprocessing timing anomalies", 1969.) Cubes without a
    prediction come first: they may be anything.
    """
    sizes = np.array([cube.size for cube in cubes])
    order = np.argsort(-np.where(np.isnan(sizes), np.inf, sizes), kind="stable")
    return [int(number) for number in order]


def to_split(cubes: Sequence[CubePrediction], factor: float = 10.0) -> list[int]:
    """Return the numbers of the cubes that are predicted to cost more than ``factor`` times the average of the others.

    One that is far above the rest decides when all of them are done, so it is the one to cut further.

    Raises
    ------
    ConfigError
        If the factor isn't above 1.
    """
    if not factor > 1:
        raise ConfigError(f"found factor {factor}; expected more than 1")
    sizes = np.nan_to_num(np.array([cube.size for cube in cubes]))
    if len(sizes) < 2:
        return []
    others = (sizes.sum() - sizes) / (len(sizes) - 1)
    return [int(number) for number in np.flatnonzero((sizes > factor * others) & (sizes > 0))]
