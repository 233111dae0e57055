import bz2
import gzip
import io
import lzma
import os
import re
import tracemalloc

import numpy as np
import pytest
import zstandard
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reader_fuzzing import reference

from satcost_gnn.errors import FormulaError, FormulaTooLargeError
from satcost_gnn.formula import Formula, ReadLimits, dimacs, parse_dimacs, read_dimacs, text_stream
from satcost_gnn.formula.clause_text import render_integers
from satcost_gnn.formula.dimacs import _fast_integers

COMPRESSORS = {
    "plain": lambda data: data,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
TEXT = b"c three clauses\np cnf 4 3\n1 -2 0\n3 0\n-4 2 1 0\n"
CLAUSES = [[1, -2], [3], [-4, 2, 1]]


@pytest.fixture(autouse=True, scope="module")
def small_pieces():
    """Let pieces be as they are read: the first are held together only until a tar archive could be told by them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_stream, "_TAR_HEADER", 8)
        yield


class Drip(io.BytesIO):
    """A stream that gives at most ``size`` bytes at a time, like a slow pipe."""

    def __init__(self, data, size):
        super().__init__(data)
        self.size = size

    def read(self, size=-1):
        return super().read(self.size if size < 0 else min(size, self.size))


# ------------------------------------------------------------------------------------------------- what can be read


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_compressions_are_recognised_by_content(tmp_path, suffix):
    path = tmp_path / "no-suffix"
    path.write_bytes(COMPRESSORS[suffix](TEXT))
    formula = read_dimacs(path)
    assert formula.clauses() == CLAUSES
    assert formula.n_vars == 4
    assert formula.source == str(path)
    assert formula.warnings == ()


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zst"])
def test_several_compressed_members_are_one_text(suffix):
    compress = COMPRESSORS[suffix]
    assert parse_dimacs(compress(TEXT[:30]) + compress(TEXT[30:])).clauses() == CLAUSES


def test_zstandard_without_content_size_and_with_skippable_frame():
    stream = zstandard.ZstdCompressor().compressobj()
    data = stream.compress(TEXT) + stream.flush()
    skippable = b"\x53\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    assert parse_dimacs(skippable + data).clauses() == CLAUSES


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_streams_with_short_reads(suffix, size):
    assert read_dimacs(Drip(COMPRESSORS[suffix](TEXT), size)).clauses() == CLAUSES


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(TEXT))))
    formula = read_dimacs("-")
    assert formula.clauses() == CLAUSES
    assert formula.source == "<stdin>"


def test_stream_is_left_open():
    stream = io.BytesIO(TEXT)
    read_dimacs(stream)
    assert not stream.closed


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        (b"p cnf 3 2\n1\n-2\n\n3 0 2\n0", [[1, -2, 3], [2]]),
        (b"p cnf 3 3\n1 0 2 0 3 0\n", [[1], [2], [3]]),
        (b"p cnf 3 2\n1 -2\nc between literals 7 0\n0\n3 0\n", [[1, -2], [3]]),
        (b"c ind 1 2 0\np cnf 3 1\nc p show 1 3 0\n1 3 0\nc p weight 1 0.5 0\n", [[1, 3]]),
        (b"cno blank\np cnf 1 1\n  c indented\n\tc tab\n1 0 c after a clause\nc", [[1]]),
        (b"c caf\xc3\xa9 \xff\x00 % p cnf 9 9\np cnf 1 1\nc \xff\n1 0\n", [[1]]),
        (b"p cnf 2 2\n1 0\n2 0\n%\n0\n\n", [[1], [2]]),
        (b"p cnf 2 1\n1 2 0\n % whatever x\nx y z \x00", [[1, 2]]),
        (b"p cnf 2 1\r\n1\t2 \r\n0\r\n%\r\n0\r\n", [[1, 2]]),
        (b"  p \t cnf   2\t1  \n1 2 0", [[1, 2]]),
        (b"p cnf 2 1 c a comment\n1 2 0", [[1, 2]]),
        (b"\n\n \np cnf 2 1\n\n1 2 0\n\n", [[1, 2]]),
        (b"\xef\xbb\xbfp cnf 1 1\n1 0\n", [[1]]),
        (b"p cnf 2 4\n0\n1 0\n0 0\n", [[], [1], [], []]),
        (b"p cnf 2 2\n1 -1 2 2 0\n1 1 0\n", [[1, -1, 2, 2], [1, 1]]),
        (b"p cnf 12 1\n007 -012 00\n", [[7, -12]]),
        (b"p cnf 7 1\n00000000000007 0\n", [[7]]),
        (b"p cnf 0 0\n", []),
        (b"p cnf 5 0", []),
        (b"p cnf 0 0\nc nothing else\n%\n0\n", []),
    ],
)
def test_oddities(text, clauses):
    formula = parse_dimacs(text)
    assert formula.clauses() == clauses
    assert formula.warnings == ()


def test_header_variables_count_even_if_unused():
    assert parse_dimacs(b"p cnf 9 1\n1 0").n_vars == 9


@pytest.mark.parametrize(
    ("text", "n_vars", "n_clauses", "warnings"),
    [
        (b"1 -2 0\n3 0\n", 3, 2, ["no header"]),
        (b"p cnf 2 1\n1 -3 0\n", 3, 1, ["announces 2 variables, the clauses use 3"]),
        (b"p cnf 3 5\n1 -3 0\n", 3, 1, ["announces 5 clauses, the file has 1"]),
        (b"p cnf 0 0\n1 -3 0\n", 3, 1, ["0 variables", "0 clauses"]),
    ],
)
def test_disagreeing_header_is_a_warning(text, n_vars, n_clauses, warnings):
    formula = parse_dimacs(text, limits=ReadLimits(relaxed=True))
    assert (formula.n_vars, formula.n_clauses) == (n_vars, n_clauses)
    assert len(formula.warnings) == len(warnings)
    for found, expected in zip(formula.warnings, warnings, strict=True):
        assert expected in found


@pytest.mark.parametrize(
    ("text", "line"), [(b"p cnf 3 5\n1 -3 0\n", 3), (b"p cnf 1 3\n1 0\n%\n0\n", 5), (b"p cnf 2 2\n1 2 0", 2)]
)
def test_fewer_clauses_than_announced_are_an_error_unless_relaxed(text, line):
    message = r"announces \d clauses, the file has 1; it may be truncated.*--relaxed"
    with pytest.raises(FormulaError, match=message) as caught:
        parse_dimacs(text)
    assert caught.value.line == line
    assert parse_dimacs(text, limits=ReadLimits(relaxed=True)).n_clauses == 1


def test_largest_literals():
    wide = ReadLimits(max_vars=2**31 - 1)
    formula = parse_dimacs(b"p cnf 2147483647 1\n2147483647 -2147483647 -999999999 100000000 12345678 0\n", limits=wide)
    assert formula.clauses() == [[2147483647, -2147483647, -999999999, 100000000, 12345678]]
    assert formula.literals.dtype == np.int32


def test_the_fast_way_reads_long_numbers_itself():
    found = _fast_integers(b"123456789 -2147483647 987654321\n-0000000012 100000008 7 0")
    assert found is not None
    assert found.tolist() == [123456789, -2147483647, 987654321, -12, 100000008, 7, 0]


# --------------------------------------------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b"p cnf 3 2\n1 2x 0\n", 2, "found '2x'; expected a signed variable number"),
        (b"p cnf 3 2\n1 2 0\n1.5 0\n", 3, "found '1.5'"),
        (b"p cnf 3 2\n\n--3 0\n", 3, "found '--3'"),
        (b"p cnf 3 2\n1e3 0\n", 2, "found '1e3'"),
        (b"p cnf 3 2\n1 - 0\n", 2, "found '-'"),
        (b"p cnf 3 2\n1 0\n-", 3, "found '-'"),
        (b"p cnf 3 2\n3-4 0\n", 2, "found '3-4'"),
        (b"p cnf 3 2\n+3 0\n", 2, r"found '\+3'"),
        (b"p cnf 3 2\n3 -0\n", 2, "found '-0'"),
        (b"p cnf 3 2\n1 0\n\x002 0\n", 3, r"found bytes '\\x002', which are no DIMACS text"),
        (b"p cnf 3 2\n1 0\n2\x0c0\n", 3, "found bytes"),
        (b"p cnf 3 2\n1 0 %\n", 2, "found '%', SATLIB's end mark"),
        (b"p cnf 3 2\n2147483648 0\n", 2, "'2147483648' is out of range; the largest variable is 2147483647"),
        (b"p cnf 3 2\n1 0\n-2147483648 0\n", 3, "'-2147483648' is out of range"),
        (b"p cnf 3 2\n1 0\n99999999999999999999999 0\n", 3, "is out of range"),
        (b"p cnf 3 2\n1 0\n2 3", 3, "ends inside clause 2; expected its closing 0"),
        (b"p cnf 3 2\n1 0\n2 3\nc end\n\n", 3, "ends inside clause 2"),
        (b"p cnf 3 2\n1 0\n2\n3\n%\n0\n", 4, "ends inside clause 2"),
        (b"p cnf 3 2\nw 1 0.5 0\n1 0\n", 2, "found 'w', a weight"),
        (b"p cnf 3 2\n1 0\np cnf 3 2\n", 3, "a second header"),
        (b"1 0\np cnf 3 2\n2 0\n", 2, "a second header, or a header after the first clause"),
        (b"p cnf 3 2\ne 1 2 0\n1 0\n", 2, "a quantifier"),
        (b"p cnf 3 2\nx1 2 0\n", 2, "a native XOR constraint"),
        (b"p cnf 3 2\nh 1 2 0\n", 2, "WCNF"),
        (b"c\nc\np wcnf 3 2 4\n", 3, r"found the header of a weighted formula \(.*\) 'p wcnf 3 2 4'; expected 'p cnf"),
        (b"p cnf 3\n1 0\n", 1, "found header 'p cnf 3'"),
        (b"p cnf -3 1\n1 0\n", 1, "found header"),
        (b"p cnf 3 1 1 0\n", 1, "found header"),
        (b"pcnf 3 1\n1 0\n", 1, "found header"),
        (b"p cnf 2147483648 1\n1 0\n", 1, "the largest variable is 2147483647"),
        (b"p cnf 1 99999999999999999999999\n1 0\n", 1, "out of range"),
        (b"p cnf 3 7\n", 2, "announces 7 clauses and none follows; the file may be truncated"),
        (b"p cnf 3 7\n%\n0\n", None, "announces 7 clauses and none follows"),
        (b"c only a comment\n", 2, "neither a header nor a clause"),
        (b" \n\n", 3, "neither a header nor a clause"),
        (b"c one\nc two, whose line has no end", 2, "neither a header nor a clause"),
        (b"p cnf 3 2\n1 0\nk\xc3\xa9 0\n", 3, r"found bytes 'k\\xc3\\xa9'"),
        (b"", None, "the file is empty"),
        (b"\x7fELF\x02\x01\x01\x00\x00", 1, "no DIMACS text"),
        (b"PK\x03\x04\x14\x00", None, "a zip archive"),
        ("p cnf 1 1\n1 0\n".encode("utf-16"), None, "UTF-16"),
        (b"<!DOCTYPE html>\n<html>\n", 1, "found '<!DOCTYPE'"),
    ],
)
@pytest.mark.parametrize("size", [3, 10**6])
def test_malformed(text, line, message, size):
    with pytest.raises(FormulaError, match=message) as caught:
        read_dimacs(Drip(text, size))
    if line is not None:
        assert caught.value.line == line
        assert str(caught.value).startswith(f"<stream>:{line}: ")


def test_line_is_exact_deep_in_a_large_text():
    lines = [b"1 -2 3 0", b"c a comment", b""] * 60_000
    text = b"p cnf 3 60000\n" + b"\n".join(lines) + b"\n"
    bad = text.replace(b"1 -2 3 0", b"1 -2 y 0")  # the first clause of ...
    with pytest.raises(FormulaError) as caught:
        parse_dimacs(bad)
    assert caught.value.line == 2
    place = 123_457 - 2
    assert lines[place - place % 3] == b"1 -2 3 0"
    lines[place - place % 3] = b"1 -2 y 0"
    with pytest.raises(FormulaError, match="found 'y'") as caught:
        parse_dimacs(b"p cnf 3 60000\n" + b"\n".join(lines) + b"\n")
    assert caught.value.line == place - place % 3 + 2


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "lzma", "zst"])
def test_truncated_compressed(tmp_path, suffix):
    rng = np.random.default_rng(3)
    text = Formula.from_clauses(rng.integers(1, 10**6, (5000, 3)).tolist()).to_dimacs().encode()
    data = COMPRESSORS[suffix](text)
    path = tmp_path / f"cut.cnf.{suffix}"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FormulaError, match=r"data end early, after .* bytes of text; expected a complete file"):
        read_dimacs(path)


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zst"])
def test_damaged_compressed(suffix):
    data = bytearray(COMPRESSORS[suffix](TEXT * 50))
    for place in range(20, len(data) - 8):
        data[place] ^= 0x5A
    with pytest.raises(FormulaError, match=r"data are damaged|data end early"):
        parse_dimacs(bytes(data))


def test_missing_path_and_directory(tmp_path):
    with pytest.raises(FormulaError, match="no such file"):
        read_dimacs(tmp_path / "none.cnf")
    with pytest.raises(FormulaError, match="found a directory"):
        read_dimacs(tmp_path)
    with pytest.raises(FormulaError, match="NUL byte"):
        read_dimacs("a\0b")
    with pytest.raises(FormulaError, match="cannot be read"):
        read_dimacs("x" * 5000)


def test_no_permission(tmp_path):
    path = tmp_path / "secret.cnf"
    path.write_bytes(TEXT)
    path.chmod(0)
    # The superuser may read anything: become somebody else for a moment.
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        with pytest.raises(FormulaError, match=r"secret\.cnf: no permission"):
            read_dimacs(path)
    finally:
        if is_root:
            os.seteuid(0)


def test_failing_and_text_streams():
    class Failing(io.BytesIO):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    with pytest.raises(FormulaError, match="cannot be read: Input/output error"):
        read_dimacs(Failing())
    with pytest.raises(FormulaError, match="expected one opened in binary mode"):
        read_dimacs(io.StringIO("p cnf 0 0"))


# ----------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("text", "limits", "line", "message"),
    [
        (TEXT, ReadLimits(max_bytes=20), None, "more than 20 bytes of text.*raise max_bytes"),
        (TEXT, ReadLimits(max_vars=3), 2, "header announces 4 variables; the limit is 3: raise max_vars"),
        (b"1 0\n2 0\n-9 3 0\n", ReadLimits(max_vars=8), 3, "found variable 9; the limit is 8"),
        (TEXT, ReadLimits(max_literals=5), 5, "found 6 literals; the limit is 5: raise max_literals"),
        (b"p cnf 60000000 0\n", ReadLimits(), 1, "raise max_vars"),
        (b"1 1 -1 0\n0\n1 0\n", ReadLimits(max_literals=3), 3, "found 4 literals; the limit is 3"),
    ],
)
def test_limits(text, limits, line, message):
    with pytest.raises(FormulaTooLargeError, match=message) as caught:
        parse_dimacs(text, limits=limits)
    assert caught.value.line == line


def test_input_at_the_limits_is_read():
    limits = ReadLimits(max_bytes=len(TEXT), max_vars=4, max_literals=6)
    assert parse_dimacs(TEXT, limits=limits).clauses() == CLAUSES


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zst"])
def test_decompression_stops_at_the_limit(suffix):
    # 48 MiB of one byte in a few kilobytes.
    data = COMPRESSORS[suffix](b"p cnf 0 0\n" + b" " * (48 << 20))
    assert len(data) < 1 << 18
    tracemalloc.start()
    try:
        with pytest.raises(FormulaTooLargeError, match="bytes of text after"):
            parse_dimacs(data, limits=ReadLimits(max_bytes=1 << 20))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 << 20


@pytest.mark.parametrize("separator", [b" ", b"\n"])
def test_memory_is_a_small_multiple_of_the_text(separator):
    rng = np.random.default_rng(0)
    clauses = Formula.from_clauses(rng.integers(1, 10**5, (200_000, 3)).tolist())
    text = clauses.to_dimacs().encode().replace(b" 0\n", b" 0" + separator).replace(b"0000 ", b"0000\n", 1)
    tracemalloc.start()
    try:
        formula = parse_dimacs(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert formula.n_literals == 600_000
    # Arrays of the result, once more while they are joined, and the temporaries of one piece of the text.
    assert peak < 3 * len(text) + (48 << 20)


# ------------------------------------------------------------------------------------------------- random agreement

literals = st.integers(1, 2**31 - 1) | st.integers(1, 12)
signed = st.builds(lambda variable, negative: -variable if negative else variable, literals, st.booleans())
clause_lists = st.lists(st.lists(signed, max_size=6), min_size=1, max_size=12)
gaps = st.sampled_from(
    [" ", "  ", "\t", "\n", "\r\n", " \n\t ", "\nc 5 0 x\n", "\n  c\n", " c trailing\n", "\ncomment %\n\n"]
)
WIDE = ReadLimits(max_vars=2**31 - 1)


@settings(deadline=None, max_examples=150)
@given(clauses=clause_lists, data=st.data(), size=st.integers(1, 60), longest=st.sampled_from([40, 1 << 20]))
def test_round_trip_in_any_layout(clauses, data, size, longest):
    words = [str(word) for clause in clauses for word in [*clause, 0]]
    between = data.draw(st.lists(gaps, min_size=len(words), max_size=len(words)))
    text = "".join(word + gap for word, gap in zip(words, between, strict=True))
    if data.draw(st.booleans()):
        text = f"c start\np cnf {2**31 - 1} {len(clauses)}\n{text}"
    if data.draw(st.booleans()):
        text = text.rstrip("\n") if between[-1] in ("\n", "\r\n") else text + "\n%\n0\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dimacs, "_LONGEST_LINE", longest)
        formula = read_dimacs(Drip(text.encode(), size), limits=WIDE)
    assert formula.clauses() == clauses


soup = st.lists(
    st.sampled_from(["1", "-2", "0", "-", "12", " ", " ", "\n", "\n", "\t", "c", "c ", "p", "%", "x", "p cnf 3 2\n"]),
    max_size=30,
).map("".join)


@settings(deadline=None, max_examples=600)
@given(text=soup, header=st.booleans(), size=st.integers(1, 40), longest=st.sampled_from([12, 1 << 20]))
def test_agrees_with_a_plain_parser_on_any_text(text, header, size, longest):
    text = "p cnf 3 2\n" + text if header else text
    assume(not re.search(r"\d{8}", text))  # the plain parser knows no limit on variables
    if max(map(len, re.findall(r"[^ \t\r\n]+", text)), default=0) >= longest:
        longest = 1 << 20  # words beyond the longest line are refused without a look
    expected = reference(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dimacs, "_LONGEST_LINE", longest)
        if isinstance(expected, list):
            assert read_dimacs(Drip(text.encode(), size)).clauses() == expected
            return
        with pytest.raises(FormulaError) as caught:
            read_dimacs(Drip(text.encode(), size))
    if expected is not None:
        assert caught.value.line == expected


@given(values=st.lists(st.integers(-(2**31) + 1, 2**31 - 1), max_size=40) | st.lists(st.integers(-9, 9), max_size=40))
def test_render_integers(values):
    text = render_integers(np.array(values, dtype=np.int32))
    assert text == b"".join(b"%d " % value for value in values)


# ---------------------------------------------------------------------------------------------------- very long lines


def test_formula_on_one_line_of_several_megabytes():
    rng = np.random.default_rng(1)
    expected = Formula.from_clauses(rng.integers(1, 10**6, (150_000, 3)).tolist())
    text = expected.to_dimacs().encode()
    header, _, body = text.partition(b"\n")
    body = body.replace(b"\n", b" ")
    assert len(body) > 3 << 20
    formula = parse_dimacs(header + b"\n" + body + b"c and a comment\n1 2 0")
    assert np.array_equal(formula.literals[:-2], expected.literals)
    assert formula.clauses()[-1] == [1, 2]
    with pytest.raises(FormulaError, match="found 'z'") as caught:
        parse_dimacs(header + b"\n" + body + b"z 0\n")
    assert caught.value.line == 2


def test_comment_of_several_megabytes():
    text = b"c" + b"x " * (2 << 20) + b"\np cnf 1 1\nc" + b"%" * (3 << 20) + b"\n1 0\n"
    assert parse_dimacs(text).clauses() == [[1]]
    with pytest.raises(FormulaError) as caught:
        parse_dimacs(text + b"y")
    assert caught.value.line == 5


BLANK = " " * 200
RETURNS = "\r" * 200


@pytest.mark.parametrize("size", [1, 7, 60, 1000])
@pytest.mark.parametrize(
    ("text", "clauses", "lines"),
    [
        # Where a line is longer than what is held of one, and the cut falls: in blanks before the header, before and
        # within the first clause, behind the last one, and in a comment that the end of the input closes.
        (f"{BLANK}\np cnf 2 1\n1 2 0\n", [[1, 2]], 3),
        (f"p cnf 2 1\n{BLANK}1 {BLANK} 2 0\n", [[1, 2]], 2),
        (f"p cnf 2 1\n1 2 0{BLANK}\n", [[1, 2]], 2),
        (f"p cnf 2 1\n1 2 0\nc{BLANK}5 0 {BLANK}7", [[1, 2]], 3),
        (f"p cnf 2 2\n1 0 c{BLANK}5 0 {BLANK}\n2 0\n", [[1], [2]], 3),
        (f"c{BLANK}p cnf 9 9 {BLANK}\np cnf 2 1\n1 2{BLANK}0", [[1, 2]], 3),
        (f"p cnf 2 1\n1\n{BLANK}\n{BLANK}2 0\n", [[1, 2]], 4),
        (f"p cnf 2 1\n1 2 0\n{RETURNS}\n", [[1, 2]], 3),
        (f"{BLANK}c x{BLANK}\np cnf 2 1\n1 2 0\n", [[1, 2]], 3),
        # All that is held of a comment is dropped right before its line ends.
        (f"p cnf 2 1\nc{'x' * 40}\n1 2 0\n", [[1, 2]], 3),
    ],
)
def test_long_lines_are_cut_anywhere_and_read_the_same(monkeypatch, text, clauses, lines, size):
    monkeypatch.setattr(dimacs, "_LONGEST_LINE", 40)
    assert read_dimacs(Drip(text.encode(), size)).clauses() == clauses
    # Lines are counted in all of it.
    closed = text if text.endswith("\n") else text + "\n"
    with pytest.raises(FormulaError, match="found 'x'") as caught:
        read_dimacs(Drip((closed + "x 0\n").encode(), size))
    assert caught.value.line == lines + 1


@pytest.mark.parametrize("text", [b"p cnf 1 1\n" + b"1" * (3 << 20), b"\x00" * (3 << 20), b"p" + b" 1" * (2 << 20)])
def test_hopeless_long_lines(text):
    with pytest.raises(FormulaError):
        parse_dimacs(text)


@pytest.mark.parametrize("char", [":", "/", ";", "x"])
def test_characters_beside_the_digits_are_none(char):
    with pytest.raises(FormulaError, match=r":2: "):
        parse_dimacs(f"p cnf 30 2\n1 {char}2 0\n2{char} 3 0\n".encode())


def test_a_word_in_a_message_has_forty_characters_at_most():
    for length, end in ((40, "x'"), (41, "x'…")):
        with pytest.raises(FormulaError) as caught:
            parse_dimacs(f"p cnf 2 1\n{'x' * length} 0\n".encode())
        assert f"'{'x' * 39}{end}" in str(caught.value)
        assert ("…" in str(caught.value)) == (length == 41)
