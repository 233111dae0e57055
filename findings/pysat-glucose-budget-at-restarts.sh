#!/usr/bin/env bash
# python-sat 1.9.dev24: conf_budget is looked at by the Glucose solvers only when they restart.
# Asked for 500 conflicts on a random 3-SAT formula of 250 variables: glucose3 and glucose4 make 7,559, glucose42 4,735;
# minisat22 501, mergesat3 500, cadical195 503 (seen on Linux x86_64, CPython 3.11).
# A run that was "limited to 500 conflicts" may be fifteen times as long.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check python-sat==1.9.dev24
"$work/venv/bin/python" - <<'PY'
import random

from pysat.solvers import Solver

draw = random.Random(1)
formula = [[v * draw.choice((1, -1)) for v in draw.sample(range(1, 251), 3)] for _ in range(1065)]
made = {}
for name in ("glucose3", "glucose4", "glucose42", "minisat22", "mergesat3", "cadical195"):
    with Solver(name=name, bootstrap_with=formula) as solver:
        solver.conf_budget(500)
        assert solver.solve_limited() is None, name
        made[name] = solver.accum_stats()["conflicts"]
print("conflicts made of 500 allowed:", made)
assert all(made[name] > 2000 for name in ("glucose3", "glucose4", "glucose42")), made
assert all(500 <= made[name] <= 510 for name in ("minisat22", "mergesat3", "cadical195")), made
PY
