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


def probability_text(value: float | None) -> str:
    """Return a probability with two digits after the point, or that it is unknown."""
    return f"{value:.2f}" if value is not None and math.isfinite(value) else "unknown"


# Seconds, and what they are called: durations are told in the largest unit of which there is at least one.
_DURATIONS = ((365.25 * 86400, "years"), (86400, "days"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"))


def _two_digits(value: float) -> str:
    """Return a number with two significant digits, or all of those before the point."""
    return f"{value:.2g}" if value < 99.5 else f"{float(f'{value:.2g}'):,.0f}"


def amount_text(value: float, unit: str) -> str:
    """Return a cost as people say it, with two digits: ``12 min`` of CPU seconds, ``2.4 million`` of any other unit."""
    if unit != "cpu_seconds":
        value = round(value)
        if value < 999_500:
            return f"{value:,.0f}" if value < 100 else _two_digits(value)
        power, name = next((p, n) for p, n in ((1e9, "billion"), (1e6, "million")) if value >= 0.9995 * p)
        return f"{_two_digits(value / power)} {name}"
    for seconds, name in _DURATIONS:
        # What would be rounded up to a whole larger unit is told in that.
        if value >= 0.995 * seconds:
            return f"{_two_digits(value / seconds)} {name}"
    return "under 1 ms"


def bounded_amount(value: float | None, bound: float | None, unit: str) -> str:
    """Return :func:`amount_text` of a cost; ``> 10 s`` where it is unknown but for being above a bound."""
    if value is not None and math.isfinite(value):
        return amount_text(value, unit)
    return "unknown" if bound is None or not math.isfinite(bound) else f"> {amount_text(bound, unit)}"


def percent_text(share: float) -> str:
    """Return a probability in percent; what is nearly 0 or 1 is not said to be."""
    if 0.0 < share < 0.01:
        return "under 1 %"
    return "over 99 %" if 0.99 < share < 1.0 else f"{100 * share:.0f} %"
