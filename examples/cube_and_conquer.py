"""Cube and conquer: split on a few variables, predict every cube, conquer the hardest first.

    python examples/cube_and_conquer.py FILE [DEPTH]

The split is a plain one, on the variables that occur most; put your own look-ahead splitter's cubes in its place.
"""

import itertools
import sys
from collections import Counter
from collections.abc import Sequence

from pysat.solvers import Solver

from satcost_gnn.decide.cubes import hardest_first, predict_cubes, to_split, total_of
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.serve.predictor import Predictor

SOLVER = "cadical195"


def split(clauses: list[list[int]], depth: int) -> list[tuple[int, ...]]:
    """Return the cubes of all signs of the variables that occur most."""
    often = Counter(abs(literal) for clause in clauses for literal in clause).most_common(depth)
    return list(itertools.product(*((variable, -variable) for variable, _ in often)))


def conquer(clauses: list[list[int]], cube: Sequence[int]) -> tuple[bool, int]:
    """Return whether the cube is satisfiable, and the conflicts that it took."""
    with Solver(SOLVER, bootstrap_with=[*clauses, *([literal] for literal in cube)]) as solver:
        return bool(solver.solve()), int(solver.accum_stats()["conflicts"])


if __name__ == "__main__":
    formula = read_dimacs(sys.argv[1])
    clauses = formula.clauses()
    cubes = split(clauses, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
    with Predictor.from_checkpoint(unit="conflicts", solvers=[SOLVER]) as predictor:
        predicted = predict_cubes(formula, cubes, predictor, SOLVER)
    total = total_of(predicted)
    print(f"{len(cubes)} cubes, predicted {total.median:.0f} conflicts (80 %: {total.low:.0f} to {total.high:.0f})")
    print("to be cut further:", [cubes[number] for number in to_split(predicted)] or "none")
    spent = 0
    for number in hardest_first(predicted):
        satisfiable, conflicts = conquer(clauses, cubes[number])
        spent += conflicts
        print(f"{cubes[number]}: predicted {predicted[number].size:.0f}, took {conflicts}")
        if satisfiable:
            print(f"satisfiable, after {spent} conflicts")
            break
    else:
        print(f"unsatisfiable, after {spent} conflicts")
