"""Random formulas, traces and labelled instances with graphs, for the tests of the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.features.instance import Instance
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.graph import clause_variable_graph
from satcost_gnn.learn.base import TrainingTable
from satcost_gnn.search.trace import UNKNOWN, Trace

STATIC = ("size", "ratio", "constant")
ONLINE = ("depth", "noise")
SOLVERS = ("cadical195", "glucose42")
#: A network that is trained in seconds.
SMALL_MODEL = {
    "width": 8,
    "heads": 2,
    "rounds": 2,
    "mean_channels": 4,
    "extreme_channels": 2,
    "fused_width": 16,
    "fused_members": 3,
}


def random_formula(rng, n_vars=20, n_clauses=60, longest=4):
    """Return a formula of random clauses over distinct variables."""
    clauses = []
    for _ in range(n_clauses):
        variables = rng.choice(n_vars, size=rng.integers(1, longest + 1), replace=False) + 1
        clauses.append((variables * rng.choice([-1, 1], size=len(variables))).tolist())
    return Formula.from_clauses(clauses, n_vars)


def random_trace(rng, n_vars, conflicts=50, sampled=0.8):
    """Return a trace with random counts for most of the variables."""
    level = rng.integers(1, 9, size=conflicts)
    backjump = rng.integers(0, level)
    observed = rng.random(n_vars) < sampled
    assigned = rng.integers(0, 100, size=n_vars)
    learnt = rng.integers(0, 40, size=n_vars)

    def counts(values):
        return np.where(observed, values, -1)

    return Trace(
        n_vars=n_vars,
        n_active=n_vars,
        level=level,
        backjump=backjump,
        trail=rng.integers(0, n_vars + 1, size=conflicts),
        undone=np.zeros(conflicts),
        decisions=np.cumsum(rng.integers(1, 5, size=conflicts)),
        restart=np.zeros(conflicts, dtype=bool),
        assigned_since=rng.integers(1, 50, size=conflicts),
        fixed=np.zeros(conflicts),
        progress=np.full(conflicts, 0.1),
        learnt_length=rng.integers(1, 20, size=conflicts),
        events=backjump,
        assigned=counts(assigned),
        decided=counts(rng.integers(0, assigned + 1)),
        flips=counts(rng.integers(0, assigned + 1)),
        positive=counts(rng.integers(0, assigned + 1)),
        learnt=learnt,
        learnt_positive=rng.integers(0, learnt + 1),
        observed=observed,
    )


def first_conflicts(trace, count):
    """Return a trace's first conflicts, of which counts per variable and the solver's totals are not known."""
    per_conflict = ("level", "backjump", "trail", "undone", "decisions", "restart", "assigned_since", "fixed")
    parts = {name: getattr(trace, name)[:count] for name in (*per_conflict, "progress", "learnt_length")}
    per_variable = ("assigned", "decided", "flips", "positive", "learnt", "learnt_positive")
    parts |= dict.fromkeys(per_variable, np.full(trace.n_vars, UNKNOWN, dtype=np.int32))
    end = int(np.flatnonzero(trace.events >= 0)[count - 1]) + 1 if count else 0
    unseen = np.zeros(trace.n_vars, dtype=bool)
    return replace(trace, **parts, events=trace.events[:end], observed=unseen, propagations=UNKNOWN, restarts=UNKNOWN)


def renamed_and_shuffled(rng, formula, trace=None):
    """Return the formula with variables renamed, and clauses and literals in another order; the trace renamed too."""
    order = rng.permutation(formula.n_vars)
    clauses = [
        [int(np.sign(lit)) * (int(order[abs(lit) - 1]) + 1) for lit in rng.permutation(clause)]
        for clause in formula.clauses()
    ]
    other = Formula.from_clauses([clauses[i] for i in rng.permutation(len(clauses))], formula.n_vars)
    if trace is None:
        return other, None
    values = dict(vars(trace))
    for name in ("assigned", "decided", "flips", "positive", "learnt", "learnt_positive", "observed"):
        moved = np.empty_like(values[name])
        moved[order] = values[name]
        values[name] = moved
    return other, Trace(**values)


def make_instance(rng, number, n_clauses=None):
    """Return an instance with a graph; its features are its size and noise."""
    n_vars = int(rng.integers(8, 30))
    formula = random_formula(rng, n_vars, n_clauses or int(rng.integers(2, 6) * n_vars))
    depth, noise = rng.normal(size=2)
    return Instance(
        path=f"{number}.cnf",
        gbdhash=f"{number:032x}",
        static=FeatureVector(STATIC, np.array([n_vars, formula.n_clauses / n_vars, 3.0])),
        online=FeatureVector(ONLINE, np.array([depth, noise])),
        graph=clause_variable_graph(formula, random_trace(rng, n_vars)),
    )


def make_graph_table(n=8, seed=0, unit="conflicts", families=2, noise=0.0):
    """Return a table whose cost depends on the features; the second solver is half a decade slower, a run censored."""
    rng = np.random.default_rng(seed)
    instances = [make_instance(rng, 1000 * seed + k) for k in range(n)]
    depth = np.array([instance.online["depth"] for instance in instances])
    ratio = np.array([instance.static["ratio"] for instance in instances])
    base = 3.5 + 0.8 * depth + 0.3 * (ratio - 3.5) + noise * rng.normal(size=n)
    cost = np.clip(np.stack([base, base + 0.5], axis=1), 0.3, 7.5)
    if unit == "cpu_seconds":
        cost = cost - 4
    censored = np.zeros((n, 2), dtype=bool)
    censored[0, 1] = True
    known = np.ones((n, 2), dtype=bool)
    known[-1, 0] = False
    groups = [f"family{k % families}" for k in range(n)]
    return TrainingTable(instances, SOLVERS, unit, cost, censored, known, groups, np.full(n, -1))
