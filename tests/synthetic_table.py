"""Synthetic instances whose cost is known to depend on their features, for the tests of the estimators."""

from __future__ import annotations

import numpy as np

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.base import TrainingTable

STATIC = ("vars_log", "clauses_log", "literals_log", "clause_var_ratio_log", "noise_a", "noise_b", "constant")
ONLINE = (
    "tree.wbe_longest",
    "tree.recursive_mean",
    "rates.propagations_per_conflict_log",
    "rates.level",
    "noise_c",
    "rates.conflicts_log",
    "progress.last",
    "tree.holt_max",
    "knuth.log2_mean",
)
SOLVERS = ("cadical195", "glucose42")


def make_instances(n, seed=0, missing=0.0):
    """Return instances and two hidden numbers of each: its size and the depth of its search."""
    rng = np.random.default_rng(seed)
    size, depth = rng.normal(size=n), rng.normal(size=n)
    static = np.stack(
        [
            7 + size,
            8 + size + 0.2 * rng.normal(size=n),
            9 + size + 0.1 * rng.normal(size=n),
            1 + 0.3 * rng.normal(size=n),
            rng.normal(size=n),
            rng.normal(size=n),
            np.full(n, 3.0),
        ],
        axis=1,
    )
    online = np.stack(
        [
            12 + 4 * depth + rng.normal(size=n),
            14 + 4 * depth + 3 * rng.normal(size=n),
            np.full(n, 5.0) + 0.5 * rng.normal(size=n),
            np.exp(2 * depth),
            rng.normal(size=n),
        ],
        axis=1,
    )
    online[rng.random(online.shape) < missing] = np.nan
    # By a generator of their own, so that the numbers above are what they were before these came.
    more = np.random.default_rng(seed + 5000)
    estimates = np.stack(
        [
            np.full(n, np.log1p(2000.0)),
            -3 - 2 * more.random(n),
            # A forecast is seldom to be had.
            np.where(more.random(n) < 0.9, np.nan, 12.0),
            20 + 8 * more.normal(size=n),
        ],
        axis=1,
    )
    online = np.concatenate([online, estimates], axis=1)
    instances = [
        Instance(
            path=f"{k}.cnf",
            gbdhash=f"{seed:04x}{k:06x}",
            static=FeatureVector(STATIC, static[k].astype(np.float32)),
            online=FeatureVector(ONLINE, online[k].astype(np.float32)),
        )
        for k in range(n)
    ]
    return instances, size, depth


def make_table(n=150, seed=0, *, noise=0.2, cutoff=np.inf, missing=0.0, absent=0.0, unit="conflicts", families=6):
    """Return a table of two solvers: log10 cost 4 + 0.5 size + 0.8 depth, the second solver half a decade slower."""
    instances, size, depth = make_instances(n, seed, missing)
    rng = np.random.default_rng(seed + 1000)
    base = 4 + 0.5 * size + 0.8 * depth
    cost = np.stack([base, base + 0.5], axis=1) + noise * rng.normal(size=(n, 2))
    censored = cost > cutoff
    known = rng.random((n, 2)) >= absent
    satisfiable = np.where(rng.random(n) < 0.2, -1, (size > 0).astype(int))
    groups = [f"family{k % families}" for k in range(n)]
    bound = np.where(known, np.minimum(cost, cutoff), np.nan)
    limit_s = np.where(np.arange(n) % 2, 5000.0, 10.0)
    return TrainingTable(instances, SOLVERS, unit, bound, censored & known, known, groups, satisfiable, limit_s)


def true_mean(n, seed):
    """Return the mean of log10 cost of the instances that :func:`make_table` makes, ``float64[n, 2]``."""
    _, size, depth = make_instances(n, seed)
    base = 4 + 0.5 * size + 0.8 * depth
    return np.stack([base, base + 0.5], axis=1)


def rmse(distribution, truth):
    """Return the root mean squared difference of the predicted means and the truth."""
    return float(np.sqrt(np.mean((distribution.mean() - truth) ** 2)))
