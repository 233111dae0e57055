"""Numbers of a report as text."""

from __future__ import annotations

import math

from satcost_gnn.evaluate.comparison import Comparison, Value
from satcost_gnn.evaluate.methods import headline


def number_text(value: float, digits: int = 3) -> str:
    """Return a number of some digits, or a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def percent_text(value: float) -> str:
    """Return a share in percent, or a dash for NaN."""
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def with_interval(value: Value, digits: int = 3) -> str:
    """Return a measure and its interval."""
    if math.isnan(value.value):
        return "–"
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def shown_families(comparison: Comparison) -> list[str]:
    """Return the few methods that are shown by family."""
    names = [comparison.reference, headline(comparison.rows), "forest", "linear"]
    found = list(dict.fromkeys(name for name in names if name is not None and name in comparison.rows))
    return (found or list(comparison.rows))[:3]
