#!/usr/bin/env bash
# python-sat 1.9.dev24: accum_stats() of Lingeling says 0 restarts whatever was made; other counters are right.
# A random 3-SAT formula of 220 variables: 64,898 conflicts, 74,858 decisions, 0 restarts (Linux x86_64, CPython 3.11).
# The maple solvers do the same with propagations (maplecm, maplesat: 0).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check python-sat==1.9.dev24
"$work/venv/bin/python" - <<'PY'
import random

from pysat.solvers import Solver

draw = random.Random(5)
formula = [[v * draw.choice((1, -1)) for v in draw.sample(range(1, 221), 3)] for _ in range(946)]
with Solver(name="lingeling", bootstrap_with=formula) as solver:
    solver.solve()
    lingeling = solver.accum_stats()
with Solver(name="maplecm", bootstrap_with=formula) as solver:
    solver.solve()
    maplecm = solver.accum_stats()
print("lingeling", lingeling, "maplecm", maplecm)
assert lingeling["conflicts"] > 10_000 and lingeling["restarts"] == 0
assert maplecm["conflicts"] > 1_000 and maplecm["propagations"] == 0
PY
