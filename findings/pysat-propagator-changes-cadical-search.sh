#!/usr/bin/env bash
# python-sat 1.9.dev24, CaDiCaL 1.9.5: connecting a propagator that does nothing changes the search, not only the time.
# 13 pigeons in 13 holes: 0 conflicts without it, 10,005 with it (seen on Linux x86_64, CPython 3.11).
# CaDiCaL's first phase, which tries a few simple assignments ("lucky phases"), is left out once a propagator is connected.
# So conflicts counted with a listener are not those of the plain solver.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check python-sat==1.9.dev24
"$work/venv/bin/python" - <<'PY'
from pysat.engines import Propagator
from pysat.solvers import Solver


class Listener(Propagator):
    def on_assignment(self, lit, fixed): pass
    def on_new_level(self): pass
    def on_backtrack(self, to): pass
    def check_model(self, model): return True
    def decide(self): return 0
    def propagate(self): return []
    def provide_reason(self, lit): return []
    def add_clause(self): return []


def pigeons(n):
    var = lambda p, h: p * n + h + 1
    clauses = [[var(p, h) for h in range(n)] for p in range(n)]
    return clauses + [[-var(p, h), -var(q, h)] for h in range(n) for p in range(n) for q in range(p)]


counts = []
for listen in (False, True):
    with Solver(name="cadical195", bootstrap_with=pigeons(13)) as solver:
        if listen:
            solver.connect_propagator(Listener())
        assert solver.solve() is True
        counts.append(solver.accum_stats()["conflicts"])
print("conflicts without and with a propagator:", counts)
assert counts[0] == 0 and counts[1] > 1000, counts
PY
