"""The reader at the ends of its ranges: numbers of the most digits, words of the most characters, limits just met."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from satcost_gnn.errors import FormulaError, FormulaTooLargeError
from satcost_gnn.formula import ReadLimits, dimacs, parse_dimacs, read_dimacs, text_stream
from satcost_gnn.formula.dimacs import _fast_integers

WIDE = ReadLimits(max_vars=2**31 - 1)
# So many digits that the number is left to the exact parser, and with it all of its piece of text.
SEVEN = "00000000000007"


@pytest.fixture(autouse=True, scope="module")
def small_pieces() -> Iterator[None]:
    """Let pieces be as they are read: the first are held together only until a tar archive could be told by them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_stream, "_TAR_HEADER", 8)
        yield


class Drip(io.BytesIO):
    """A stream that gives few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self.few = size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self.few)


@pytest.mark.parametrize("digits", range(1, 11))
def test_numbers_of_any_length_are_read_the_fast_way(digits: int) -> None:
    largest = int("1234567891"[:digits])
    found = _fast_integers(f"{largest} -{largest} 5 0".encode())
    assert found is not None and found.tolist() == [largest, -largest, 5, 0]


def test_the_exact_parser_reads_what_the_fast_one_does() -> None:
    words = ["1", "-1", "-5", "2147483647", "-2147483647", "12", SEVEN]
    assert _fast_integers(" ".join(words).encode()) is None
    formula = parse_dimacs(f"{' '.join(words)} 0 {SEVEN} 0\n".encode(), limits=WIDE)
    assert formula.clauses() == [[1, -1, -5, 2147483647, -2147483647, 12, 7], [7]]
    assert formula.literals.dtype == np.int32


def test_limits_that_are_just_met_are_no_matter() -> None:
    text = f"1 {SEVEN} 0\n-7 -2 0\n".encode()
    limits = ReadLimits(max_vars=7, max_literals=4)
    assert parse_dimacs(text, limits=limits).clauses() == [[1, 7], [-7, -2]]
    for less, message in (
        (ReadLimits(max_vars=6, max_literals=4), "found variable 7; the limit is 6"),
        (ReadLimits(max_vars=7, max_literals=3), "found 4 literals; the limit is 3"),
    ):
        with pytest.raises(FormulaTooLargeError, match=message):
            parse_dimacs(text, limits=less)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("p cnf 3 x\n1 0\n", 1, "found header 'p cnf 3 x'"),
        ("p cnf x 3\n1 0\n", 1, "found header 'p cnf x 3'"),
        (f"p cnf 1 {'9' * 18}\n1 0\n", 3, f"announces {'9' * 18} clauses, the file has 1"),
        (f"p cnf 1 {'9' * 19}\n1 0\n", 1, "a number in it is out of range"),
        (f"p cnf {'9' * 19} 1\n1 0\n", 1, "a number in it is out of range"),
        (" ", 1, "neither a header nor a clause"),
        ("1 ~2 0\n", 1, "found '~2'; expected a signed variable number"),
        ("1 \x7f2 0\n", 1, r"found bytes '\\x7f2', which are no DIMACS text"),
        ("1 \x1f2 0\n", 1, r"found bytes '\\x1f2', which are no DIMACS text"),
        (f"1 {'!' * 40}\x01 0\n", 1, f"found '{'!' * 40}'…; expected"),
        (f"1 {'!' * 39}\x01 0\n", 1, f"found bytes '{'!' * 39}" + r"\\x01', which are no DIMACS text"),
        (f"1 {SEVEN} -0 0\n", 1, "found '-0'; expected a literal"),
        (f"1 {SEVEN} 2147483648 0\n", 1, "literal '2147483648' is out of range"),
        (f"1 {SEVEN} -10000000000 0\n", 1, "literal '-10000000000' is out of range"),
    ],
)
def test_what_is_just_beyond_is_refused(text: str, line: int, message: str) -> None:
    with pytest.raises(FormulaError, match=message) as caught:
        parse_dimacs(text.encode(), limits=WIDE)
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"p cnf 1 1\n" + b"1" * (3 << 19), "a word of more than 1048576 characters"),
        (b"p" + b" 1" * (3 << 18), "a header of more than a million characters"),
    ],
)
def test_a_line_is_held_up_to_a_million_characters(text: bytes, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        parse_dimacs(text)


@pytest.mark.parametrize("size", [1, 7, 60, 1000])
@pytest.mark.parametrize("place", range(35, 46))
def test_an_end_mark_or_a_comment_within_a_long_line_is_what_it_is_in_a_short_one(
    monkeypatch: pytest.MonkeyPatch, size: int, place: int
) -> None:
    monkeypatch.setattr(dimacs, "_LONGEST_LINE", 40)
    before = f"p cnf 2 1\n1 2 0{' ' * place}"
    with pytest.raises(FormulaError, match="found '%'") as caught:
        read_dimacs(Drip(f"{before}% 0\n".encode(), size))
    assert caught.value.line == 2
    assert read_dimacs(Drip(f"{before}c 5 0\n".encode(), size)).clauses() == [[1, 2]]
    with pytest.raises(FormulaError, match="found 'cnf'"):
        read_dimacs(Drip(f"{before}cnf 0\n".encode(), size))


def test_an_input_has_the_name_that_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "own.cnf"
    path.write_bytes(b"1 0\n")
    assert read_dimacs(path).source == str(path) and read_dimacs(path, name="other").source == "other"
    with path.open("rb") as stream:
        assert read_dimacs(stream).source == str(path)
    with path.open("rb") as stream:
        assert read_dimacs(stream, name="other").source == "other"
    assert read_dimacs(io.BytesIO(b"1 0\n"), name="other").source == "other"


def test_a_file_of_another_format_by_its_name_is_refused_at_its_first_line() -> None:
    with pytest.raises(FormulaError, match="found no header, and by the name it is") as caught:
        parse_dimacs(b"1 0\n2 0\n", source="x.wcnf")
    assert caught.value.line == 1
    assert parse_dimacs(b"p cnf 1 1\n1 0\n", source="x.wcnf").clauses() == [[1]]
