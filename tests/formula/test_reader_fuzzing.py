"""The reader agrees with a slow and plain parser on mutated texts; see reader_fuzzing.py for the command."""

import random

import pytest
from reader_fuzzing import complaint, complaints, corpus, outcome, reference

from satcost_gnn.errors import FormulaError


@pytest.mark.parametrize("portion", range(20))
def test_mutated_texts(portion: int) -> None:
    assert complaints(1000 + portion, 1000) == []


@pytest.mark.parametrize("data", list(corpus()), ids=lambda data: data[:20].hex())
def test_what_was_found_once(data: bytes) -> None:
    for seed in range(20):
        assert complaint(data, random.Random(seed)) == ""


def test_a_difference_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reader_fuzzing.reference", lambda data: [])
    assert complaints(1, 50)


def test_the_plain_parser_is_one() -> None:
    assert reference(b"p cnf 3 2\n1 -2 0 c x\n3\n0 \n%\n5") == [[1, -2], [3]]
    assert reference(b"p cnf 3 2\n1 -2 0\n\n3") == 4
    assert reference(b"p cnf 3 2\n1 -2 0\n") is None
    assert isinstance(outcome(b"1 0 x"), FormulaError)
