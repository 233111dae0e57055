"""Formulas with cubes (iCNF), and files of cubes alone, read as carefully as DIMACS: by words, to the closing 0."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import BinaryIO, Final, NoReturn

from satcost_gnn.errors import FormulaError
from satcost_gnn.formula.cnf import MAX_VARIABLE, Formula
from satcost_gnn.formula.dimacs import parse_clauses
from satcost_gnn.formula.foreign_formats import foreign_header
from satcost_gnn.formula.text_stream import STANDARD_LIMITS, ReadLimits, read_text_bytes

__all__ = ["read_cubes"]

_COMMENT: Final = re.compile(rb"(?:^[ \t\r]*c|(?<=[ \t\r])c(?=[ \t\r\n]|\Z))[^\n]*", re.MULTILINE)
_END: Final = re.compile(rb"^[ \t\r]*%", re.MULTILINE)
_HEADER: Final = re.compile(rb"\s*(p[ \t][^\n]*)")
# A lone `a`, its words, and the 0.
_CUBE: Final = re.compile(rb"(?<!\S)a(?!\S)((?:\s+(?!0+(?!\S))[^\sa]\S*)*)(\s+0+(?!\S))?")
_WORD: Final = re.compile(rb"\S+")
# Blanks to regular expressions, not to DIMACS.
_NO_BLANK: Final = re.compile(rb"[\x0b\x0c]")
_LITERAL: Final = re.compile(rb"-?[0-9]{1,11}")

Cube = tuple[int, ...]


def read_cubes(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    limits: ReadLimits = STANDARD_LIMITS,
    deadline: float | None = None,
) -> tuple[Formula | None, list[Cube]]:
    """Read cubes, and the formula if there is one with them.

    Parameters
    ----------
    path
        An iCNF file (``p inccnf`` or ``p cnf V C``, clauses, and cubes as ``a 1 -2 0``); a file of such cubes alone; or
        cubes as bare literals, each with its 0, or one a line if there is no 0 at all. Anything that
        :func:`~satcost_gnn.formula.dimacs.read_dimacs` takes: ``-``, pipes, packed files, streams. Comments are as in
        DIMACS, and as there a line end ends nothing.
    limits, deadline
        As in :func:`~satcost_gnn.formula.dimacs.read_dimacs`.

    Returns
    -------
    (Formula or None, list of tuple of int)
        The formula, None if there are no clauses; and the cubes in order.

    Raises
    ------
    FormulaError
        If it can't be read, something is neither clause nor cube, or there is no cube. The message names the line.
    """
    if isinstance(path, str | os.PathLike):
        name = os.fsdecode(path)
        name = "<stdin>" if name == "-" else name
    else:
        name = str(getattr(path, "name", "<stream>"))
    text = read_text_bytes(path, "iCNF or a list of cubes", max_bytes=limits.max_bytes, deadline=deadline)
    return _Reader(text, name, limits).read()


class _Reader:
    def __init__(self, text: bytes, source: str, limits: ReadLimits) -> None:
        # Line ends stay where they are: places tell lines.
        text = _COMMENT.sub(b"", text)
        end = _END.search(text)
        self._text = text[: end.start()] if end else text
        self._source, self._limits = source, limits

    def read(self) -> tuple[Formula | None, list[Cube]]:
        """Return formula and cubes."""
        odd = _NO_BLANK.search(self._text)
        if odd is not None:
            self._fail(f"found byte {odd[0]!r}, which is no iCNF text; expected numbers, blanks and 'a'", odd.start())
        header = _HEADER.match(self._text)
        sizes, start = (self._sizes(header), header.end()) if header else (None, 0)
        matches = list(_CUBE.finditer(self._text, start))
        if not matches:
            if header:
                self._fail("found a header and no cube; expected cubes such as 'a 1 -2 0' behind the clauses", start)
            return None, self._bare_cubes()
        cubes: list[Cube] = []
        between: list[bytes] = []
        position = start
        for found in matches:
            words = self._text[position : found.start()].split()
            if cubes:
                self._check_no_clause(position, found.start())
            elif words and words[-1].strip(b"0"):
                self._fail(
                    "found a cube ('a') inside a clause; expected the clause's closing 0 before it", found.start()
                )
            cubes.append(self._cube(found))
            between.append(self._text[position : found.start()])
            between.append(b" " + b"\n" * found.group().count(b"\n"))
            position = found.end()
        self._check_no_clause(position, len(self._text))
        rest = b"\n" * self._text.count(b"\n", 0, start) + b"".join(between)
        if not rest.strip():
            return None, cubes
        if sizes is not None and sizes[1] == len(cubes) + _count_zeros(rest):
            # Some count the cubes, too.
            sizes = (sizes[0], _count_zeros(rest))
        formula = parse_clauses(rest, self._source, self._limits, sizes)
        # No header is what iCNF has, and nothing to warn of.
        return (replace(formula, warnings=()) if sizes is None else formula), cubes

    def _sizes(self, header: re.Match[bytes]) -> tuple[int, int] | None:
        words = header[1].split()
        numbers = words[2:]
        good = words[1] in (b"cnf", b"inccnf") and all(word.isdigit() and len(word) < 19 for word in numbers)
        if words[0] != b"p" or not good or len(numbers) not in ((0, 2) if words[1] == b"inccnf" else (2,)):
            shown = header[1].strip()[:40].decode("ascii", "backslashreplace")
            what = foreign_header(words) or "header"
            self._fail(f"found {what} {shown!r}; expected 'p inccnf' or 'p cnf VARIABLES CLAUSES'", header.start(1))
        if not numbers:
            return None
        if int(numbers[0]) > min(MAX_VARIABLE, self._limits.max_vars):
            self._fail(f"the header announces {int(numbers[0])} variables, which are too many", header.start(1))
        return int(numbers[0]), int(numbers[1])

    def _check_no_clause(self, start: int, end: int) -> None:
        """Refuse what stands between cubes: as a clause it would hold for those behind it only."""
        word = _WORD.search(self._text, start, end)
        if word is not None:
            shown = word[0][:40].decode("ascii", "backslashreplace")
            self._fail(
                f"found {shown!r} behind a cube's closing 0; expected the next cube ('a'): clauses must come before "
                "the first cube, or they would not hold for all of them",
                word.start(),
            )

    def _cube(self, found: re.Match[bytes]) -> Cube:
        literals = self._literals(found.start(1), found.end(1))
        if found[2] is None:
            behind = _WORD.search(self._text, found.end())
            shown = "the end" if behind is None else repr(behind[0][:40].decode("ascii", "backslashreplace"))
            place = found.end() if behind is None else behind.start()
            self._fail(f"found {shown} inside a cube; expected a signed variable number or the cube's closing 0", place)
        return self._checked(literals, found.start())

    def _literals(self, start: int, end: int) -> list[int]:
        literals = []
        for word in _WORD.finditer(self._text, start, end):
            if not _LITERAL.fullmatch(word[0]) or not 0 < abs(int(word[0])) <= MAX_VARIABLE:
                shown = word[0][:40].decode("ascii", "backslashreplace")
                self._fail(f"found {shown!r}; expected a cube: signed variable numbers and a closing 0", word.start())
            literals.append(int(word[0]))
        return literals

    def _checked(self, literals: list[int], place: int) -> Cube:
        if len({abs(literal) for literal in literals}) < len(literals):
            self._fail(f"found a variable twice in cube {literals}; expected distinct ones", place)
        return tuple(literals)

    def _bare_cubes(self) -> list[Cube]:
        """Read cubes without a mark: to their zeros, or one a line where there is no 0."""
        text = self._text
        zeros = list(re.finditer(rb"(?<!\S)0+(?!\S)", text))
        if not text.strip():
            self._fail("found no cube; expected cubes such as 'a 1 -2 0'", None)
        cubes: list[Cube] = []
        position = 0
        if not zeros:
            lines = re.finditer(rb"[^\n]*\S[^\n]*", text)
            return [self._checked(self._literals(*line.span()), line.start()) for line in lines]
        for zero in zeros:
            first = _WORD.search(text, position)
            assert first is not None
            cubes.append(self._checked(self._literals(position, zero.start()), first.start()))
            position = zero.end()
        left = _WORD.search(text, position)
        if left is not None:
            self._literals(position, len(text))
            self._fail("the text ends inside a cube; expected its closing 0: the file may be truncated", left.start())
        return cubes

    def _fail(self, message: str, place: int | None) -> NoReturn:
        line = None if place is None else self._text.count(b"\n", 0, place) + 1
        raise FormulaError(message, self._source, line)


def _count_zeros(text: bytes) -> int:
    return sum(1 for _ in re.finditer(rb"(?<!\S)0+(?!\S)", text))
