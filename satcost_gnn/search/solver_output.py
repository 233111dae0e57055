"""What a solver prints: its answer, its model, and what it has counted."""

from __future__ import annotations

import array
import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_COUNTERS = ("conflicts", "decisions", "propagations", "restarts")
_STATISTICS = (
    # MiniSat and most others: `c conflicts : 310 (62000 /sec)`. A count that is scaled ("12 M") is no count.
    re.compile(
        rb"(?:c\s+)?(?P<name>conflicts|decisions|propagations|restarts)\s*:\s*(?P<count>\d+)"
        rb"(?![\d.]*\s*[kKMG]\b)(?:[\s(].*)?"
    ),
    # PicoSAT with -v: `c 310 conflicts`.
    re.compile(rb"c (?P<count>\d+) (?P<name>conflicts|decisions|propagations|restarts)"),
    # clasp with --stats: `c Conflicts      : 310      (Analyzed: 310)`.
    re.compile(rb"(?:c )?(?P<name>Conflicts|Choices|Restarts)\s+: (?P<count>\d+)(?:\s.*)?"),
)
_OTHER_NAMES = {"choices": "decisions"}
# CaDiCaL: `c --- [ statistics ] ------`; Kissat has four dashes.
_SECTION = re.compile(rb"c --- \[ (.*) \] -+")
_CADICAL_STATISTICS = b"statistics"
_CADICAL_BANNER = b"c CaDiCaL "
_ANSWERS = {
    b"SATISFIABLE": "SAT",
    b"UNSATISFIABLE": "UNSAT",
    b"UNKNOWN": "UNKNOWN",
    b"INDETERMINATE": "UNKNOWN",
}
# First line of a file that MiniSat or Glucose wrote.
_RESULT_ANSWERS = {b"SAT": "SAT", b"UNSAT": "UNSAT", b"INDET": "UNKNOWN"}
_MEMORY_MARKS = (
    "bad_alloc",
    "out of memory",
    "out-of-memory",
    "outofmemory",
    "cannot allocate memory",
    "memory exhausted",
    "memoryerror",
)


@dataclass
class SolverOutput:
    """Reads what a solver prints, piece by piece, in bounded memory whatever it is.

    Parameters
    ----------
    n_vars
        Variables of the formula: many times more literals than that are no model.
    """

    n_vars: int
    answers: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    values: array.array[int] = field(default_factory=lambda: array.array("i"))
    malformed: str = ""
    last_line: str = ""
    memory_mark: str = ""
    _held: bytes = b""
    _cadical: bool = False
    _section: bytes = b""
    # Where the line began of which a part has been read: "v" for values, "-" for one that is passed over.
    _within: str = ""

    # A line is read in parts from this length on.
    longest_line = 1 << 20

    def feed(self, data: bytes) -> None:
        """Take in the next piece."""
        *lines, self._held = (self._held + data).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._held) > self.longest_line:
            if self._within == "v" or (not self._within and self._held.startswith(b"v")):
                cut = max(self._held.rfind(b" "), self._held.rfind(b"\t"), 0)
                self._values(self._held[:cut].removeprefix(b"" if self._within else b"v"))
                self._within, self._held = "v", self._held[cut:][-self.longest_line // 2 :]
            else:
                self._within, self._held = "-", b""

    def close(self) -> None:
        """Take in a last line without its end."""
        if self._held or self._within:
            self._line(self._held)
        self._held = b""

    def feed_result(self, path: Path) -> None:
        """Take in a file that MiniSat or Glucose wrote: ``SAT`` and the model, ``UNSAT`` or ``INDET``."""
        with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
            first = stream.readline(64).strip()
            if first in _RESULT_ANSWERS:
                self._answer(_RESULT_ANSWERS[first])
                self.feed(b"v ")
                while piece := stream.read(1 << 18):
                    self.feed(piece.replace(b"\n", b"\nv "))
                self.close()

    def _answer(self, answer: str) -> None:
        if answer not in self.answers:
            self.answers.append(answer)

    def _line(self, line: bytes) -> None:
        within, self._within = self._within, ""
        if within == "-":
            return
        line = line.strip()
        if within == "v":
            self._values(line)
        elif line[:2] in (b"v ", b"v\t", b"v"):
            self._values(line[1:])
        elif line.removeprefix(b"s ").strip() in _ANSWERS:
            self._answer(_ANSWERS[line.removeprefix(b"s ").strip()])
        elif line:
            self._statistic(line)
            self.note(line)

    def _statistic(self, line: bytes) -> None:
        section = _SECTION.match(line)
        if section is not None:
            # CaDiCaL leaves out every count that is zero; once the whole section is there, what is missing is.
            if self._section == _CADICAL_STATISTICS and self._cadical:
                self.counts = dict.fromkeys(_COUNTERS, 0) | self.counts
            self._section = section[1]
        elif line.startswith(_CADICAL_BANNER):
            self._cadical = True
        else:
            for pattern in _STATISTICS:
                found = pattern.fullmatch(line)
                if found is not None and len(found["count"]) < 19:
                    name = found["name"].decode().lower()
                    self.counts[_OTHER_NAMES.get(name, name)] = int(found["count"])

    def note(self, text: bytes) -> None:
        """Remember the last line of a text, which is told if the program fails, and any word of an exhausted memory."""
        for line in text.decode("utf-8", "replace").splitlines():
            line = line.strip()[:200]
            if line not in ("", "c"):
                self.last_line = line
            if any(mark in line.lower() for mark in _MEMORY_MARKS):
                self.memory_mark = line

    def _values(self, text: bytes) -> None:
        if self.malformed:
            return
        try:
            self.values.extend(map(int, text.split()))
        except (ValueError, OverflowError) as error:
            self.malformed = f"its model is no list of literals ({str(error)[:80]})"
        if len(self.values) > 4 * self.n_vars + 1024:
            self.malformed = f"its model has more than {4 * self.n_vars + 1024} literals for {self.n_vars} variables"
            del self.values[:]

    def model(self) -> NDArray[np.int64]:
        """Return the literals printed as the model, without zeros."""
        literals: NDArray[np.int64] = np.array(self.values, dtype=np.int64)
        literals = literals[literals != 0]
        return literals
