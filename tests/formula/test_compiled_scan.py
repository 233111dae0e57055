"""The compiled part of the reader does and says what the reader does and says without it."""

import bz2
import ctypes
import gzip
import lzma
import random
import subprocess
import sys

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_fuzzing import LIMITS, WIDE, corpus, difference_in_python, made

from satcost_gnn.errors import FormulaTooLargeError
from satcost_gnn.formula import ReadLimits, compiled_scan, dimacs, parse_dimacs
from satcost_gnn.formula.growing_array import GrowingArray

built = pytest.mark.skipif(
    not compiled_scan._LIBRARY.exists(), reason="the package was installed without a C compiler, or not installed anew"
)
PACKERS = (bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress)
SIZES = [*range(1, 8), 1 << 20]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.delenv(compiled_scan.VARIABLE, raising=False)
    compiled_scan.compiled_scan.cache_clear()
    yield
    compiled_scan.compiled_scan.cache_clear()


def scanned(text, at_line_start=True):
    """Return literals, ends and the rest of what the compiled function finds; None if it refuses."""
    scan = compiled_scan.compiled_scan()
    literals, ends = GrowingArray(np.int32), GrowingArray(np.int64)
    # A part of a longer text, whose other bytes are not to be looked at.
    found = scan(b"1x\x00" + text + b"5", 3, 3 + len(text), at_line_start, literals, ends)
    if found is None:
        return None
    literals.take(found.n_literals)
    ends.take(found.n_ends)
    return literals.finished().tolist(), ends.finished().tolist(), found[2:]


# ------------------------------------------------------------------------------------------------------ both the same


@built
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("packer", PACKERS)
def test_mutated_texts_in_parts_of_any_size(packer, size):
    rng = random.Random(size)
    for _ in range(150):
        data = packer(made(rng))
        assert difference_in_python(data, size, 1 << 20, rng.choice(LIMITS)) == ""


@built
@pytest.mark.parametrize("longest", [40, 1 << 20])
def test_what_was_found_once(longest):
    for data in corpus():
        for size in (1, 5, 1 << 20):
            assert difference_in_python(data, size, longest) == ""


words = st.integers(-(2**31) + 1, 2**31 - 1).map(str) | st.integers(-12, 12).map(str)
odd = st.sampled_from(
    ["-", "--1", "-0", "00", "-007", "2147483648", "99999999999", "c", "cc", "%", "x", "\x00", "é", "+1"]
)
gaps = st.sampled_from([" ", " ", "\n", "\n", "  ", "\t", "\r\n", " \n\n", "\nc 5 0 x\n", "\n  c\n", " c 1 0\n", ""])


@built
@settings(deadline=None, max_examples=300)
@given(
    parts=st.lists(st.tuples(words | words | words | odd, gaps), max_size=60),
    size=st.sampled_from(SIZES),
    longest=st.sampled_from([40, 1 << 20]),
    limits=st.sampled_from(LIMITS),
)
def test_any_text(parts, size, longest, limits):
    text = "p cnf 12 1\n" + "".join(word + gap for word, gap in parts)
    assert difference_in_python(text.encode(), size, longest, limits) == ""


@built
def test_a_large_formula():
    rng = np.random.default_rng(3)
    rows = rng.integers(1, 10 ** rng.integers(1, 9, 60_000)) * rng.choice([-1, 1], 60_000)
    text = b"p cnf 99999999 20000\n" + b"".join(b"%d %d %d 0\nc 1\n" % tuple(row) for row in rows.reshape(-1, 3))
    assert difference_in_python(text, 1 << 18, 1 << 20) == ""
    assert parse_dimacs(text, limits=WIDE).literals.tolist() == rows.tolist()


@built
def test_limits_are_passed_with_the_same_words():
    text = b"p cnf 9 3\n1 2 0\n3 4 0\n-7 8 0\n"
    for limits in (ReadLimits(max_vars=7), ReadLimits(max_literals=5)):
        with pytest.raises(FormulaTooLargeError):
            parse_dimacs(text, limits=limits)
        assert difference_in_python(text, 1 << 20, 1 << 20, limits) == ""


# -------------------------------------------------------------------------------------------------- the function alone


@built
@pytest.mark.parametrize("padding", [b"", b"7 0 " * 40])
@pytest.mark.parametrize(
    ("text", "literals", "ends"),
    [
        (b"", [], []),
        (b" \t\r\n", [], []),
        (b"0", [], [0]),
        (b"1 -2 0 3", [1, -2, 3], [2]),
        (b"-1234567 12345678 -12345678 0123456789 0\n", [-1234567, 12345678, -12345678, 123456789], [4]),
        (b"2147483647 -2147483647 0000 0\n", [2147483647, -2147483647], [2, 2]),
        (b"1 c 5 0 \x00\xff\n0\n  cc 3\nc\n2 0 c", [1, 2], [1, 2]),
    ],
)
def test_what_is_read(text, literals, ends, padding):
    n_before, closed = len(padding) // 4, list(range(1, len(padding) // 4 + 1))
    found = scanned(padding + text)
    assert found is not None
    assert found[0] == [7] * n_before + literals
    assert found[1] == closed + [n_before + end for end in ends]
    assert found[2][0] == max(map(abs, found[0]), default=0)
    assert found[2][1] == text.count(b"\n")


