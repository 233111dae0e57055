"""Costs and probabilities as people read them, and what is unknown as what it is."""

from __future__ import annotations

import math


def number_text(value: float) -> str:
    """Return a number in at most ten characters."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}" if abs(value) < 1e6 else f"{value:.2e}"


def cost_text(value: float | None, bound: float | None = None) -> str:
    """Return a cost; ``> 10`` where it is unknown but for being above a bound."""
    if value is not None and math.isfinite(value):
        return number_text(value)
    return "unknown" if bound is None or not math.isfinite(bound) else f"> {number_text(bound)}"


def probability_text(value: float | None) -> str:
    """Return a probability with two digits after the point, or ``unknown``."""
    return f"{value:.2f}" if value is not None and math.isfinite(value) else "unknown"
