"""Instances of a wished-for cost: search a family's size parameter against runs of a quick solver.

Costs of one size scatter over a decade or more, so that a plain bisection wanders. Each trial is therefore kept as a
point (size, log10 cost); the next size is interpolated between the points next to the wish, and every trial that
happens to hit another open wish counts for that one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf, log10
from typing import NamedTuple, TypeAlias

from satcost_gnn.data.generate.base import Family, Value
from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.random_stream import Draws
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.solver_run import run_solver

Cost: TypeAlias = Callable[[Formula], "float | None"]


@contextmanager
def conflict_cost(limit: int, cpu_s: float = 100.0) -> Iterator[Cost]:
    """Give the conflicts that cadical195 needs as a cost, counted in a limited child; None over the limit.

    Parameters
    ----------
    limit
        Largest number of conflicts.
    cpu_s
        CPU seconds after which a run counts as over the limit. A run stopped by it depends on the machine; with a
        limit of conflicts reached first, the costs do not.
    """
    with Sandbox() as sandbox:

        def cost(formula: Formula) -> float | None:
            run = run_solver(sandbox, "cadical195", formula, cpu_s=cpu_s, memory_mb=4096, conflicts=limit)
            return float(run.conflicts) if run.status in ("SAT", "UNSAT") and run.conflicts is not None else None

        yield cost


class Tuned(NamedTuple):
    """An instance found for a wish, its cost as measured, and the runs of the cost function so far, this included."""

    formula: Formula
    cost: float
    runs: int


@dataclass
class _Search:
    """Trials of one family with its other parameters fixed, and the next size to try."""

    family: Family
    params: Mapping[str, Value]
    draws: Draws
    points: list[tuple[float, float]] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    misses: int = 0

    def clip(self, size: float) -> float:
        low, high = self.family.size_range
        size = min(max(size, low), high)
        if self.family.parameter(self.family.size_parameter).type is int:
            # Rounded at random, so that integer sizes on both sides of the wish are tried.
            size = min(max(int(size + float(self.draws.uniform(1)[0])), low), high)
        return size

    def propose(self, wish: float) -> float:
        """Return a size whose log10 cost may be ``wish``."""
        low, high = self.family.size_range
        if not self.points:
            return self.clip(low)
        under = [(size, cost) for size, cost in self.points if cost <= wish]
        over = [(size, cost) for size, cost in self.points if cost > wish]
        wobble = float(self.draws.uniform(1)[0])
        if not over:
            top, cost = max(under)
            # Small steps near the wish: the cost often grows exponentially with the size.
            factor = 0.5 if wish - cost > 1.5 else 0.15 + 0.1 * wobble
            step = max(abs(top) * factor, 1.0 if high - low > 2 else (high - low) / 10)
            return self.clip(top + step)
        if not under:
            bottom, _ = min(over)
            return self.clip(bottom - max(abs(bottom) * (0.1 + 0.2 * wobble), 1.0))
        (left, left_cost), (right, right_cost) = max(under), min(over)
        if left < right:
            # Over the limit: nobody knows how far; half the distance.
            share = 0.5 if right_cost == inf else (wish - left_cost) / (right_cost - left_cost)
            return self.clip(left + (right - left) * (0.8 * share + 0.2 * wobble))
        # The scatter is wider than the distance between sizes (or the cost falls again beyond a peak): try again
        # near the size that came closest.
        closest = min(self.points, key=lambda point: abs(point[1] - wish))[0]
        return self.clip(closest * (0.94 + 0.12 * wobble))

    def attempt(self, size: float, cost: Cost) -> tuple[Formula, float] | None:
        """Generate one instance and return it and its cost (inf over the limit); None if it cannot be had anew."""
        seed = self.draws.integer(32)
        integer = self.family.parameter(self.family.size_parameter).type is int
        try:
            formula = self.family.generate(
                seed, **{**self.params, self.family.size_parameter: int(size) if integer else size}
            )
        except ConfigError:
            # Sizes that do not fit the other parameters (an odd number of vertices of odd degree) are passed over.
            self.misses += 1
            finite = [point for point in self.points if point[1] < inf and size > self.family.size_range[0]]
            guess = min(finite, key=lambda point: abs(point[0] - size))[1] if finite else 0.0
            self.points.append((size, guess))
            return None
        digest = hashlib.sha256(formula.to_dimacs().encode()).hexdigest()
        if digest in self.texts:
            self.misses += 1
            return None
        self.texts.add(digest)
        measured = cost(formula)
        self.points.append((size, inf if measured is None else log10(max(measured, 1.0))))
        return formula, inf if measured is None else measured


def spread(
    family: Family,
    low: float,
    high: float,
    count: int,
    seed: int,
    cost: Cost,
    *,
    params: Mapping[str, Value],
) -> Iterator[Tuned]:
    """Yield up to ``count`` instances whose log costs are spread evenly over ``low .. high``.

    The range is cut into ``count`` slices that are equally wide in log cost, and each is to hold one instance.
    Instances come as they are found, cheap ones first on the whole; the cost function alone decides whether a second
    run gives the same ones. What is missing is given up after ``20 + 12 * count`` runs of it: fewer than ``count`` come
    back when sizes have too coarse an effect.

    Parameters
    ----------
    family
        What to generate.
    low, high
        Range in the unit of ``cost``.
    count
        Instances wanted.
    seed
        Of all choices.
    cost
        Cost of a formula, or None if over its limit (which should lie above ``high``).
    params
        Fixed parameters; those that are missing take turns over the family's variants.

    Raises
    ------
    ConfigError
        If the range is empty, or a parameter is unknown, out of bounds, or the size parameter itself.
    """
    if not 1 <= low < high < inf:
        raise ConfigError(f"{family.name}: target cost: found {low:g}..{high:g}, expected 1 <= LOW < HIGH")
    if family.size_parameter in params:
        raise ConfigError(
            f"{family.name}: {family.size_parameter} is what a target cost tunes; give it no value, or no target"
        )
    family.resolve(params)
    draws = Draws(seed, f"target-cost-{family.name}")
    variants = [{**variant, **params} for variant in family.variants]
    # Parameters given by the caller can make variants alike.
    searches = [_Search(family, variant, draws) for i, variant in enumerate(variants) if variant not in variants[:i]]
    bottom, width = log10(low), (log10(high) - log10(low)) / count
    open_ = list(range(count))
    runs, turn, fruitless = 0, draws.one_below(len(searches)), 0
    while open_ and runs < 20 + 12 * count and searches:
        search = searches[turn % len(searches)]
        # The cheapest open slice first; one that no size seems to hit must not hold up the others.
        place = open_[fruitless % len(open_)]
        result = search.attempt(search.propose(bottom + width * (place + float(draws.uniform(1)[0]))), cost)
        if result is None:
            if search.misses > 20 + 2 * count:
                searches.remove(search)
            fruitless += 1
            continue
        runs += 1
        formula, measured = result
        hit = min(int((log10(measured) - bottom) / width), count - 1) if low <= measured <= high else -1
        if hit in open_:
            open_.remove(hit)
            # Variants take turns by hits, since each has to find its range of sizes first.
            turn, fruitless = turn + 1, 0
            yield Tuned(formula, measured, runs)
            continue
        fruitless += 1
        if len(search.points) > 30 and not any(bottom <= point[1] <= log10(high) for point in search.points):
            searches.remove(search)
        elif fruitless % 12 == 0:
            turn += 1
