#!/usr/bin/env bash
# gbdc 0.4.3: isohash2 changes when a variable gets a larger number and leaves a gap; isohash does not.
# Clauses (1 2) (-1 3) (-3 -2 1), and the same with 4 in the place of 3: renamed copies of each other.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check gbdc==0.4.3
"$work/venv/bin/python" - <<'PY'
import pathlib
import tempfile

import gbdc

with tempfile.TemporaryDirectory() as folder:
    hashes = []
    for third in (3, 4):
        path = pathlib.Path(folder, "f.cnf")
        path.write_text(f"p cnf {third} 3\n1 2 0\n-1 {third} 0\n-{third} -2 1 0\n")
        hashes.append((gbdc.isohash(str(path)), gbdc.isohash2(str(path))))
print(hashes)
assert hashes[0][0] == hashes[1][0]
assert hashes[0][1] != hashes[1][1]
PY
