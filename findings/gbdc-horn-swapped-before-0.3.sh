#!/usr/bin/env bash
# gbdc before 0.3 (0.2.47) calls Horn clauses inverse Horn, and the reverse, and counts a variable 0 that no formula has.
# Clauses (1 -2 -3) (-1 -2 -4) (1 2 3 4) (-5 6) (5 -6 -1 2): three have at most one positive literal (Horn), two at most
# one negative one; each of six variables occurs 16/6 = 2.667 times on average, at least twice. Version 0.4.3 says so;
# 0.2.47 says horn 2, invhorn 3, a mean of 16/7 = 2.286 and a least degree of 0 under the same names. Tables of base
# features that were made with it don't join with new ones: hornvars_* and vcg_vdegree_* differ in the same way.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/f.cnf" <<'CNF'
p cnf 6 5
1 -2 -3 0
-1 -2 -4 0
1 2 3 4 0
-5 6 0
5 -6 -1 2 0
CNF
for version in 0.2.47 0.4.3; do
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install --quiet --disable-pip-version-check "gbdc==$version"
  "$work/$version/bin/python" - "$version" "$work/f.cnf" <<'PY'
import sys

import gbdc

version, path = sys.argv[1:]
found = gbdc.extract_base_features(path, 10, 1000) if version < "0.3" else gbdc.extract_base_features(path)
names = ("horn", "invhorn", "vcg_vdegree_mean", "vcg_vdegree_min")
values = [round(float(found[name]), 3) for name in names]
print(f"gbdc {version}:", dict(zip(names, values)))
assert values == ([2.0, 3.0, 2.286, 0.0] if version < "0.3" else [3.0, 2.0, 2.667, 2.0])
PY
done
