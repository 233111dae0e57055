"""Rows of tables that other programs have written."""

from pathlib import Path

import pytest

from satcost_gnn.errors import ConfigError
from satcost_gnn.runtime.tables.row_reading import read_rows

COLUMNS = {"name": (str, "who"), "n": (int, "how many")}


@pytest.mark.parametrize(
    ("name", "text"),
    [("t.csv", "name,n\na,1\nb,2\n"), ("t.jsonl", '{"name": "a", "n": 1}\n{"name": "b", "n": 2}\n')],
)
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    for start in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(start + text.encode())
        assert list(read_rows(path, COLUMNS)) == [{"name": "a", "n": 1}, {"name": "b", "n": 2}]


def test_a_row_with_another_number_of_fields_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("name,n\na,1\nb\n")
    with pytest.raises(ConfigError, match=r"t\.csv:3"):
        list(read_rows(path, COLUMNS))
