"""What the tests of solving share."""

from collections.abc import Iterator

import pytest

from satcost_gnn.search import solvers
from satcost_gnn.serve.predictor import Predictor


@pytest.fixture(autouse=True)
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that a test registers as solvers are forgotten after it."""
    monkeypatch.setattr(solvers, "_registered", {})


@pytest.fixture(scope="module")
def shipped() -> Iterator[Predictor]:
    """Return the shipped checkpoint, without its network."""
    with Predictor.from_checkpoint(unit="cpu_seconds", start="forest") as predictor:
        yield predictor
