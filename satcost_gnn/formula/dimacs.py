"""DIMACS CNF: a reader into flat arrays, and a writer.

The reader streams: text is decompressed and parsed a few hundred kilobytes at a time, so that its memory is the
formula's arrays plus a constant, and a limit stops the decompression as soon as it is passed. A piece of text is parsed
by a compiled loop where the package was built with one; without, and where that refuses, with array operations over its
bytes; whatever these cannot vouch for goes, that piece only, to an exact parser that either reads it or names the line
at fault.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import FormulaError, FormulaTooLargeError
from satcost_gnn.formula.clause_text import clause_text
from satcost_gnn.formula.cnf import MAX_VARIABLE, Formula
from satcost_gnn.formula.compiled_scan import compiled_scan
from satcost_gnn.formula.compressed import PIECE, Readable
from satcost_gnn.formula.foreign_formats import foreign_header, foreign_name, foreign_word
from satcost_gnn.formula.growing_array import GrowingArray
from satcost_gnn.formula.text_stream import STANDARD_LIMITS, ReadLimits, TextPieces, open_bytes, system_errors

__all__ = [
    "ReadLimits",
    "parse_clauses",
    "parse_dimacs",
    "read_dimacs",
    "write_dimacs",
]

# A line longer than this is parsed in parts, so that a formula on one line does not cost more memory than another.
_LONGEST_LINE: Final = 1 << 20
_MAX_DIGITS: Final = len(str(MAX_VARIABLE))
_BLANKS: Final = b" \t\r"

_COMMENT_LINE: Final = re.compile(rb"^[ \t\r]*c[^\n]*", re.MULTILINE)
_COMMENT_IN_LINE: Final = re.compile(rb"(?:(?<=[ \t\r])|^)c(?=[ \t\r\n]|\Z)[^\n]*", re.MULTILINE)
_END_LINE: Final = re.compile(rb"^[ \t\r]*%", re.MULTILINE)
_TOKEN: Final = re.compile(rb"[^ \t\r\n]+")
_INTEGER: Final = re.compile(rb"-?[0-9]+")


def read_dimacs(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    limits: ReadLimits = STANDARD_LIMITS,
    name: str | None = None,
    deadline: float | None = None,
) -> Formula:
    """Read a DIMACS CNF.

    Clauses may run over several lines or share one; comments may stand on any line, and after a clause as a lone ``c``;
    a line that starts with ``%`` ends the formula (SATLIB). A missing header, and one that announces less than the
    body has, are warnings in :attr:`Formula.warnings`: the body counts. A body with fewer clauses than announced may
    be what is left of a larger one: it is an error, unless the limits are ``relaxed``.

    Parameters
    ----------
    path
        File name, ``"-"`` for standard input, or a binary stream (which is left open). Text compressed by gzip, bzip2,
        xz, lzma or zstandard is recognised by its first bytes, whatever the name; all of it is verified, with its check
        sums. A pipe, ``/dev/stdin`` and ``/dev/fd/N`` are read like files.
    limits
        Largest input accepted, and how strictly it is read.
    name
        Name of the input for messages and :attr:`Formula.source`, if not its own.
    deadline
        When to give up, on the clock of :func:`time.monotonic`; None for never.

    Raises
    ------
    FormulaError
        If the input cannot be opened, is no text, is truncated or malformed, or does not end by the deadline; the
        message names the line.
    FormulaTooLargeError
        If a limit is passed.
    """
    if not isinstance(path, str | os.PathLike):
        source = name or str(getattr(path, "name", "<stream>"))
        with system_errors(source):
            return _parse_stream(path, source, limits, deadline)
    found = os.fsdecode(path)
    with open_bytes(found, deadline) as stream:
        return _parse_stream(stream, name or ("<stdin>" if found == "-" else found), limits, deadline)


def parse_dimacs(data: bytes, source: str = "<bytes>", limits: ReadLimits = STANDARD_LIMITS) -> Formula:
    """Parse a DIMACS CNF held in memory, plain or compressed; otherwise like :func:`read_dimacs`."""
    return _parse_stream(BytesIO(data), source, limits, None)


def parse_clauses(text: bytes, source: str, limits: ReadLimits, header: tuple[int, int] | None) -> Formula:
    """Parse the clauses of a text whose header, if it has one, has been taken out and is given as its two numbers."""
    parser = _Parser(source, limits, header)
    for start in range(0, len(text), PIECE):
        if parser.feed(text[start : start + PIECE]):
            break
    return parser.finish(len(text), ())


def _parse_stream(stream: Readable, source: str, limits: ReadLimits, deadline: float | None) -> Formula:
    text = TextPieces(stream, source, limits.max_bytes, deadline)
    parser = _Parser(source, limits)
    pieces = iter(text)
    for piece in pieces:
        if parser.feed(piece):
            text.verify_rest(pieces)
            break
    return parser.finish(text.size, text.warnings)


def write_dimacs(formula: Formula, path: str | os.PathLike[str] | BinaryIO) -> None:
    """Write a formula as plain DIMACS text, one clause a line, to a file or a binary stream."""
    if isinstance(path, str | os.PathLike):
        with Path(path).open("wb") as stream:
            write_dimacs(formula, cast(BinaryIO, stream))
        return
    path.write(b"p cnf %d %d\n" % (formula.n_vars, formula.n_clauses))
    for text in clause_text(formula, newline=True):
        path.write(text)


# ------------------------------------------------------------------------------------------------------------ parser


# For a number of ``n`` digits that ends an 8-byte word, the bits that hold its digits' values.
_DIGIT_MASKS: Final = np.array(
    [int.from_bytes(bytes(8 - n) + b"\x0f" * n, "little") for n in range(9)], dtype=np.uint64
)
_PAIRS, _QUADS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
_BY_10, _BY_100, _BY_10000 = np.uint64(10 * 2**8 + 1), np.uint64(100 * 2**16 + 1), np.uint64(10000 * 2**32 + 1)
_SHIFT_8, _SHIFT_16, _SHIFT_32 = np.uint64(8), np.uint64(16), np.uint64(32)


def _fast_integers(text: bytes) -> NDArray[np.int32] | None:
    """Parse blank-separated integers, or return None unless every one is surely well formed and in range.

    Numbers are found as runs of digits by comparing neighbouring bytes. The eight bytes that end at a run's end are
    taken as one 64-bit word and summed up by three multiplications, digits to pairs to fours to eight (D. Lemire,
    "Quickly parsing eight digits", 2018); ninth and tenth digits are rare and added afterwards.
    """
    # Eight bytes in front make room for the first number's word; the blank behind ends the last number.
    padded = b"        " + text + b" "
    codes = np.frombuffer(padded, dtype=np.uint8)
    is_digit = (codes - np.uint8(ord("0"))) < 10
    is_minus = codes == ord("-")
    n_minus = np.count_nonzero(is_minus)
    n_known = np.count_nonzero(is_digit) + n_minus
    for blank in b" \n\r\t":
        n_known += np.count_nonzero(codes == blank)
        if n_known == len(codes):
            break
    else:
        return None
    # Positions are those of `codes` less 7, so that the last digit's is that of the word that ends there.
    edges = np.flatnonzero(is_digit[8:] != is_digit[7:-1])  # before the first digit, on the last digit, in turn
    before, last = edges[0::2], edges[1::2]
    if not len(last):
        return None if n_minus else np.zeros(0, dtype=np.int32)
    length = last - before
    negative = is_minus[7:][before]
    # Every minus must stand right before a number, and must not follow a digit.
    if np.count_nonzero(negative) != n_minus or (is_digit[:-1] & is_minus[1:]).any():
        return None
    longest = int(length.max())
    if longest > _MAX_DIGITS:
        return None
    words = np.ndarray((len(codes) - 7,), np.uint64, padded, 0, (1,))
    value = words[last]
    value &= _DIGIT_MASKS[length if longest <= 8 else np.minimum(length, 8)]
    value *= _BY_10
    value >>= _SHIFT_8
    value &= _PAIRS
    value *= _BY_100
    value >>= _SHIFT_16
    value &= _QUADS
    value *= _BY_10000
    value >>= _SHIFT_32
    if longest > 8:
        for place in range(8, longest):
            longer = np.flatnonzero(length > place)
            digit = codes[last[longer] + 7 - place] - np.uint8(ord("0"))
            value[longer] += digit.astype(np.uint64) * np.uint64(10**place)
        if int(value.max()) > MAX_VARIABLE:
            return None
    signed = value.astype(np.int32)
    minus_one = negative.view(np.int8).astype(np.int32)
    signed ^= -minus_one
    signed += minus_one
    return None if (negative & (signed == 0)).any() else signed


class _Parser:
    """Takes text in pieces of any size and returns the formula at the end."""

    def __init__(self, source: str, limits: ReadLimits, header: tuple[int, int] | None = None) -> None:
        self._source = source
        self._limits = limits
        self._rest = b""
        self._line = 1  # of the next byte to parse
        self._at_line_start = True
        self._in_comment = False
        self._ended = False
        self._in_body = False
        self._header = header
        self._scan = compiled_scan()
        self._literals = GrowingArray(np.int32)
        self._offsets = GrowingArray(np.int64)
        self._offsets.extend(np.zeros(1, dtype=np.int64))
        self._largest = 0
        self._open_line: int | None = None  # line of the last literal, while its clause is not closed

    def feed(self, piece: bytes) -> bool:
        """Take text; return True once nothing after it matters."""
        cut = piece.rfind(b"\n") + 1
        if cut:
            start = self._scanned_lines(piece, cut)
            text = b"".join((self._rest, memoryview(piece)[start:cut]))
            self._rest = piece[cut:]
            if text and not self._ended:
                self._lines(text)
        else:
            self._rest += piece
        if len(self._rest) > _LONGEST_LINE and not self._ended:
            self._rest = self._part_of_line(self._rest)
        return self._ended

    def finish(self, n_bytes: int, warnings: Iterable[str]) -> Formula:
        """Return the formula; raises FormulaError if the text may not end here."""
        if self._rest and not self._ended:
            self._lines(self._rest)
        if self._open_line is not None:
            raise FormulaError(
                f"the text ends inside clause {len(self._offsets)}; expected its closing 0: the file may be truncated",
                self._source,
                self._open_line,
            )
        if n_bytes == 0:
            raise FormulaError(
                "the file is empty; expected a DIMACS CNF ('p cnf VARIABLES CLAUSES', clauses)", self._source
            )
        n_clauses = len(self._offsets) - 1
        if self._header is None and n_clauses == 0:
            raise FormulaError("found neither a header nor a clause; expected a DIMACS CNF", self._source, self._line)
        foreign = foreign_name(self._source) if self._header is None else ""
        if foreign:
            self._fail(f"found no header, and by the name it is {foreign}; expected 'p cnf VARIABLES CLAUSES'", 1)
        if self._header is not None and self._header[1] > n_clauses and (not n_clauses or not self._limits.relaxed):
            found = f"the header announces {self._header[1]} clauses"
            raise FormulaError(
                f"{found}, the file has {n_clauses}; it may be truncated: fetch it again, or read it as it is with "
                "--relaxed (ReadLimits(relaxed=True))"
                if n_clauses
                else f"{found} and none follows; the file may be truncated",
                self._source,
                self._line,
            )
        n_vars = max(self._largest, self._header[0] if self._header else 0)
        literals, offsets = self._literals.finished(), self._offsets.finished()
        return Formula(literals, offsets, n_vars, self._source, (*warnings, *self._warnings(n_clauses)))

    def _warnings(self, n_clauses: int) -> tuple[str, ...]:
        if self._header is None:
            return ("no header 'p cnf VARIABLES CLAUSES'; sizes are taken from the clauses",)
        warnings = []
        if self._header[0] < self._largest:
            warnings.append(f"the header announces {self._header[0]} variables, the clauses use {self._largest}")
        if self._header[1] != n_clauses:
            warnings.append(f"the header announces {self._header[1]} clauses, the file has {n_clauses}")
        return tuple(warnings)

    def _scanned_lines(self, piece: bytes, end: int) -> int:
        """Parse a piece up to a line's end by the compiled loop, where it lies; return how far it is parsed."""
        if not self._scan:
            return 0
        start = 0
        if self._rest:
            start = piece.index(b"\n") + 1
            self._lines(self._rest + piece[:start])
            self._rest = b""
        in_body = self._in_body and self._at_line_start and not self._in_comment and not self._ended
        return end if in_body and self._scanned(piece, start, end) else start

    def _part_of_line(self, text: bytes) -> bytes:
        """Parse what is complete of a very long line's start; return the rest."""
        if self._in_comment:
            return b""
        if not self._in_body and self._at_line_start and text.lstrip(_BLANKS)[:1] in (b"p", b""):
            if text.strip(_BLANKS):
                self._fail("found a header of more than a million characters; expected 'p cnf VARIABLES CLAUSES'")
            return b""
        cut = max(text.rfind(b" "), text.rfind(b"\t")) + 1
        start = _COMMENT_LINE.match(text) if self._at_line_start else None
        start = start or _COMMENT_IN_LINE.search(text, 0, cut)
        if start:
            self._lines(text[: start.start()])
            self._in_comment = True
            return b""
        if not cut:
            if text.strip(_BLANKS):
                self._fail(f"found a word of more than {_LONGEST_LINE} characters; expected a signed variable number")
            return b""
        self._lines(text[:cut])
        self._at_line_start = False
        return text[cut:]

    def _lines(self, text: bytes) -> None:
        """Parse text that ends at a line's end, at the end of the input, or between two tokens of a long line."""
        if self._in_comment:
            end = text.find(b"\n")
            if end < 0:
                return
            text = text[end:]
            self._in_comment = False
            self._at_line_start = False
        if not self._in_body:
            text = self._head_of(text)
        if text and not self._scanned(text, 0, len(text)):
            self._clauses(text)
            # Faster than bytes.count where the byte is frequent.
            self._line += int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n")))
        self._at_line_start = True

    def _head_of(self, text: bytes) -> bytes:
        """Consume comments, blank lines and the header; return what follows them."""
        position = 0
        while position < len(text):
            end = text.find(b"\n", position)
            end = len(text) if end < 0 else end
            line = text[position:end].strip(_BLANKS)
            first = line[:1]
            if first not in (b"", b"c"):
                self._in_body = True
                if first != b"p":
                    return text[position:]
                self._header = self._parse_header(line)
                return text[end:]
            self._line += end < len(text)
            position = end + 1
        return b""

    def _parse_header(self, line: bytes) -> tuple[int, int]:
        words = _TOKEN.findall(_COMMENT_IN_LINE.sub(b"", line))
        if len(words) != 4 or words[:2] != [b"p", b"cnf"] or not (words[2].isdigit() and words[3].isdigit()):
            self._fail(f"found {foreign_header(words) or 'header'} {_shown(line)}; expected 'p cnf VARIABLES CLAUSES'")
        if max(len(words[2]), len(words[3])) > 18:
            self._fail(f"found header {_shown(line)}; a number in it is out of range")
        n_vars, n_clauses = int(words[2]), int(words[3])
        if n_vars > MAX_VARIABLE:
            self._fail(f"the header announces {n_vars} variables; the largest variable is {MAX_VARIABLE}")
        if n_vars > self._limits.max_vars:
            self._too_large(f"the header announces {n_vars} variables", "max_vars", self._limits.max_vars, self._line)
        return n_vars, n_clauses

    def _scanned(self, text: bytes, start: int, end: int) -> bool:
        """Parse clauses by the compiled loop and count their lines; False, and nothing done, if it refuses them."""
        if not self._scan:
            return False
        found = self._scan(text, start, end, self._at_line_start, self._literals, self._offsets)
        if found is None or max(found.largest, self._largest) > self._limits.max_vars:
            return False
        if len(self._literals) + found.n_literals > self._limits.max_literals:
            return False
        self._literals.take(found.n_literals)
        self._offsets.take(found.n_ends)
        self._largest = max(self._largest, found.largest)
        if found.n_literals or found.n_ends:
            self._open_line = self._line + found.open_line_ends if found.is_open else None
        self._line += found.n_line_ends
        return True

    def _clauses(self, text: bytes) -> None:
        """Parse clauses, of which the first and the last may be incomplete."""
        text = self._without_comments(text)
        if b"%" in text:
            text = self._before_end_mark(text)
        values = _fast_integers(text)
        if values is None:
            values = self._exact_integers(text)
        if not len(values):
            return
        is_literal = values != 0
        literals = values.compress(is_literal)
        ends = np.flatnonzero(~is_literal)
        ends -= np.arange(len(ends))
        ends += len(self._literals)
        n_literals = len(self._literals) + len(literals)
        if len(literals):
            self._largest = max(self._largest, int(literals.max()), -int(literals.min()))
        if n_literals > self._limits.max_literals or self._largest > self._limits.max_vars:
            self._exact_integers(text)
        self._literals.extend(literals)
        self._offsets.extend(ends)
        if is_literal[-1]:
            used = text.rstrip(b" \t\r\n")
            self._open_line = self._line + used.count(b"\n")
        else:
            self._open_line = None

    def _without_comments(self, text: bytes) -> bytes:
        if b"c" not in text:
            return text
        first = b""
        if not self._at_line_start:
            end = text.find(b"\n") % (len(text) + 1)
            first, text = text[:end], text[end:]
        text = first + _COMMENT_LINE.sub(b"", text)
        return _COMMENT_IN_LINE.sub(b"", text) if b"c" in text else text

    def _before_end_mark(self, text: bytes) -> bytes:
        start = 0 if self._at_line_start else text.find(b"\n") % (len(text) + 1)
        found = _END_LINE.search(text, start)
        if not found:
            return text
        self._ended = True
        return text[: found.start()]

    def _exact_integers(self, text: bytes) -> NDArray[np.int32]:
        """Parse token by token; raises at the first that is malformed, out of range or over a limit."""
        n_literals = len(self._literals)
        values = []
        line, counted = self._line, 0
        for token in _TOKEN.finditer(text):
            line += text.count(b"\n", counted, token.start())
            counted = token.start()
            word = token.group()
            if not _INTEGER.fullmatch(word):
                self._bad_token(word, line)
            digits = word.lstrip(b"-").lstrip(b"0")
            value = int(digits or b"0") if len(digits) <= _MAX_DIGITS else MAX_VARIABLE + 1
            if value > MAX_VARIABLE:
                self._fail(f"literal {_shown(word)} is out of range; the largest variable is {MAX_VARIABLE}", line)
            if value > self._limits.max_vars:
                self._too_large(f"found variable {value}", "max_vars", self._limits.max_vars, line)
            if value == 0 and word.startswith(b"-"):
                self._fail("found '-0'; expected a literal, or 0 at the end of a clause", line)
            n_literals += value != 0
            if n_literals > self._limits.max_literals:
                self._too_large(f"found {n_literals} literals", "max_literals", self._limits.max_literals, line)
            values.append(-value if word.startswith(b"-") else value)
        return np.array(values, dtype=np.int32)

    def _bad_token(self, word: bytes, line: int) -> NoReturn:
        hint = foreign_word(word)
        if not hint and any(code < 32 or code > 126 for code in word[:40]):
            found = f"found bytes {_shown(word)}, which are no DIMACS text"
        else:
            found = f"found {_shown(word)}" + (f", {hint}" if hint else "")
        self._fail(f"{found}; expected a signed variable number, 0, or a comment line", line)

    def _fail(self, message: str, line: int | None = None) -> NoReturn:
        raise FormulaError(message, self._source, self._line if line is None else line)

    def _too_large(self, found: str, name: str, limit: int, line: int) -> NoReturn:
        raise FormulaTooLargeError(f"{found}; the limit is {limit}: raise {name} to read it", self._source, line)


def _shown(word: bytes) -> str:
    """Return input for a message: quoted, at most 40 characters."""
    text = word[:40].decode("ascii", "backslashreplace") if word.isascii() else repr(word[:20])[2:-1]
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return f"'{text}'" + ("…" if len(word) > 40 else "")
