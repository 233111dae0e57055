"""Linear algebra computes with one thread, unless the user has said otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from satcost_gnn.runtime.threads import decided, one_by_default

PROGRAM = """
import numpy
from threadpoolctl import threadpool_info, threadpool_limits
from satcost_gnn.runtime.threads import one_thread

def threads():
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

with threadpool_limits(3, user_api="blas"):
    before = threads()
    with one_thread():
        print(threads() == {1}, end=" ")
    print(threads() == before)
"""


@pytest.mark.parametrize(("said", "expected"), [({}, "True True"), ({"OMP_NUM_THREADS": "2"}, "False True")])
def test_within_a_block(said: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    for name in names:
        monkeypatch.setenv(name, "")
    assert not decided()
    one_by_default()

    assert [os.environ[name] for name in names] == ["1"] * 3
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    one_by_default()
    assert os.environ["OMP_NUM_THREADS"] == "4" and decided()
