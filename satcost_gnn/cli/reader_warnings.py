"""What is odd about inputs, said on standard error."""

from __future__ import annotations

import sys


def tell_warning(path: str, warning: str) -> None:
    """Say what is odd about an input that could be read; for :attr:`Predictor.on_warning`."""
    print(f"satcost: {path}: {warning}", file=sys.stderr)
