"""Random dives from the root of a search tree: Knuth's estimate of its size.

Knuth ("Estimating the efficiency of backtrack programs", Mathematics of Computation 29, 1975): a path down a tree that
takes each child with equal probability and meets nodes of degrees ``d1, d2, ...`` gives ``1 + d1 + d1 d2 + ...``
nodes, whose expectation is the size of the tree. Here the tree is that of DPLL with unit propagation, which branches on
the first unassigned variable of a fixed order: by occurrences, each weighted ``2^-length of the clause`` (Jeroslow and
Wang, 1990). Every node has two children, so a dive of depth ``d`` gives ``2^(d + 1) - 1``.

A solver's own unit propagation does the work, under the dive's decisions as assumptions. The budget counts literals,
never seconds, so that the same formula and settings give the same dives on any machine.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.formula.cnf import Formula
from satcost_gnn.search.loading import open_solver

DIVES_VERSION = "1"
"""Changes whenever the same settings would give other dives."""

_SOLVER = "minisat22"
# Literals that a call of the solver costs beside those that it propagates.
_WORK_OF_A_CALL = 60
# Seconds of CPU time after which no further call is made, whatever the budget.
_BACKSTOP_S = 5.0


@dataclass(frozen=True)
class DiveSettings:
    """How many random dives to make, and what they may cost.

    Parameters
    ----------
    max_work
        Literals propagated, over all dives, after which no further call of the solver is made, and no dive begun that
        would get there; each decision propagates all decisions before it again. A million is about a tenth of a second.
    max_literals
        Literal occurrences of a formula beyond which no dive is made, for handing it to the solver alone would take too
        long.
    """

    dives: int = 32
    max_work: int = 600_000
    max_literals: int = 300_000
    seed: int = 0

    def key(self) -> str:
        """Return a string that changes with anything that may change the result: for keys of caches."""
        return f"dives{DIVES_VERSION}-n{self.dives}-w{self.max_work}-l{self.max_literals}-s{self.seed}"


@dataclass(frozen=True, eq=False)
class Dives:
    """What random dives found.

    Parameters
    ----------
    n_active
        Variables that occur in some clause.
    depth
        ``int32[D]``: decisions of each dive.
    conflict, model
        ``bool[D]``: whether it ended in a conflict, or in an assignment of all variables; neither where the budget cut
        it short.
    assigned
        ``int64[D]``: literals assigned at its end, without those known from the start.
    seconds
        Wall seconds that it took, loading included.
    """

    n_active: int
    depth: NDArray[np.int32]
    conflict: NDArray[np.bool_]
    model: NDArray[np.bool_]
    assigned: NDArray[np.int64]
    seconds: float = 0.0

    @property
    def log2_nodes(self) -> NDArray[np.float64]:
        """``float64[D]``: log2 of the tree's nodes that each dive estimates."""
        depth = self.depth.astype(np.float64)
        return np.asarray(depth + 1.0 + np.log1p(-(2.0 ** -(depth + 1.0))) / np.log(2.0))


def branching_order(formula: Formula) -> NDArray[np.int64]:
    """Return the variables that occur, by decreasing weighted occurrences, equal ones in ascending order."""
    lengths = np.repeat(formula.clause_lengths, formula.clause_lengths)
    # Beyond a length of 64 all clauses weigh next to nothing.
    weights = 2.0 ** -np.minimum(lengths, 64).astype(np.float64)
    variables, number = np.unique(np.abs(formula.literals), return_inverse=True)
    weight = np.bincount(number, weights=weights, minlength=len(variables))
    ordered: NDArray[np.int64] = variables[np.argsort(-weight, kind="stable")].astype(np.int64)
    return ordered


def random_dives(formula: Formula, settings: DiveSettings | None = None) -> Dives | None:
    """Dive from the root of a formula's search tree; None for a formula beyond the limit on literals.

    The solver is C++ in this process: call it in a sandboxed child.
    """
    settings = settings or DiveSettings()
    if formula.n_literals > settings.max_literals:
        return None
    begin, cpu_begin = time.perf_counter(), time.process_time()
    order = branching_order(formula).tolist()
    generator = random.Random(settings.seed)
    depths: list[int] = []
    ends: list[str] = []
    assigned: list[int] = []
    # Variables fixed by propagation from the start; the solver tells of them only when asked to assume one.
    fixed: set[int] = set()
    work = 0
    with open_solver(_SOLVER, formula) as solver:
        # No dive begins that would probably be cut short: what it had reached says little of its leaf.
        while len(depths) < settings.dives and work + work / max(len(depths), 1) <= settings.max_work:
            signs = generator.randbytes(len(order))
            decisions: list[int] = []
            end, known, next_one = "", 0, 0
            on_trail: set[int] = set()
            while work <= settings.max_work and time.process_time() - cpu_begin < _BACKSTOP_S:
                sound, trail = solver.propagate(assumptions=decisions)
                work += len(trail) + _WORK_OF_A_CALL
                # The trail of one decision less is where it begins.
                on_trail.update(map(abs, trail[known:]))
                known = len(trail)
                if decisions and abs(decisions[-1]) not in on_trail:
                    fixed.add(abs(decisions.pop()))
                elif not sound:
                    end = "conflict"
                    break
                while next_one < len(order) and (order[next_one] in on_trail or order[next_one] in fixed):
                    next_one += 1
                if next_one == len(order):
                    end = "model"
                    break
                decisions.append(order[next_one] if signs[next_one] & 1 else -order[next_one])
            depths.append(len(decisions))
            ends.append(end)
            assigned.append(known)
    return Dives(
        n_active=len(order),
        depth=np.array(depths, dtype=np.int32),
        conflict=np.array([end == "conflict" for end in ends], dtype=bool),
        model=np.array([end == "model" for end in ends], dtype=bool),
        assigned=np.array(assigned, dtype=np.int64),
        seconds=time.perf_counter() - begin,
    )
