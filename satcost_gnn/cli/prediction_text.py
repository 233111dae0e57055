"""Predictions as people read them: a block a file, a sentence a solver."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from satcost_gnn.cli.colour import styled
from satcost_gnn.cli.terminal import beside, columns, end_of, wrapped
from satcost_gnn.core.cost_text import amount_text, bounded_amount, percent_text
from satcost_gnn.core.distribution import UNIT_LABELS
from satcost_gnn.runtime.file_names import escaped
from satcost_gnn.runtime.tables.row_writers import Row, RowWriter
from satcost_gnn.serve.prediction import RELATIVE_COST
from satcost_gnn.serve.prediction_table import cutoff_column

# Characters of a line that a head needs beside the name of the file, at least.
_HEAD = 40
_UNLIKE = "unlike the training data: trust the numbers less"
# In texts that may be wrapped a number and its unit stay together.
_NO_BREAK = "\N{NO-BREAK SPACE}"


def _share_beyond(row: Row, probability: float | None) -> str:
    """Return the probability of not having ended by a cutoff; of one beyond what is known the most that it can be."""
    if probability is not None:
        return f"{percent_text(1.0 - probability)} not within"
    if row["p_above"] is None:
        return "unknown whether within"
    return f"at most {100 * max(row['p_above'], 0.01):.0f} % not within"


def cutoffs_text(row: Row, asked: Sequence[tuple[float, float | None]]) -> str:
    """Return how likely it is that a solver has not ended by some cutoffs: ``41 % not within 10 min or 1 h``.

    ``asked`` are cutoffs, and the probabilities of an end by them; None beyond what is known.
    """
    parts = []
    for share, some in groupby(asked, key=lambda one: _share_beyond(row, one[1])):
        parts.append(f"{share} {' or '.join(amount_text(cutoff, row['cost_unit']) for cutoff, _ in some)}")
    return ", ".join(parts)


def solver_text(row: Row, cutoffs: Sequence[float] = ()) -> str:
    """Return what one solver costs in a sentence: ``about 12 min (80 %: 2 min to 3 h); 41 % not within 1 h``.

    Parameters
    ----------
    row
        Of a prediction; see :mod:`satcost_gnn.serve.prediction_table`.
    cutoffs
        Those whose columns the row has; without any, its one cutoff is told of.
    """
    unit, bound = row["cost_unit"], row["known_up_to"]
    if row["status"] == "solved":
        # What was counted is told as it was counted.
        exact = amount_text(row["q50"], unit) if unit == "cpu_seconds" else f"{row['q50']:,.0f}"
        return f"{exact}, measured"
    median, low, high = (bounded_amount(row[name], bound, unit) for name in ("q50", "q10", "q90"))
    text = f"more than {median.removeprefix('> ')}" if row["q50"] is None else f"about {median}"
    if low != high:
        text += f" (80 %: {low} to {high})"
    asked = [(cutoff, row[cutoff_column(cutoff)]) for cutoff in cutoffs] or [(row["cutoff"], row["p_solved"])]
    return f"{text}; {cutoffs_text(row, asked)}"


def head_text(row: Row) -> str:
    """Return what a block begins with, after the name of the file: the answer, or where the numbers come from."""
    if row["status"] == "solved":
        return f"{row['result']}, answered by {row['solver']} in the early search"
    unlike = f"; {_UNLIKE}" if row["in_distribution"] is False else ""
    if row["result"]:
        return f"{row['result']}, answered in the early search, after the solver was changed to listen to it{unlike}"
    return f"predicted by {row['source']}{unlike}"


class PredictionText(RowWriter):
    """Prints a block for each file, as it comes; ``cutoffs`` are those whose columns the rows have."""

    def __init__(self, cutoffs: Sequence[float] = ()) -> None:
        self._cutoffs = cutoffs
        self._started = False

    def write(self, rows: Iterable[Row]) -> None:
        """Print the rows of one instance."""
        found = list(rows)
        name = end_of(escaped(Path(found[0]["path"]).name), max(columns() - _HEAD, 8))
        if found[0]["status"] == "error":
            print(styled(wrapped(f"{name}: {found[0]['error']}", ""), name, bold=True, fg="red"), flush=True)
            return
        if not self._started:
            print(f"{UNIT_LABELS[found[0]['cost_unit']]}: median, and in brackets an interval that holds 80 %")
            self._started = True
        # The row of the solver that was run tells what has become of the file.
        head = next((row for row in found if row["source"] != RELATIVE_COST), found[0])
        text = styled(wrapped(f"{name}: {head_text(head)}", ""), name, bold=True)
        print(styled(styled(text, _UNLIKE, fg="yellow"), head["result"] or "", fg="green"))
        longest = max(len(row["solver"]) for row in found)
        for row in found:
            begin = f"  {row['solver']}: ".ljust(longest + 4)
            text = beside(begin, _kept_together(solver_text(row, self._cutoffs)))
            print(text.replace(_NO_BREAK, " "))
        sys.stdout.flush()

    def close(self) -> None:
        """Nothing is held back."""


def _kept_together(text: str) -> str:
    """Return a sentence that is wrapped between its parts, or else after ``to``, never within an amount."""
    parts = (part.replace(" ", _NO_BREAK).replace(f"{_NO_BREAK}(", " (") for part in text.split("; "))
    return "; ".join(part.replace(f",{_NO_BREAK}", ", ") for part in parts)
