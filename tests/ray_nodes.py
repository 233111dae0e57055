"""Nodes of a Ray cluster on this machine, and the death of one in the middle of an output."""

from collections.abc import Callable
from typing import Any

import pytest

from satcost_gnn.runtime.tables.row_writers import JsonLinesWriter

NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "memory": 2**30}


def dies_after_writes(node: Any, cluster: Any, monkeypatch: pytest.MonkeyPatch, writes: int = 5) -> Callable[[], int]:
    """Have a node die after so many writes of rows; return a function that tells how many there have been."""
    write, calls = JsonLinesWriter.write, 0

    def counted(self: JsonLinesWriter, rows: Any) -> None:
        nonlocal calls
        write(self, rows)
        calls += 1
        if calls == writes:
            # Twice as many files are handed out as there are processors: some are there.
            cluster.remove_node(node, allow_graceful=False)

    monkeypatch.setattr(JsonLinesWriter, "write", counted)
    return lambda: calls
