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


def interval_text(low: float | None, high: float | None, bound: float | None = None) -> str:
    """Return an interval of costs; ``> 10`` alone where nothing but that is known of its lower end."""
    first, last = cost_text(low, bound), cost_text(high, bound)
    return last if first == last and not first[0].isdigit() else f"{first} – {last}"


def probability_text(value: float | None, least: float | None = None) -> str:
    """Return a probability with two digits after the point; where it is unknown, what it is at least."""
    if value is not None and math.isfinite(value):
        return f"{value:.2f}"
    return "unknown" if least is None or not math.isfinite(least) else f"≥ {least:.2f}"
