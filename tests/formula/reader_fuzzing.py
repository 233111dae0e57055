"""Mutated DIMACS texts for the reader, which must agree with a slow and plain parser on every one of them.

Where the package has its compiled part, the reader must do and say the same without it.

The test takes 20,000; for ten million, over all cores, run

    python tests/formula/reader_fuzzing.py --inputs 10000000 --jobs 8

What is found wrong is printed as a line for ``reader_corpus.txt``, whose inputs every test run reads again.
"""

from __future__ import annotations

import argparse
import ast
import bz2
import gzip
import lzma
import random
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from pathlib import Path
from unittest.mock import patch

import zstandard

from satcost_gnn.errors import FormulaError
from satcost_gnn.formula import ReadLimits, dimacs, read_dimacs
from satcost_gnn.formula.compiled_scan import compiled_scan

CORPUS = Path(__file__).with_name("reader_corpus.txt")
WIDE = ReadLimits(max_vars=2**31 - 1)
LIMITS = (WIDE, WIDE, ReadLimits(max_vars=11), ReadLimits(max_literals=6), ReadLimits(relaxed=True))
PACKERS: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: gzip.compress(data, 1),
    lambda data: bz2.compress(data, 1),
    lambda data: lzma.compress(data, preset=0),
    zstandard.ZstdCompressor(level=1, write_checksum=True).compress,
)
TOKENS = [
    *(
        "0",
        "1",
        "-2",
        "7",
        "-",
        "--1",
        "-0",
        "00",
        "+3",
        "1e3",
        "1.5",
        "x1",
        "x",
        "c",
        "c ",
        "cc",
        "p",
        "%",
        "% ",
        "h",
        "w",
    ),
    *(
        "a",
        "e",
        "d",
        "<=",
        ">=",
        "2147483647",
        "-2147483648",
        "99999999999",
        "012",
        "-012",
        "p cnf 3 2",
        "p cnf 9 0",
        "1-2",
    ),
    *(
        "\n",
        "\r\n",
        "\n\n",
        "\t",
        " ",
        "\r",
        "\x00",
        "\x0b",
        "\x0c",
        "\xa0",
        "é",
        "\ufeff",
        "s SATISFIABLE",
        "v 1 0",
        "p wcnf 1 1",
    ),
]
LAYOUTS = [" ", "  ", "\t", "\n", "\r\n", " \n ", "\nc 5 0 x\n", " c trailing\n", "\n  c\n", "\ncomment %\n"]


def reference(data: bytes) -> list[list[int]] | int | None:
    """Parse slowly and plainly: clauses, or the line of the first error (None where it has none)."""
    clauses: list[list[int]] = []
    clause: list[int] = []
    announced, last_line, in_body, has_header = 0, 1, False, False
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        words = re.findall(rb"[^ \t\r]+", line)
        if not words or words[0].startswith(b"c"):
            continue
        if not in_body and words[0].startswith(b"p"):
            words = words[: words.index(b"c")] if b"c" in words else words
            if not re.fullmatch(rb"p cnf [0-9]{1,18} [0-9]{1,18}", b" ".join(words)) or int(words[2]) >= 2**31:
                return number
            in_body, has_header, announced = True, True, int(words[3])
            continue
        in_body = True
        if words[0].startswith(b"%"):
            break
        for word in words[: words.index(b"c")] if b"c" in words else words:
            if not re.fullmatch(rb"-?[0-9]+", word) or re.fullmatch(rb"-0+", word) or abs(int(word)) >= 2**31:
                return number
            last_line = number
            clause.append(int(word))
            if not int(word):
                clauses.append(clause[:-1])
                clause = []
    if clause:
        return last_line
    return clauses if len(clauses) >= announced and (clauses or has_header) else None


def made(rng: random.Random) -> bytes:
    """Return a text, at first as it should be, then perhaps changed in a few places."""
    clauses = [
        [rng.choice((1, -1)) * rng.randint(1, 12) for _ in range(rng.randint(0, 5))] for _ in range(rng.randint(0, 9))
    ]
    layout = rng.choice([LAYOUTS, [" "], ["\n"]])
    words = [str(word) + rng.choice(layout) for clause in clauses for word in [*clause, 0]]
    if rng.random() < 0.8:
        words.insert(0, f"p cnf {rng.choice([0, 12, 99])} {max(0, len(clauses) + rng.choice([0, 0, 0, 1, -1]))}\n")
    if rng.random() < 0.1:
        words.append("\n%\n0\n")
    for _ in range(rng.choice([0, 0, 1, 1, 2, 5])):
        place = rng.randrange(len(words) + 1)
        change = rng.randrange(6)
        if change < 3:
            words.insert(place, rng.choice(("", " ")) + rng.choice(TOKENS) + rng.choice(("", " ", "\n")))
        elif words and change == 3:
            del words[place - 1]
        elif words and change == 4:
            words.insert(place, words[place - 1])
        else:
            rng.shuffle(words)
    data = bytearray("".join(words).encode("utf-8"))
    if data and rng.random() < 0.1:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    if rng.random() < 0.1:
        del data[rng.randrange(len(data) + 1) :]
    return bytes(data)


