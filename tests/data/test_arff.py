import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from satcost_gnn.data.arff import NUMERIC, STRING, format_arff, parse_arff, read_arff
from satcost_gnn.errors import DatasetError

HEAD = "@relation r\n@attribute x numeric\n@attribute c {a, b}\n@attribute s string\n@data\n"


def test_quotes_comments_cases_and_missing_values():
    table = parse_arff(
        "% a comment\n"
        "@RELATION 'a relation'\n"
        "@Attribute 'x, y' REAL\n"
        "@attribute \"kind\" {'a b', c , 'd\\'e'}\n"
        "@ATTRIBUTE s String\n"
        "\n"
        "@Data\n"
        "1 , 'a b', \"it's, so\"\r\n"
        "% another comment\n"
        "?,?,?\n"
        "-2e-3,'d\\'e','?'\n"
        "  3 ,c,plain text % not a comment\n"
    )
    assert len(table) == 4 and table.lines == (8, 10, 11, 12)
    assert table.names == ("x, y", "kind", "s")
    np.testing.assert_array_equal(table.numbers("X, Y"), [1, math.nan, -0.002, 3])
    assert table.columns[1] == ["a b", None, "d'e", "c"]
    assert table.columns[2] == ["it's, so", None, "?", "plain text % not a comment"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,a", r"f:6: found 2 values, expected 3"),
        ("1,a,b,", r"f:6: found 4 values, expected 3"),
        ("{0 1, 1 a}", r"f:6: found a sparse row"),
        ("1,a,'open", r"f:6: found a quote out of place"),
        ("1,a,'x' y", r"f:6: found a quote out of place"),
    ],
)
def test_a_bad_row_is_named_with_its_line(line, message):
    with pytest.raises(DatasetError, match=message):
        parse_arff(HEAD + line + "\n", "f")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found no @attribute"),
        ("@relation r\n@attribute x numeric\n", "found no @data"),
        ("@attribute x date\n@data\n", "f:1: found '@attribute x date', expected @attribute NAME and a type"),
        ("@attribute x\n@data\n", "f:1: found '@attribute x', expected"),
        ("@attribute a numeric\n@attribute A string\n@data\n", "found attribute 'a' twice"),
        ("x,y\n1,2\n", r"f:1: found 'x,y', expected @relation, @attribute or @data"),
    ],
)
def test_a_bad_head_is_named(text, message):
    with pytest.raises(DatasetError, match=message):
        parse_arff(text, "f")


def test_columns_are_asked_for_by_name_and_kind():
    table = parse_arff(HEAD + "1,a,?\n% between\n2,b,y\n", "f")
    assert table.texts("C") == ["a", "b"] and table.texts("x") == ["1", "2"]
    with pytest.raises(DatasetError, match="no attribute 'z', expected it besides x, c, s"):
        table.numbers("z")
    with pytest.raises(DatasetError, match=r"f:6: c: found 'a', expected a number or \?"):
        table.numbers("c")
    with pytest.raises(DatasetError, match=r"f:6: s: found '\?'"):
        table.texts("s")


def test_what_a_file_declares_of_its_columns_is_not_what_is_read():
    # Ids that are declared as numbers keep their digits, counts that are declared as choices are numbers.
    table = parse_arff(
        "@attribute instance_id numeric\n@attribute repetition {1}\n@attribute status {ok}\n@data\n"
        "007,1,OK\n7,1,TIMEOUT\n1e3,1,ok\n12345678901234567890,1,ok\n"
    )
    assert table.texts("instance_id") == ["007", "7", "1e3", "12345678901234567890"]
    assert table.texts("status") == ["OK", "TIMEOUT", "ok", "ok"]
    np.testing.assert_array_equal(table.numbers("repetition"), [1, 1, 1, 1])


def test_odd_but_clear_rows_are_read():
    # Spaces and apostrophes in plain values, tabs between values, nothing for a missing value, DOS line ends.
    table = parse_arff(HEAD.replace("\n", "\r\n") + "1,a b,it's\r\n2\t'a, b'\tplain\r\n3,,x\r\n\r\n  % odd\r\n,c,d\r\n")
    assert table.columns[1:] == (["a b", "a, b", None, "c"], ["it's", "plain", "x", "d"])
    np.testing.assert_array_equal(table.numbers("x"), [1, 2, 3, math.nan])


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(DatasetError, match=r"x\.arff: found no such file"):
        read_arff(tmp_path / "x.arff")
    (tmp_path / "x.arff").write_bytes(b"@relation \xff\xfe")
    with pytest.raises(DatasetError, match="UTF-8"):
        read_arff(tmp_path / "x.arff")


def test_what_arff_cannot_hold_is_refused():
    with pytest.raises(DatasetError, match="line break"):
        format_arff("r", [("s", STRING)], [["a\nb"]])
    with pytest.raises(DatasetError, match="infinite"):
        format_arff("r", [("x", NUMERIC)], [np.array([math.inf])])


def test_a_file_is_written_and_read(tmp_path):
    (tmp_path / "x.arff").write_text(format_arff("r", [("s", STRING)], [["grün", None]]))
    assert read_arff(tmp_path / "x.arff").columns == (["grün", None],)
    (tmp_path / "x.arff").write_text("\ufeff" + (tmp_path / "x.arff").read_text())
    assert read_arff(tmp_path / "x.arff").names == ("s",)


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=8)


@given(
    rows=st.lists(st.tuples(st.floats(allow_infinity=False), st.none() | _TEXT, st.sampled_from(["a b", "?", "c,'"]))),
    names=st.lists(_TEXT.filter(bool), min_size=3, max_size=3),
)
def test_what_is_written_is_read_back(rows, names):
    if len({name.lower() for name in names}) < 3:
        return
    attributes = [(names[0], NUMERIC), (names[1], STRING), (names[2], ("a b", "?", "c,'"))]
    columns = [np.array([row[0] for row in rows]), [row[1] for row in rows], [row[2] for row in rows]]
    back = parse_arff(format_arff("a relation", attributes, columns))
    assert back.names == tuple(names)
    np.testing.assert_array_equal(back.numbers(names[0]), columns[0])
    assert list(back.columns[1:]) == columns[1:]
