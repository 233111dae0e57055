#!/usr/bin/env bash
# python-sat 1.9.dev24: what a spent conf_budget does to the next solve_limited() depends on the solver.
# minisat22, maplechrono, mergesat3: the next call returns None at once, with no further conflict.
# cadical153, cadical195, cadical300: the next call has no limit at all and runs to the answer.
# (Seen on Linux x86_64, CPython 3.11, with a random 3-SAT formula of 200 variables.)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check python-sat==1.9.dev24
"$work/venv/bin/python" - <<'PY'
import random

from pysat.solvers import Solver

draw = random.Random(3)
formula = [[v * draw.choice((1, -1)) for v in draw.sample(range(1, 201), 3)] for _ in range(880)]
seen = {}
for name in ("minisat22", "maplechrono", "mergesat3", "cadical153", "cadical195", "cadical300"):
    with Solver(name=name, bootstrap_with=formula) as solver:
        solver.conf_budget(500)
        assert solver.solve_limited() is None, name
        first = solver.accum_stats()["conflicts"]
        answer = solver.solve_limited()
        seen[name] = (answer, solver.accum_stats()["conflicts"] - first)
print("answer and conflicts of the second call, budget of 500 spent in the first:", seen)
assert all(seen[name] == (None, 0) for name in ("minisat22", "maplechrono", "mergesat3")), seen
assert all(seen[name][0] is not None and seen[name][1] > 1000 for name in ("cadical153", "cadical195", "cadical300")), seen
PY
