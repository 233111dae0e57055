import os
from collections.abc import Iterator
from typing import Any

import pytest
from listening import listening

# One thread a process: the suite runs several processes, and small tensors gain nothing from more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A test says itself if it wants results to be kept: what one has found must not answer another.
os.environ.setdefault("SATCOST_CACHE_MIB", "0")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a cluster of one node, to which others may be added, with this process connected to it."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # Workers give way to all else by default, which on a busy machine is for ever.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "memory": 2**30, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="WARNING")
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """What the package logs during the test."""
    with listening() as lines:
        yield lines
