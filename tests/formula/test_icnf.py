"""Formulas with cubes: by words to the 0, whatever the lines, packing and way in."""

import bz2
import gzip
import io
import lzma
import os
import threading
from pathlib import Path

import pytest
import zstandard

from satcost_gnn.errors import FormulaError
from satcost_gnn.formula import ReadLimits
from satcost_gnn.formula.icnf import read_cubes

PACKERS = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
WHOLE = "c made by hand\np inccnf\n1 2 0\n-1 3\n0\na 1 -2 0\na 2 0\n"
CLAUSES, CUBES = [[1, 2], [-1, 3]], [(1, -2), (2,)]


def read(text: str | bytes, **options: object) -> tuple[list[list[int]] | None, list[tuple[int, ...]]]:
    data = text.encode() if isinstance(text, str) else text
    formula, cubes = read_cubes(io.BytesIO(data), **options)  # type: ignore[arg-type]
    return (None if formula is None else formula.clauses()), cubes


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        WHOLE.replace("\n", "\r\n"),
        "\ufeff" + WHOLE,
        "p inccnf\n1 2 0 -1 3 0 a 1 -2 0 a 2 0",
        "p inccnf\n1\n2 0 -1\n3 0\na\n1\n-2\n0 a 2\n0\n",
        "1 2 0\n-1 3 0\na 1 -2 0\na 2 0\n",
        "p cnf 3 2\n1 2 0\n-1 3 0\nc a 3 0\na 1 c a -3 0\n-2 0\na 2 00\n",
        "p cnf 3 4\n1 2 0\n-1 3 0\na 1 -2 0\na 2 0\n",
        "p inccnf 3 2\n1 2 0\n-1 3 0\na 1 -2 0\na 2 0\n%\n0\n",
    ],
)
def test_layouts_of_a_formula_with_its_cubes(text: str) -> None:
    assert read(text) == (CLAUSES, CUBES)


@pytest.mark.parametrize("packer", PACKERS)
def test_packings_names_and_pipes(packer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = PACKERS[packer](WHOLE.encode())
    path, pipe = tmp_path / "any.name", tmp_path / "pipe"
    path.write_bytes(data)
    os.mkfifo(pipe)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    for source in (path, str(path), "-", pipe):
        formula, cubes = read_cubes(source)
        assert formula is not None and formula.clauses() == CLAUSES and cubes == CUBES
    writer.join()


@pytest.mark.parametrize(
    "text",
    [
        "a 1 -2 0\na 3 0\n",
        "a 1\n-2 0\na 3\n0",
        "1 -2 0\n3 0\n",
        "1\n-2 0 3\n0\n",
        "c x\n1 -2\n\n3\n",
        "p inccnf\na 1 -2 0\na 3 0\n",
    ],
)
def test_cubes_alone(text: str) -> None:
    assert read(text) == (None, [(1, -2), (3,)])


def test_the_empty_cube_is_one() -> None:
    assert read("a 0\n") == (None, [()])


def test_variables_of_the_header_count() -> None:
    formula, cubes = read_cubes(io.BytesIO(b"p cnf 9 1\n1 2 0\na 8 0\na -8 0\n"))
    assert formula is not None and formula.n_vars == 9 and cubes == [(8,), (-8,)]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a 1 x 0\n", 1, "found 'x'"),
        ("c\n\np inccnf\n\n1 2 0\n-1 x 0\na 1 0\n", 6, "found 'x'"),
        ("p inccnf\n1 2 0\na 1\na 2 0\n", 4, "found 'a' inside a cube; expected .* closing 0"),
        ("p inccnf\n1 2\na 1 0\n", 3, "inside a clause"),
        ("a 1 0\n\na 2\n3\n", 4, "found the end inside a cube"),
        ("a 1 0\na 1 0 2 0\n", 2, "found '2' behind a cube's closing 0"),
        ("p inccnf\na 1 0\n1 2 0\n", 3, "clauses must come before the first cube"),
        ("a 1 0\na 1 -1 0\n", 2, "variable twice"),
        ("a 1 0\na 99999999999 0\n", 2, "found '99999999999'"),
        ("1 2 0\n3\n", 2, "ends inside a cube"),
        ("1 2\nx\n", 2, "found 'x'"),
        ("p inccnf\n1 2 0\n", 1, "no cube"),
        ("p cnf 2 1\n1 2 0\n", 1, "no cube"),
        ("p cnf 2 9\n1 2 0\na 1 0\n", 3, "announces 9 clauses, the file has 1"),
        ("c\np dnf 1 1\n1 0\n", 2, "found header 'p dnf 1 1'"),
        ("a 1 0\na 2\x0b3 0\n", 2, "found byte"),
        ("", None, "found no cube"),
    ],
)
def test_malformed_files_name_the_line(text: str, line: int | None, message: str) -> None:
    for packed in PACKERS.values():
        with pytest.raises(FormulaError, match=message) as caught:
            read(packed(text.encode()))
        assert caught.value.line == line


def test_fewer_clauses_than_announced_if_relaxed() -> None:
    assert read("p cnf 2 9\n1 2 0\na 1 0\n", limits=ReadLimits(relaxed=True)) == ([[1, 2]], [(1,)])


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FormulaError, match=r"none\.icnf: no such file; expected iCNF"):
        read_cubes(tmp_path / "none.icnf")
