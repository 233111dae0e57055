"""Gradient boosting of hazards: trees that say, for each step of the cost grid, who of those who got there ends there.

A run is a row for each step that it entered ("person-period" data; Singer and Willett, "It's about time", Journal of
Educational Statistics 18, 1993): its features, the step, and whether it ended there. A censored run simply has no row
with an end, so that the likelihood of all rows is that of the censored data, and a classifier of rows is a model of the
hazard. The classifier is LightGBM's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from satcost_gnn.core.distribution import CostDistribution, CostGrid
from satcost_gnn.errors import EstimatorError, MissingPackageError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import Arrays, Bools, Estimator, Floats, Integers, TrainingTable, columns, register
from satcost_gnn.learn.feature_matrix import FeatureMatrix, feature_parts, features_for_unit


def lightgbm() -> Any:
    """Return the module; MissingPackageError if it isn't installed."""
    try:
        import lightgbm as module
    except (ImportError, OSError) as error:
        raise MissingPackageError(
            f"estimator 'boosting' needs LightGBM, which cannot be imported ({error}); "
            "install it with: pip install 'satcost-gnn[boosting]'"
        ) from None
    return module


@dataclass(frozen=True, eq=False)
class Periods:
    """Runs by the steps of the grid that they entered, a row each.

    Parameters
    ----------
    run, step
        ``int64[r]``: which run, and which step of the grid.
    ended
        ``bool[r]``: whether the run ended in it.
    weight
        ``float64[r]``: 1, but for the step in which a run was stopped: the share of it that had been seen by then.
    """

    run: Integers
    step: Integers
    ended: Bools
    weight: Floats

    @classmethod
    def of_runs(cls, grid: CostGrid, per_step: int, cost: Floats, censored: Bools) -> Periods:
        """Cut runs into steps of ``per_step`` bins, the first of them also holding what is below the grid."""
        steps = grid.bins // per_step
        width = grid.width * per_step
        last = np.minimum(grid.bin_of(cost) // per_step, steps - 1)
        # Runs beyond the grid have survived all of it.
        beyond = cost > grid.high
        share = np.clip((cost - (grid.low + last * width)) / width, 0.0, 1.0)
        run = np.repeat(np.arange(len(cost)), last + 1)
        step = np.arange(len(run)) - np.repeat(np.cumsum(last + 1) - (last + 1), last + 1)
        final = step == last[run]
        ended = final & ~censored[run] & ~beyond[run]
        weight = np.where(final & censored[run] & ~beyond[run], share[run], 1.0)
        kept = weight > 0
        return cls(run[kept], step[kept], ended[kept], weight[kept])


@dataclass(frozen=True, eq=False)
class HazardModel:
    """What is learnt of one solver.

    Parameters
    ----------
    first
        Step in which the first training run ended; before it the hazard is 0.
    base
        ``float64[steps]``: logit of the hazard over all training runs. Behind the last step that a run entered, that of
        this step.
    last
        That step; the trees are asked about it for all steps behind it.
    booster
        Trees whose sum is added to ``base``; None if there was nothing for them to tell apart.
    """

    first: int
    base: Floats
    last: int
    booster: Any | None

    def hazard(self, x: Floats) -> Floats:
        """Return ``float64[n, steps]`` of features ``float64[n, d]``."""
        n, steps = len(x), len(self.base)
        logit = np.broadcast_to(self.base, (n, steps)).copy()
        if self.booster is not None:
            asked = np.arange(self.first, self.last + 1)
            rows = np.concatenate(
                [np.repeat(x, len(asked), axis=0), np.tile(asked, n)[:, None].astype(np.float64)], axis=1
            )
            added = self.booster.predict(rows, raw_score=True, num_threads=1).reshape(n, len(asked))
            logit[:, self.first : self.last + 1] += added
            logit[:, self.last + 1 :] += added[:, -1:]
        hazard = 1.0 / (1.0 + np.exp(-np.clip(logit, -30.0, 30.0)))
        hazard[:, : self.first] = 0.0
        return np.asarray(hazard)


@register
class Boosting(Estimator):
    """Gradient boosting of discrete-time hazards on the shared cost grid.

    Parameters
    ----------
    features
        ``static``, ``online`` or ``both``. For a cost in seconds, the probe's speed joins the online ones.
    n_trees
        Trees for each solver.
    learning_rate
        What each tree adds of what it has found.
    leaves
        Leaves of a tree at most.
    min_leaf
        Least rows (steps of runs) in a leaf.
    max_features
        Share of the features tried in each tree.
    per_step
        Bins of the shared grid that make a step; the hazard is the same in all bins of one.
    seed
        Seed.

    Raises
    ------
    EstimatorError
        On fitting or loading if LightGBM isn't installed.

    Notes
    -----
    The trees add to the logit of the hazard over all training runs. Missing values go where LightGBM finds them best
    placed. Nothing is known behind the costliest training run: there, the hazard stays what it was.
    """

    name = "boosting"
    needs = frozenset({"static", "online"})

    def __init__(
        self,
        features: str = "both",
        n_trees: int = 150,
        learning_rate: float = 0.05,
        leaves: int = 8,
        min_leaf: int = 20,
        max_features: float = 0.3,
        per_step: int = 1,
        seed: int = 0,
    ) -> None:
        self.needs = frozenset(feature_parts(features))
        if n_trees < 1 or leaves < 2 or min_leaf < 1 or per_step < 1 or learning_rate <= 0 or not 0 < max_features <= 1:
            raise EstimatorError(
                f"found n_trees={n_trees}, learning_rate={learning_rate}, leaves={leaves}, min_leaf={min_leaf}, "
                f"max_features={max_features}, per_step={per_step}; expected n_trees >= 1, learning_rate > 0, "
                "leaves >= 2, min_leaf >= 1, 0 < max_features <= 1, per_step >= 1"
            )
        self.features, self.n_trees, self.learning_rate, self.leaves = features, n_trees, learning_rate, leaves
        self.min_leaf, self.max_features, self.per_step, self.seed = min_leaf, max_features, per_step, seed

    def _fit(self, table: TrainingTable) -> None:
        if table.grid.bins % self.per_step:
            raise EstimatorError(
                f"found steps of {self.per_step} bins; expected a divisor of the {table.grid.bins} bins of the grid"
            )
        matrix = FeatureMatrix.from_instances(table.instances, features_for_unit(self.features, self.unit))
        self._names = matrix.names
        self._models = [
            self._fit_solver(matrix.values[known], table.cost[known, k], table.censored[known, k])
            for k in range(len(table.solvers))
            for known in [table.known[:, k]]
        ]

    def _fit_solver(self, x: Floats, cost: Floats, censored: Bools) -> HazardModel:
        steps = self.grid.bins // self.per_step
        periods = Periods.of_runs(self.grid, self.per_step, cost, censored)
        ends = np.bincount(periods.step[periods.ended], minlength=steps).astype(np.float64)
        entered = np.bincount(periods.step, weights=periods.weight, minlength=steps)
        if not ends.any():
            return HazardModel(steps, np.zeros(steps), steps - 1, None)
        first, last = int(np.flatnonzero(ends)[0]), int(np.flatnonzero(entered)[-1])
        # Half an end and half a survivor more, so that no hazard is 0 or 1.
        rate = (ends + 0.5) / (entered + 1.0)
        rate[last + 1 :] = rate[last]
        base = np.log(rate / (1.0 - rate))
        asked = periods.step >= first
        run, step, ended, weight = (part[asked] for part in (periods.run, periods.step, periods.ended, periods.weight))
        if ended.all():
            return HazardModel(first, base, last, None)
        module = lightgbm()
        rows = np.concatenate([x[run], step[:, None].astype(np.float64)], axis=1)
        data = module.Dataset(
            rows,
            label=ended.astype(np.float64),
            weight=weight,
            init_score=base[step],
            params={"verbosity": -1, "max_bin": 63, "min_data_in_bin": 3},
            free_raw_data=True,
        )
        booster = module.train(
            {
                "objective": "binary",
                "boost_from_average": False,
                "learning_rate": self.learning_rate,
                "num_leaves": self.leaves,
                "min_data_in_leaf": self.min_leaf,
                "feature_fraction": self.max_features,
                "lambda_l2": 1.0,
                "seed": self.seed,
                "deterministic": True,
                "force_row_wise": True,
                "num_threads": 1,
                "verbosity": -1,
            },
            data,
            num_boost_round=self.n_trees,
        )
        # As it will be read back from a file.
        return HazardModel(first, base, last, module.Booster(model_str=booster.model_to_string()))

    def _predict(self, instances: list[Instance]) -> CostDistribution:
        x = FeatureMatrix.from_instances(instances, features_for_unit(self.features, self.unit), self._names).values
        found = []
        for model in self._models:
            survives = (1.0 - model.hazard(x)) ** (1.0 / self.per_step)
            found.append(CostDistribution.from_hazard(self.grid, np.repeat(1.0 - survives, self.per_step, axis=1)))
        return columns(found)

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        models, arrays = [], {}
        for k, model in enumerate(self._models):
            models.append({"first": model.first, "last": model.last, "base": model.base.tolist()})
            if model.booster is not None:
                # LightGBM's own text, which compresses to a tenth.
                arrays[f"trees{k}"] = np.frombuffer(model.booster.model_to_string().encode(), dtype=np.uint8)
        return {"names": list(self._names), "models": models}, arrays

    def _restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        self._names = tuple(state["names"])
        steps = self.grid.bins // self.per_step
        self._models = []
        for k, values in enumerate(state["models"]):
            booster = None
            if f"trees{k}" in arrays:
                module = lightgbm()
                try:
                    booster = module.Booster(model_str=arrays[f"trees{k}"].tobytes().decode())
                except module.basic.LightGBMError as error:
                    raise ValueError(f"the trees cannot be read: {error}") from None
                if booster.num_feature() != len(self._names) + 1:
                    raise ValueError(f"found trees on {booster.num_feature()} columns; expected {len(self._names) + 1}")
            base = np.array(values["base"], dtype=np.float64)
            if base.shape != (steps,) or not -1 < int(values["last"]) < steps:
                raise ValueError(f"found hazards for {len(base)} steps; expected {steps}")
            self._models.append(HazardModel(int(values["first"]), base, int(values["last"]), booster))
        if len(self._models) != len(self.solvers):
            raise ValueError(f"found {len(self._models)} models for {len(self.solvers)} solvers")
