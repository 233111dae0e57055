"""Packed text: every member is verified, padding is read over, rubbish behind the end is a warning."""

import bz2
import gzip
import io
import lzma
import tarfile

import numpy as np
import pytest
import zstandard

from satcost_gnn.errors import FormulaError
from satcost_gnn.formula import ReadLimits, parse_dimacs, read_dimacs
from satcost_gnn.formula.compressed import inflated

COMPRESSORS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
RNG = np.random.default_rng(11)


def clause_lines(count):
    return b"".join(b"%d %d %d 0\n" % tuple(row) for row in RNG.integers(1, 10**6, (count, 3)).tolist())


FIRST = b"p cnf 1000000 80\n" + clause_lines(40)
SECOND = clause_lines(40)


class Drip(io.BytesIO):
    """A stream that gives few bytes at a time."""

    def read(self, size=-1):
        return super().read(min(size, 7))


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_any_flipped_bit_in_any_member_is_noticed_or_changes_nothing(suffix):
    compress = COMPRESSORS[suffix]
    first, second = compress(FIRST), compress(SECOND)
    expected = parse_dimacs(first + second)
    assert expected.n_clauses == 80 and expected.warnings == ()
    data = bytearray(first + second)
    noticed = 0
    places = [(byte, bit) for byte in range(len(first) - 30, len(data)) for bit in range(8)][::3]
    for byte, bit in places:
        data[byte] ^= 1 << bit
        try:
            found = parse_dimacs(bytes(data), limits=ReadLimits(relaxed=True))
        except FormulaError:
            noticed += 1
        else:
            # A time stamp or an operating system's number.
            assert found.clauses() == expected.clauses()
        data[byte] ^= 1 << bit
    assert noticed > 0.95 * len(places)


@pytest.mark.parametrize("suffix", COMPRESSORS)
@pytest.mark.parametrize("between", [b"", bytes(4), bytes(512), bytes(300_000)])
def test_zero_padding_between_and_behind_members(suffix, between):
    compress = COMPRESSORS[suffix]
    data = compress(FIRST) + between + compress(SECOND) + between
    formula = parse_dimacs(data)
    assert formula.n_clauses == 80 and formula.warnings == ()
    assert read_dimacs(Drip(data)).clauses() == formula.clauses()


@pytest.mark.parametrize("suffix", COMPRESSORS)
@pytest.mark.parametrize("rubbish", [b"something else", b"\0\0x", bytes(9) + b"<html>", b"c"])
def test_rubbish_behind_the_end_is_a_warning(suffix, rubbish):
    compress = COMPRESSORS[suffix]
    formula = parse_dimacs(compress(FIRST) + compress(SECOND) + rubbish)
    assert formula.n_clauses == 80
    (warning,) = formula.warnings
    assert "something else" in warning and "not read" in warning


def test_rubbish_behind_a_frame_whose_end_nothing_vouches_for_is_an_error():
    stream = zstandard.ZstdCompressor(write_checksum=False).compressobj()
    unchecked = stream.compress(FIRST + SECOND) + stream.flush()
    assert parse_dimacs(unchecked).n_clauses == 80
    with pytest.raises(FormulaError, match="may be a damaged one"):
        parse_dimacs(unchecked + b"something else")


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_a_later_member_that_ends_early(suffix):
    compress = COMPRESSORS[suffix]
    data = compress(FIRST) + compress(SECOND)
    for cut in (1, 9, len(compress(SECOND)) - 6):
        with pytest.raises(FormulaError, match=r"end early|damaged"):
            parse_dimacs(data[:-cut], limits=ReadLimits(relaxed=True))


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_what_stands_behind_the_end_mark_is_verified_too(suffix):
    data = bytearray(COMPRESSORS[suffix](b"p cnf 1 1\n1 0\n%\n0\n" + SECOND))
    assert parse_dimacs(bytes(data)).clauses() == [[1]]
    # The check sum, or near it.
    data[-10 if suffix in ("xz", "bz2") else -6 if suffix == "gz" else -2] ^= 16
    with pytest.raises(FormulaError, match="damaged"):
        parse_dimacs(bytes(data))


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_pieces_are_bounded(suffix):
    data = COMPRESSORS[suffix](bytes(8 << 20) + b"end")
    kind = {"gz": "gzip", "bz2": "bzip2", "zst": "zstandard"}.get(suffix, suffix)
    sizes, last = [], b""
    for last in inflated(io.BytesIO(data), kind, "x", sizes.append):
        sizes.append(len(last))
    assert sum(sizes) == (8 << 20) + 3 and max(sizes) < 9 << 20
    assert last.endswith(b"end")


@pytest.mark.parametrize("pack", [bytes, *COMPRESSORS.values()])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_an_archive_is_no_formula_though_its_first_line_looks_like_a_comment(pack, form):
    """SATLIB's files end with a ``%``, behind which nothing is looked at."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=form) as tar:
        for number in range(2):
            about, text = tarfile.TarInfo(f"cnf/{number}.cnf"), b"c x\np cnf 2 1\n1 2 0\n%\n0\n"
            about.size = len(text)
            tar.addfile(about, io.BytesIO(text))
    for stream in (io.BytesIO, Drip):
        with pytest.raises(FormulaError, match="found a tar archive; expected DIMACS text"):
            read_dimacs(stream(pack(archive.getvalue())))


def test_a_frame_that_has_lost_the_mark_of_its_check_sum_does_not_end_the_formula():
    """Found by flipping bits: what is left over is the sum, and behind it the next frame."""
    first, second = map(COMPRESSORS["zst"], (b"7 0 6 0 ", b"5 0 4 0 "))
    assert parse_dimacs(first + second).clauses() == [[7], [6], [5], [4]]
    damaged = bytearray(first + second)
    damaged[4] ^= 4
    with pytest.raises(FormulaError, match="damaged"):
        parse_dimacs(bytes(damaged))
    assert parse_dimacs(bytes(damaged[: len(first)])).warnings
