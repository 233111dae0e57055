"""Cube and conquer: what each cube of a split will cost, and all of them together.

A cube is a conjunction of literals that is added to a formula as unit clauses. Cubes are predicted as the formulas that
they are, each with a probe of its own, which solves the easy ones on the way: theirs is a known cost. Cheaper ways do
once for the formula what is done for each cube there: its graph is encoded once for all cubes, or its probe is theirs
too, so that of a cube only static features of the formula that is left after unit propagation are its own. The cheapest
predicts from these alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.core.observed import bound_of, extrapolated
from satcost_gnn.core.observed import known as known_number
from satcost_gnn.data.generate.cube import with_units
from satcost_gnn.decide.cube_features import check_fits, cube_features
from satcost_gnn.errors import ConfigError
from satcost_gnn.features.instance import Instance
from satcost_gnn.features.preprocessing import Preprocessed, preprocess_many
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.renumbering import renumbered
from satcost_gnn.formula.static_feature_list import STATIC_FEATURE_NAMES
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.serve.prediction import Prediction
from satcost_gnn.serve.predictor import Predictor

Floats = NDArray[np.float64]

#: How cubes are told apart -> what is done for each cube.
FEATURES = {
    "probe": "each cube is read, probed and encoded as the formula that it is",
    "shared-graph": "each cube is probed; the formula's graph is encoded once for all of them",
    "shared": "the formula is probed and its graph encoded once; a cube has its static features after propagation",
    "static": "a cube has its static features after propagation, and nothing else is looked at",
}
#: Estimator of the cheap way.
STATIC_ESTIMATOR = "forest_static"
#: Share of the variance of the errors that cubes of one formula are taken to have in common.
COMMON_ERROR = 0.3
_DRAWS = 4000
_BATCH = 256


@dataclass(frozen=True, eq=False)
class CubePrediction:
    """What one cube is predicted to cost a solver.

    Parameters
    ----------
    number
        Its place in the list, from 0.
    prediction
        The prediction; for a cube that doesn't fit the formula, or couldn't be read, its status is ``error``.
    cost
        Distribution of the cost, of shape ``()``; None where there is no prediction.
    known
        The cost itself, in the unit, if the probe or unit propagation has solved the cube; else None.
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
        """What cubes are ordered by, in the unit: the known cost, else 10 to the mean of log10; NaN for neither."""
        if self.known is not None:
            return self.known
        return float("nan") if self.cost is None else float(10.0 ** extrapolated(self.cost).mean())


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
    """Predict the cost of every cube, and return the predictions in the order of the cubes.

    Parameters
    ----------
    predictor
        Predicts ``solver``; for ``static`` features its chain should begin at :data:`STATIC_ESTIMATOR`.
    features
        One of :data:`FEATURES`. No solver runs on a cube with ``shared`` and ``static``.
    jobs
        Cubes preprocessed at a time.

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
    results: dict[int, CubePrediction] = {}
    step = on_step or (lambda: None)
    fitting: list[int] = []
    for number, literals in enumerate(cubes):
        try:
            check_fits(formula, literals)
        except ConfigError as error:
            results[number] = CubePrediction(number, tuple(literals), None, None, None, str(error))
            step()
        else:
            fitting.append(number)
    # A cube may name variables that no clause has.
    named = np.array([literal for number in fitting for literal in cubes[number]], dtype=np.int64)
    formula, numbering = renumbered(formula, keep=named)
    inner = [tuple(numbering.dense(np.array(cube, dtype=np.int64)).tolist()) for cube in cubes]
    parent = predictor.preprocess(formula, plain=False).instance if features.startswith("shared") else None
    graph = parent.graph if parent is not None else None

    def flush(batch: list[tuple[int, Preprocessed]]) -> None:
        found = predictor.predict_preprocessed([item for _, item in batch], one_graph=graph is not None)
        for (number, _), prediction in zip(batch, found, strict=True):
            cost = prediction.distribution[column] if prediction.distribution is not None else None
            results[number] = CubePrediction(
                number,
                tuple(cubes[number]),
                prediction,
                cost,
                prediction.known.get(solver),
                error="" if cost is not None else prediction.reason,
                result=prediction.result,
            )
            step()

    def probed() -> Iterator[tuple[int, Preprocessed] | None]:
        # The graph is not built where the formula's is taken.
        settings = predictor.settings.with_limits(graph_size_limit=0) if graph is not None else predictor.settings
        sources = ((number, with_units(formula, inner[number], formula.source)) for number in fitting)
        for item in preprocess_many(sources, settings, jobs=jobs):
            if item is not None and graph is not None and item[1].instance is not None:
                yield item[0], Preprocessed(item[1].path, replace(item[1].instance, graph=graph))
            else:
                yield item

    def propagated() -> Iterator[tuple[int, Preprocessed] | None]:
        common = Instance(formula.source, "", FeatureVector.missing(STATIC_FEATURE_NAMES))
        if parent is not None:
            # What solves the formula says how its search goes, but solves no cube.
            probe = replace(parent.probe, status="UNKNOWN") if parent.probe is not None else None
            common = replace(parent, probe=probe, timings={})
        with Sandbox() as sandbox:
            found = cube_features(formula, [inner[number] for number in fitting], sandbox)
        for number, one in zip(fitting, found, strict=True):
            if isinstance(one, FeatureVector):
                yield number, Preprocessed(formula.source, replace(common, static=one))
                continue
            nothing = CostDistribution.from_points(GRIDS[predictor.unit], GRIDS[predictor.unit].low)
            decided = one in ("SAT", "UNSAT")
            results[number] = CubePrediction(
                number,
                tuple(cubes[number]),
                None,
                nothing if decided else None,
                0.0 if decided else None,
                error="" if decided else one,
                result=one if decided else "",
            )
            step()

    batch: list[tuple[int, Preprocessed]] = []
    for item in probed() if features in ("probe", "shared-graph") else propagated():
        if item is not None:
            batch.append(item)
        # While probes are waited for, what is ready may be predicted; but every batch encodes the shared graph once.
        idle = item is None and graph is None
        if batch and (idle or len(batch) >= _BATCH):
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
        Median and ends of the central 80 % interval; infinite where they depend on costs that no label tells about.
    known
        What is known of it for certain: the cost of the cubes that the probe has solved.
    at_least
        The median with all that lies beyond the labels counted at their bound.
    """

    median: float
    low: float
    high: float
    known: float
    at_least: float

    def to_json(self) -> dict[str, float | None]:
        """Return plain values for JSON, None for what is unknown."""
        return {name: known_number(value) for name, value in asdict(self).items()}


