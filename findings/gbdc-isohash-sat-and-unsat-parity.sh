#!/usr/bin/env bash
# gbdc 0.4.3: isohash and isohash2 are equal for a satisfiable and an unsatisfiable formula.
# Tseitin's parity formula over the complete graph on five vertices: with all charges 0 it is satisfiable, with one charge
# of 1 it is not. Both have isohash ae0e78da8326c27f049175268bdf4d9a and isohash2 94abd6ab4a6d9321.
# (Hashes of degrees cannot tell them apart; so results must never be merged by these hashes.)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check gbdc==0.4.3 python-sat==1.9.dev24
"$work/venv/bin/python" - <<'PY'
import itertools
import pathlib
import tempfile

import gbdc
from pysat.solvers import Solver

edges = list(itertools.combinations(range(5), 2))


def parity(charges):
    clauses = []
    for vertex, charge in enumerate(charges):
        touching = [number for number, edge in enumerate(edges, 1) if vertex in edge]
        for values in itertools.product((0, 1), repeat=len(touching)):
            if sum(values) % 2 != charge:
                clauses.append([-v if value else v for v, value in zip(touching, values)])
    return clauses


found = []
with tempfile.TemporaryDirectory() as folder:
    for charges in ([0, 0, 0, 0, 0], [1, 0, 0, 0, 0]):
        clauses = parity(charges)
        path = pathlib.Path(folder, "f.cnf")
        lines = [" ".join(map(str, clause)) + " 0" for clause in clauses]
        path.write_text("\n".join([f"p cnf {len(edges)} {len(clauses)}", *lines]) + "\n")
        with Solver(name="cadical195", bootstrap_with=clauses) as solver:
            found.append((solver.solve(), gbdc.isohash(str(path)), gbdc.isohash2(str(path))))
print(found)
assert [answer for answer, *_ in found] == [True, False]
assert found[0][1:] == found[1][1:]
PY
