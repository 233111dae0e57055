#!/usr/bin/env bash
# liac-arff 2.4.0: the strings "?" and "" are written unquoted as ?, so they come back as missing values; and a value with a
# space, which it quotes when it writes, is refused with BadLayout when it stands unquoted in a file.
# (Tables of ASlib hold such unquoted values. Seen on CPython 3.11.)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check liac-arff==2.4.0
"$work/venv/bin/python" - <<'PY'
import arff

table = {"relation": "r", "attributes": [("name", "STRING"), ("n", "NUMERIC")], "data": [["?", 1.0], ["", 2.0], ["a b", 3.0]]}
text = arff.dumps(table)
back = [row[0] for row in arff.loads(text)["data"]]
print("written:", [row[0] for row in table["data"]], "read back:", back)
assert back == [None, None, "a b"], back
try:
    arff.loads("@RELATION r\n@ATTRIBUTE name STRING\n@ATTRIBUTE n NUMERIC\n@DATA\na b,3\n")
except arff.BadLayout as error:
    print("unquoted space:", type(error).__name__)
else:
    raise AssertionError("an unquoted value with a space was read")
PY
