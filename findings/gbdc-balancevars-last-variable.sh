#!/usr/bin/env bash
# gbdc 0.4.3: the features balancevars_* leave out the variable with the largest number.
# Clauses (1 2) (-1 3) (-3 -2 1): the smaller over the larger of a variable's two numbers of occurrences is 1/2, 1 and 1.
# The mean is .833; extract_base_features says .75, the mean of the first two. Renaming variables changes the feature.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check gbdc==0.4.3
"$work/venv/bin/python" - <<'PY'
import pathlib
import tempfile

import gbdc


def feature(clauses, variables):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "f.cnf")
        lines = [" ".join(map(str, clause)) + " 0" for clause in clauses]
        path.write_text("\n".join([f"p cnf {variables} {len(clauses)}", *lines]) + "\n")
        found = gbdc.extract_base_features(str(path))
        values = found if isinstance(found, dict) else dict(zip(gbdc.base_feature_names(), found))
        return values["balancevars_mean"]


clauses = [[1, 2], [-1, 3], [-3, -2, 1]]
swap = {1: 3, 3: 1, 2: 2}
renamed = [[swap[abs(lit)] * (1 if lit > 0 else -1) for lit in clause] for clause in clauses]
print("balancevars_mean:", feature(clauses, 3), "renamed:", feature(renamed, 3), "mean over all three: 0.8333")
assert abs(feature(clauses, 3) - 0.75) < 1e-9
assert abs(feature(renamed, 3) - 1.0) < 1e-9
PY
