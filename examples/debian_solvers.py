"""Solve with Debian's cadical and minisat, scheduled by the checkpoint: `python examples/debian_solvers.py FILE`.

apt-get install cadical minisat
"""

import sys

from satcost_gnn.decide.run import PortfolioSolver, SolveSettings, programs_of
from satcost_gnn.serve.predictor import Predictor

PROGRAMS = ["cadical195=cadical {cnf}", "minisat22=minisat {cnf} {out}"]


def main(path: str, programs: list[str]) -> int:
    """Solve a file; return 10, 20 or 0 as SAT solvers do."""
    settings = SolveSettings(time_limit_s=300, programs=programs_of(programs))
    predictor = Predictor.from_checkpoint(unit="cpu_seconds", solvers=[text.partition("=")[0] for text in programs])
    with PortfolioSolver(predictor, settings) as solver:
        solution = solver.solve(path)
    if solution.schedule is not None:
        print("schedule:", ", ".join(f"{s.solver} {s.cpu_s:.3g} s" for core in solution.schedule.cores for s in core))
    for attempt in solution.attempts:
        print(f"{attempt.program}: {attempt.status} after {attempt.cpu_s:.2f} CPU seconds {attempt.detail}")
    print(solution.status, "by", solution.solver or "nobody")
    return solution.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], PROGRAMS))