class Drip(BytesIO):
    """A stream that gives few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self.size = size

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self.size if size is None or size < 0 else min(size, self.size))


def outcome(data: bytes, size: int = 1 << 20, longest: int = 1 << 20) -> list[list[int]] | FormulaError:
    """Read with the reader."""
    with patch.object(dimacs, "_LONGEST_LINE", longest):
        try:
            return read_dimacs(Drip(data, size), limits=WIDE).clauses()
        except FormulaError as error:
            return error


def described(data: bytes, size: int, longest: int, limits: ReadLimits = WIDE) -> tuple[object, ...]:
    """Return all that reading an input gives, to be compared."""
    with patch.object(dimacs, "_LONGEST_LINE", longest):
        try:
            formula = read_dimacs(Drip(data, size), limits=limits)
        except FormulaError as error:
            return type(error), str(error), error.line
    arrays = [(array.dtype, array.tolist()) for array in (formula.literals, formula.offsets)]
    return *arrays, formula.n_vars, formula.warnings


def difference_in_python(data: bytes, size: int, longest: int, limits: ReadLimits = WIDE) -> str:
    """Return how the reader differs from itself without its compiled part, empty if it does not or has none."""
    if compiled_scan() is None:
        return ""
    compiled = described(data, size, longest, limits)
    with patch.object(dimacs, "compiled_scan", lambda: None):
        python = described(data, size, longest, limits)
    return "" if compiled == python else f"compiled: {compiled}, in Python: {python}"


def complaint(data: bytes, rng: random.Random) -> str:
    """Return what is wrong with how the reader takes an input, empty if nothing is."""
    foreign = (b"PK\x03\x04", b"\x1f", b"BZh", b"\xfd7z", b"]\0\0", b"(\xb5", b"7z", b"\xff\xfe", b"\xfe\xff")
    if data.startswith(foreign) or re.match(rb"[\x50-\x5f]\*M\x18", data):
        return ""
    expected = reference(data)
    # Words beyond the longest line are refused without a look.
    longest = rng.choice([40, 1 << 20]) if max(map(len, re.findall(rb"[^ \t\r\n]+", data)), default=0) < 30 else 1 << 20
    size = rng.choice([*range(1, 8), 50, 1 << 20])
    found = outcome(data, size, longest)
    if text := difference_in_python(data, size, longest, rng.choice(LIMITS)):
        return text
    if isinstance(expected, list):
        if found != expected:
            return f"expected {expected}, found {found}"
    elif not isinstance(found, FormulaError):
        return f"expected an error, found {found}"
    elif expected is not None and found.line != expected:
        return f"expected an error in line {expected}, found {found}"
    if rng.random() < 0.1:
        return packed_complaint(data, found, rng)
    return ""


def packed_complaint(data: bytes, plain: list[list[int]] | FormulaError, rng: random.Random) -> str:
    """Return what is wrong with how the reader takes the input packed in two parts, and with one bit flipped."""
    pack = rng.choice(PACKERS)
    cut = rng.randrange(len(data) + 1)
    packed = bytearray(pack(data[:cut]) + pack(data[cut:]))
    found = outcome(bytes(packed), rng.choice([5, 1 << 20]))
    if isinstance(plain, list) != isinstance(found, list) or (isinstance(plain, list) and plain != found):
        return f"plain it is {plain}, packed {found}"
    packed[rng.randrange(len(packed))] ^= 1 << rng.randrange(8)
    damaged = outcome(bytes(packed))
    if isinstance(damaged, list) and damaged != plain and not packed.startswith((b"p", b"c")):
        return f"plain it is {plain}, damaged {damaged}: {bytes(packed)!r}"
    return ""


def corpus() -> Iterator[bytes]:
    """Yield the inputs that have been found wrong once."""
    for line in CORPUS.read_text().splitlines():
        if not line.startswith("#"):
            yield ast.literal_eval(line)


def complaints(seed: int, count: int) -> list[str]:
    """Return what is wrong with some inputs, each with the input."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        data = made(rng)
        try:
            text = complaint(data, rng)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
        if text:
            found.append(f"{data!r}  # {text}")
    return found


def main() -> int:
    """Run the command; the exit code is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    portion = 10_000
    seeds = range(options.seed, options.seed + -(-options.inputs // portion))
    wrong = 0
    with ProcessPoolExecutor(options.jobs) as pool:
        for done, found in enumerate(pool.map(complaints, seeds, [portion] * len(seeds)), start=1):
            wrong += len(found)
            for line in found:
                print(line)
            print(f"{done * portion:,} inputs, {wrong} wrong", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