def total_of(cubes: Sequence[CubePrediction], common_error: float = COMMON_ERROR, seed: int = 0) -> Total:
    """Return the distribution of the sum of the cubes' costs from their predictions; those without one are left out.

    Simulated with a Gaussian copula of one factor: cube i has the quantile at Phi(sqrt(r) z + sqrt(1 - r) e_i), with z
    common to all. A draw in which a cube costs more than the labels tell about counts as beyond every other one.

    Parameters
    ----------
    common_error
        Correlation r of the errors of two cubes. Cubes of one formula are alike, and so are the errors made on them:
        taken as independent they would average out, and the interval of the sum would be far too narrow.
    """
    from scipy.special import ndtr

    known = sum(cube.known for cube in cubes if cube.known is not None)
    open_ = [cube.cost for cube in cubes if cube.known is None and cube.cost is not None]
    if not open_:
        return Total(known, known, known, known, known)
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(_DRAWS)
    # The quantile function of each cube on a table: looking it up is all that a draw costs.
    levels = (np.arange(200) + 0.5) / 200
    total, least = np.full(_DRAWS, known, dtype=np.float64), np.full(_DRAWS, known, dtype=np.float64)
    for cost in open_:
        z = np.sqrt(common_error) * common + np.sqrt(1.0 - common_error) * rng.standard_normal(_DRAWS)
        drawn = 10.0 ** np.interp(ndtr(z), levels, extrapolated(cost).quantile(levels))
        bound = bound_of(cost)
        total += np.where(drawn > bound, np.inf, drawn)
        least += np.minimum(drawn, bound)
    low, median, high = np.quantile(total, [0.1, 0.5, 0.9], method="higher")
    return Total(float(median), float(low), float(high), float(known), float(np.median(least)))


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
