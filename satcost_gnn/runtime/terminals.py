"""Whether somebody looks at a stream."""

from __future__ import annotations


def is_terminal(stream: object) -> bool:
    """Whether a stream is a terminal; one that a caller has put in place of a standard stream may not know."""
    asked = getattr(stream, "isatty", None)
    try:
        return bool(asked is not None and asked())
    except ValueError:
        # Closed.
        return False