@built
@pytest.mark.parametrize("padding", [b"", b" " * 60, b"5 0\n" * 40])
@pytest.mark.parametrize(
    "word",
    [
        *(b"-", b"--1", b"-0", b"-000", b"1-", b"1-2", b"+1", b"1x", b"x", b"%", b"1.5", b"\x00", b"1\x0b2", b"\xa0"),
        *(b"2147483648", b"-2147483648", b"99999999999", b"00000000001", b"1c", b"1 cc", b"-c"),
    ],
)
def test_what_is_refused(word, padding):
    for after in (b"", b" ", b"\n", b" 0\n" * 30):
        assert scanned(padding + word + after) is None
        assert scanned(padding + b"3 " + word + after) is None


@built
def test_a_word_with_a_c_begins_a_comment_at_a_line_start_only():
    assert scanned(b" \tcc 1\n2 0")[0] == [2]
    assert scanned(b" \tcc 1\n2 0", at_line_start=False) is None
    assert scanned(b"c 1\n2 0", at_line_start=False)[0] == [2]


@built
@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 1), (0, 5), (5, 5)])
def test_a_part_is_one_of_the_text(start, end):
    with pytest.raises(ValueError, match="expected a part of 4 bytes"):
        compiled_scan.compiled_scan()(b"1 2 ", start, end, True, GrowingArray(np.int32), GrowingArray(np.int64))


@built
@pytest.mark.parametrize("text", [b"1 2 0 -3 0 4 5 6 0 0 0 " * 5, b"1 " * 60, b"0 " * 60])
def test_nothing_is_written_beyond_the_room(text):
    function = compiled_scan.compiled_scan()._function
    wide, found = scanned(text), (ctypes.c_int64 * 6)()
    for literal_room in range(70):
        for end_room in range(0, 70, 3):
            literals, ends = np.full(100, 77, dtype=np.int32), np.full(100, 77, dtype=np.int64)
            status = function(
                text, 0, len(text), 1, literals.ctypes.data, literal_room, ends.ctypes.data, end_room, 0, found
            )
            assert (literals[literal_room:] == 77).all() and (ends[end_room:] == 77).all()
            fits = len(wide[0]) <= literal_room and len(wide[1]) <= end_room
            assert (status == 0) == fits
            if fits:
                assert literals[: found[0]].tolist() == wide[0] and ends[: found[1]].tolist() == wide[1]


# ------------------------------------------------------------------------------------------------- where there is none


@pytest.mark.parametrize("content", [None, b"", b"no library"])
def test_without_a_library_all_is_read_in_python(monkeypatch, tmp_path, content):
    library = tmp_path / "scan.so"
    if content is not None:
        library.write_bytes(content)
    monkeypatch.setattr(compiled_scan, "_LIBRARY", library)
    assert compiled_scan.compiled_scan() is None
    assert parse_dimacs(b"p cnf 2 1\n1 -2 0\n").clauses() == [[1, -2]]


@built
def test_a_library_with_another_interface_is_not_used(monkeypatch):
    monkeypatch.setattr(compiled_scan, "_ABI", compiled_scan._ABI + 1)
    assert compiled_scan.compiled_scan() is None
    assert parse_dimacs(b"p cnf 2 1\n1 -2 0\n").clauses() == [[1, -2]]


def test_another_library_is_not_used(monkeypatch):
    # Of the standard library: it can be loaded, and has no such function.
    import _ctypes

    monkeypatch.setattr(compiled_scan, "_LIBRARY", compiled_scan.Path(_ctypes.__file__))
    assert compiled_scan.compiled_scan() is None


@built
@pytest.mark.parametrize(("value", "used"), [(None, True), ("", True), ("1", True), ("0", False)])
def test_the_environment_can_turn_it_off(monkeypatch, value, used):
    if value is not None:
        monkeypatch.setenv(compiled_scan.VARIABLE, value)
    assert (compiled_scan.compiled_scan() is not None) == used
    assert (dimacs._Parser("x", WIDE)._scan is not None) == used


@built
def test_it_is_loaded_by_the_first_file_that_is_read():
    script = (
        "from satcost_gnn.formula import compiled_scan, parse_dimacs\n"
        "assert not compiled_scan.compiled_scan.cache_info().currsize\n"
        "parse_dimacs(b'1 0')\n"
        "assert compiled_scan.compiled_scan.cache_info().currsize\n"
        "assert compiled_scan.compiled_scan() is not None\n"
    )
    # -P: what is installed, not what lies in the working directory, where nothing is compiled.
    subprocess.run([sys.executable, "-P", "-c", script], check=True)
