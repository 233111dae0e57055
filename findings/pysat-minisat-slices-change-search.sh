#!/usr/bin/env bash
# python-sat 1.9.dev24: minisat22 run in slices of conf_budget is another search, many times as long; glucose42 is not.
# A random 3-SAT formula of 200 variables: 22,567 conflicts in one call; in slices of 100 there is no answer after
# 200,000. glucose42 makes the same 21,018 conflicts either way (seen on Linux x86_64, CPython 3.11).
# A time limit that is kept by asking for a few conflicts at a time changes what is measured.
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


def conflicts(name, slice_, most):
    with Solver(name=name, bootstrap_with=formula) as solver:
        if slice_ is None:
            return solver.solve(), solver.accum_stats()["conflicts"]
        answer = None
        while answer is None and solver.accum_stats()["conflicts"] < most:
            solver.conf_budget(slice_)
            answer = solver.solve_limited()
        return answer, solver.accum_stats()["conflicts"]


for name in ("minisat22", "glucose42"):
    print(name, "in one call:", conflicts(name, None, 0), "in slices of 100:", conflicts(name, 100, 200_000))
whole = conflicts("minisat22", None, 0)
assert whole[0] is False and whole[1] < 30_000, whole
assert conflicts("minisat22", 100, 200_000)[0] is None
assert conflicts("glucose42", None, 0) == conflicts("glucose42", 100, 200_000)
PY
