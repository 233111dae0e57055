"""What a decision is charged is CPU time: waiting costs nothing, work does, in children too."""

import itertools
import os
import time

import pytest

from satcost_gnn.features import stages
from satcost_gnn.features.spec import FeatureSpec, PreprocessSettings
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.cpu_clock import cpu_seconds


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_work_counts_and_waiting_does_not() -> None:
    start = cpu_seconds()
    time.sleep(0.3)
    waited = cpu_seconds() - start
    busy(0.2)
    assert waited < 0.1 and cpu_seconds() - start - waited >= 0.2


def test_a_child_that_was_waited_for_counts() -> None:
    start = cpu_seconds()
    pid = os.fork()
    if pid == 0:
        busy(0.2)
        os._exit(0)
    os.waitpid(pid, 0)
    assert cpu_seconds() - start >= 0.19


def test_stages_of_preprocessing_are_timed_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(stages, "cpu_seconds", lambda: float(next(ticks)))
    monkeypatch.setattr(stages, "report", lambda value: None)
    settings = PreprocessSettings(FeatureSpec(probe=None))
    found = stages.preprocess_child(Formula.from_clauses([[1, 2], [-1, -2], [1, -2]]), settings, True, False)
    assert found["timings"]["parse"] == 1.0 and found["timings"]["graph"] == 1.0
