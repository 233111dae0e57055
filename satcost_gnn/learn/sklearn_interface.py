"""The package's estimators as scikit-learn has them: for pipelines, cross-validation and model selection.

:class:`CnfFeatures` turns files into a matrix, for any regressor of scikit-learn; :class:`SatCostRegressor` and
:class:`SolverSelector` take files or such a matrix.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import EstimatorError, FormulaError
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.features.instance import Instance
from satcost_gnn.features.preprocessing import preprocess_many
from satcost_gnn.features.spec import FeatureSpec, PreprocessLimits, PreprocessSettings
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.sources import FormulaSource
from satcost_gnn.learn.base import Estimator, Floats, TrainingTable
from satcost_gnn.learn.feature_matrix import FeatureMatrix
from satcost_gnn.learn.registry import make_estimator


def _are_formulas(X: Any) -> TypeGuard[Sequence[FormulaSource]]:
    """Whether an input is a list of files or formulas; anything else is taken for a matrix."""
    if isinstance(X, np.ndarray) and (X.ndim != 1 or X.dtype.kind not in "OU"):
        return False
    return (
        isinstance(X, list | tuple | np.ndarray)
        and len(X) > 0
        and all(isinstance(one, str | os.PathLike | Formula) for one in X)
    )


class CnfFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Features of CNFs, static and of the early search, as a matrix.

    Parameters
    ----------
    features
        ``both``; ``static``: of the formula alone, without a search; ``both+speed``: also how fast the search was on
        this machine, for costs in seconds.
    cache
        Directory in which preprocessed files are kept, so that cross-validation searches each of them once; None for
        none.
    jobs
        Files at a time.
    """

    def __init__(self, features: str = "both", cache: str | os.PathLike[str] | None = None, jobs: int = 1) -> None:
        self.features = features
        self.cache = cache
        self.jobs = jobs

    def fit(self, X: Any, y: Any = None) -> Self:
        """Do nothing: there is nothing to learn."""
        return self

    def transform(self, X: Any) -> Floats:
        """Return the features of files (paths) or formulas.

        Returns
        -------
        float64[n, n_features]
            NaN marks what is missing or undefined; the names of the columns are :meth:`get_feature_names_out`.

        Raises
        ------
        FormulaError
            If a file can't be read.
        """
        matrix = self._matrix(X)
        self.feature_names_ = np.array(matrix.names, dtype=object)
        return matrix.values

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the columns of what was transformed last."""
        check_is_fitted(self, "feature_names_")
        return np.asarray(self.feature_names_)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        return tags

    def _matrix(self, X: Any) -> FeatureMatrix:
        if not _are_formulas(X):
            raise ValueError(f"found {type(X).__name__}; expected a list of paths or formulas")
        search = self.features != "static"
        wanted = FeatureSpec() if search else FeatureSpec.structure()
        settings = PreprocessSettings(wanted, PreprocessLimits(graph_size_limit=0))
        with ExitStack() as stack:
            cache = self.cache or stack.enter_context(tempfile.TemporaryDirectory())
            instances = list(_instances(X, InstanceCache(Path(cache), settings), settings, self.jobs))
        return FeatureMatrix.from_instances(instances, self.features)


def _instances(
    sources: Sequence[FormulaSource], cache: InstanceCache, settings: PreprocessSettings, jobs: int
) -> Iterable[Instance]:
    """Return instances in the order of the sources; files are looked up in the cache by their bytes."""
    found: dict[int, Instance] = {}
    files: dict[str, Path] = {}
    names: dict[int, str] = {}
    for position, source in enumerate(sources):
        if isinstance(source, str | os.PathLike):
            try:
                digest = hashlib.blake2b(Path(source).read_bytes(), digest_size=16).hexdigest()
            except OSError as error:
                raise FormulaError(f"cannot be read ({error.strerror})", os.fspath(source)) from None
            names[position] = digest
            files[digest] = Path(source)
    if failed := cache.fill(files, jobs=jobs):
        raise FormulaError(failed[0].error, failed[0].path)
    others = [(position, source) for position, source in enumerate(sources) if position not in names]
    for item in preprocess_many(others, settings, jobs=jobs):
        if item is None:
            continue
        position, outcome = item
        if outcome.instance is None:
            raise FormulaError(outcome.error, outcome.path)
        found[position] = outcome.instance
    for position in range(len(sources)):
        known = found.get(position) or cache.get(names[position])
        if known is None:
            raise FormulaError("has changed while it was read; try again", str(sources[position]))
        yield known


class _FromFeatures(BaseEstimator):  # type: ignore[misc]
    """What regressor and selector share: an estimator of the package, fitted to files or to a matrix."""

    def __init__(
        self,
        estimator: str = "forest",
        unit: str = "conflicts",
        settings: dict[str, Any] | None = None,
        cache: str | os.PathLike[str] | None = None,
        jobs: int = 1,
    ) -> None:
        self.estimator = estimator
        self.unit = unit
        self.settings = settings
        self.cache = cache
        self.jobs = jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        return tags

    def _made(self) -> Estimator:
        try:
            return make_estimator(self.estimator, features="static", **(self.settings or {}))
        except EstimatorError as error:
            raise ValueError(
                f"{error}; expected forest, boosting, gaussian_process or knn, which read a table of features"
            ) from None

    def _checked(self, X: Any, *, fit: bool) -> list[Instance]:
        """Return rows of features as instances: what estimators read as static features is all that there is."""
        if _are_formulas(X):
            speed = "+speed" if self.unit == "cpu_seconds" else ""
            matrix = CnfFeatures(f"both{speed}", self.cache, self.jobs)._matrix(X)
            names, values = matrix.names, matrix.values
            if fit:
                self.n_features_in_ = len(names)
        else:
            values = validate_data(self, X, reset=fit, dtype=np.float64, ensure_all_finite="allow-nan")
            names = tuple(f"x{column}" for column in range(values.shape[1]))
        if fit:
            self.names_ = names
        elif names != self.names_:
            raise ValueError(
                f"found {len(names)} features such as {names[0]}, expected the {len(self.names_)} such as "
                f"{self.names_[0]} that it was fitted to; give files to both, or a matrix to both"
            )
        with np.errstate(over="ignore"):
            narrow = values.astype(np.float32)
        narrow[np.isinf(narrow)] = np.finfo(np.float32).max
        return [Instance("", "", FeatureVector(names, row)) for row in narrow]

    def _fitted(self, instances: list[Instance], cost: Floats, censored: Any, known: Any, solvers: Any) -> Estimator:
        n = len(instances)
        if n < 2:
            raise ValueError(f"found n_samples={n}; expected at least 2")
        table = TrainingTable(
            instances, tuple(solvers), self.unit, cost, censored, known, [""] * n, np.full(n, -1, dtype=np.int8)
        )
        try:
            return self._made().fit(table)
        except EstimatorError as error:
            raise ValueError(str(error)) from error


class SatCostRegressor(RegressorMixin, _FromFeatures):  # type: ignore[misc]
    """Regression of log10 of the cost of one solver, with the whole distribution.

    Parameters
    ----------
    estimator
        Name of an estimator that learns from a table of features: ``forest``, ``boosting``, ``gaussian_process`` or
        ``knn``.
    unit
        Of the cost: ``conflicts`` or ``cpu_seconds``.
    settings
        Further settings of the estimator.
    cache, jobs
        See :class:`CnfFeatures`.
    """

    def fit(self, X: Any, y: ArrayLike, censored: ArrayLike | None = None) -> Self:
        """Learn.

        Parameters
        ----------
        X
            Paths or formulas, or a matrix of features.
        y
            ``float64[n]``: log10 of the cost in the unit; for a run that a limit stopped, of the limit.
        censored
            ``bool[n]``: whether a limit stopped the run; None if none was.
        """
        if y is None:
            raise ValueError("This estimator requires y to be passed, but the target y is None")
        if _are_formulas(X):
            target = check_array(y, ensure_2d=False, dtype=np.float64)
            check_consistent_length(X, target)
        else:
            _, target = validate_data(self, X, y, y_numeric=True, dtype=np.float64, ensure_all_finite="allow-nan")
        instances = self._checked(X, fit=True)
        column = np.asarray(target, dtype=np.float64).reshape(-1, 1)
        stopped = np.zeros_like(column, dtype=bool) if censored is None else np.asarray(censored, bool).reshape(-1, 1)
        self.estimator_ = self._fitted(instances, column, stopped, np.ones_like(stopped), ("solver",))
        return self

    def predict(self, X: Any) -> Floats:
        """Return the mean of log10 of the cost: ``float64[n]``."""
        return np.asarray(self.predict_distribution(X).mean())

    def predict_distribution(self, X: Any) -> CostDistribution:
        """Return the distributions of the cost, of shape ``(n,)``."""
        check_is_fitted(self, "estimator_")
        return self.estimator_.predict(self._checked(X, fit=False))[:, 0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # On the toy data of scikit-learn's checks: costs are on a grid, so that others than costs are cut off.
        tags.regressor_tags.poor_score = True
        return tags


class SolverSelector(_FromFeatures):
    """Choice of a solver for each instance, by the least predicted PAR-k.

    Parameters
    ----------
    estimator, unit, settings, cache, jobs
        See :class:`SatCostRegressor`.
    solvers
        Names of the columns of the costs; None for their numbers.
    cutoff
        Limit of a run in the unit; None for the largest cost that was given.
    penalty
        The k of PAR-k: a run without an answer counts as so many times the cutoff.
    """

    def __init__(
        self,
        estimator: str = "forest",
        unit: str = "cpu_seconds",
        settings: dict[str, Any] | None = None,
        cache: str | os.PathLike[str] | None = None,
        jobs: int = 1,
        solvers: Sequence[str] | None = None,
        cutoff: float | None = None,
        penalty: float = 2.0,
    ) -> None:
        super().__init__(estimator, unit, settings, cache, jobs)
        self.solvers = solvers
        self.cutoff = cutoff
        self.penalty = penalty

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Learn.

        Parameters
        ----------
        X
            Paths or formulas, or a matrix of features.
        y
            ``float64[n, n_solvers]``: cost of each solver in the unit; infinite where it gave no answer within the
            cutoff, NaN where it wasn't run.
        """
        if y is None:
            raise ValueError("This estimator requires y to be passed, but the target y is None")
        if not _are_formulas(X):
            validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        check_consistent_length(X, y)
        costs = self._costs(y)
        solved = np.isfinite(costs)
        if not solved.any():
            raise ValueError("found no answer of any solver; there is nothing to learn from")
        self.cutoff_ = float(costs[solved].max() if self.cutoff is None else self.cutoff)
        names = [*self.solvers] if self.solvers is not None else [*map(str, range(costs.shape[1]))]
        if len(names) != costs.shape[1]:
            raise ValueError(f"found costs of {costs.shape[1]} solvers; expected {len(names)}, as there are names")
        self.classes_ = np.array(names) if self.solvers is not None else np.arange(len(names))
        instances = self._checked(X, fit=True)
        censored = ~np.isnan(costs) & ~(costs <= self.cutoff_)
        spent = np.where(censored, self.cutoff_, np.where(np.isnan(costs), 1.0, costs))
        log10 = np.log10(np.maximum(spent, 1e-6 if self.unit == "cpu_seconds" else 1.0))
        self.estimator_ = self._fitted(instances, log10, censored, ~np.isnan(costs), names)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the name of a solver for each instance; its column, if there are no names."""
        expected = self.predict_distribution(X).expected_par(self.penalty, self.cutoff_)
        return np.asarray(self.classes_[expected.argmin(axis=1)])

    def predict_distribution(self, X: Any) -> CostDistribution:
        """Return the distributions of the costs, of shape ``(n, n_solvers)``."""
        check_is_fitted(self, "estimator_")
        return self.estimator_.predict(self._checked(X, fit=False))

    def score(self, X: Any, y: ArrayLike) -> float:
        """Return minus the mean PAR-k of the chosen solvers, so that more is better; unknown runs don't count."""
        costs = self._costs(y)
        column = {name: number for number, name in enumerate(self.classes_.tolist())}
        picked = costs[np.arange(len(costs)), [column[name] for name in self.predict(X).tolist()]]
        par = np.where(picked <= self.cutoff_, picked, self.penalty * self.cutoff_)
        return -float(par[~np.isnan(picked)].mean())

    def _costs(self, y: ArrayLike) -> Floats:
        costs = np.asarray(y, dtype=np.float64)
        costs = costs.reshape(len(costs), -1)
        if (costs < 0).any():
            raise ValueError("found a negative cost; expected costs, not logarithms")
        return costs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.positive_only = True
        tags.target_tags.multi_output = True
        return tags
