"""Conflicts of a solver without and with predicted phases: `python examples/predicted_phases.py FILE...`."""

import sys

from pysat.solvers import Solver

from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.serve.phases import PhasePredictor


def conflicts(clauses: list[list[int]], phases: list[int]) -> int:
    """Return how many conflicts MiniSat takes when it tries these values first."""
    with Solver("minisat22", bootstrap_with=clauses) as solver:
        solver.set_phases(phases)
        solver.solve()
        return int(solver.accum_stats()["conflicts"])


if __name__ == "__main__":
    with PhasePredictor.from_checkpoint() as predictor:
        for path in sys.argv[1:]:
            formula = read_dimacs(path)
            phases = predictor.predict(formula).literals().tolist()
            without, guided = conflicts(formula.clauses(), []), conflicts(formula.clauses(), phases)
            print(path, without, guided)
