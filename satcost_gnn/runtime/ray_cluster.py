"""Work on a Ray cluster: a function that is called on files, one task a file, made again elsewhere if its node dies.

Results come to the driver, which keeps whatever record there is, so whatever becomes of a node, a result is lost only
until it has been made again, and counted once. Ray itself is an extra, imported when a cluster is used.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import zstandard

from satcost_gnn.errors import ExecutorError, SatcostError
from satcost_gnn.runtime.interpreter import safe_path
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.runtime.scratch_space import scratch_directory

# How often Ray starts a task again whose node or worker has died under it.
_RETRIES = 5
# A Ray of our own only passes around what is some kilobytes each.
_OBJECT_STORE_BYTES = 100 * 2**20

Key = TypeVar("Key")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Task(Generic[Key]):
    """One call of a function on a node.

    Parameters
    ----------
    key
        The caller's; it stays with the driver.
    path
        File that the function reads, None for none. It is given it as the first argument, as a path that can be read on
        its node.
    arguments
        The other arguments.
    """

    key: Key
    path: Path | None
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Lost:
    """What there is of a task that has no result, through no fault of the function: why, as a part of a sentence."""

    reason: str


@functools.cache
def node_sandbox() -> Sandbox:
    """Return a sandbox that is kept from task to task; its helper process ends with the Ray worker."""
    return Sandbox()


def call_on_node(
    function: Callable[..., Result],
    path: Path | None,
    size: int | None,
    content: bytes | None,
    arguments: tuple[Any, ...],
    directory: Path | None = None,
) -> tuple[Literal["done"], Result] | tuple[Literal["unseen", "failed"], str]:
    """Call a function where a file can be read; executed as a Ray task on whatever node.

    Parameters
    ----------
    function
        It is given the file's path (None for no file) and the arguments.
    path, arguments
        Those of the :class:`Task`.
    size
        Bytes of the file, by which a file of the same path but another content is known, mostly; None where the driver
        sees no file either.
    content
        The file compressed with Zstandard, where the driver has learnt that this node may not see it.
    directory
        The driver's current directory, in which programs run where a node has it, too; None for the worker's.

    Returns
    -------
    tuple
        ``done`` and what the function returned; or ``unseen``, for a node that has no such file; or ``failed`` and why
        nothing can be done here.
    """
    if directory is not None:
        with contextlib.suppress(OSError):
            os.chdir(directory)
    try:
        if path is None or size is None or _size(path) == size:
            return "done", function(path, *arguments)
        if content is None:
            return "unseen", platform.node()
        with scratch_directory() as place:
            copy = place / path.name
            copy.write_bytes(zstandard.decompress(content))
            return "done", function(copy, *arguments)
    except (SatcostError, OSError) as error:
        return "failed", f"{platform.node()}: {error}"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def import_ray() -> Any:
    """Import Ray.

    Raises
    ------
    ExecutorError
        If it isn't installed.
    """
    # Read when Ray is imported or started; nobody's cluster is reported to its makers without having been asked.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's announcement of a change to an environment variable that has no meaning without a GPU.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise ExecutorError(
            f"Ray is not installed ({error}); install it with `pip install 'satcost-gnn[ray]'`, or use --executor local"
        ) from None
    return ray


@dataclass(frozen=True)
class RayCluster:
    """A Ray cluster to work on.

    Nodes need this package and Ray, in the versions that the driver has. Files are read where the node sees the same
    path, and sent to it otherwise.

    Parameters
    ----------
    address
        Of the cluster, ``HOST:PORT``, ``ray://HOST:PORT`` or ``auto``; None for the environment variable
        ``RAY_ADDRESS``, and where that is missing too, for a Ray on this machine that ends with the work. A Ray
        that this process is connected to already is used as it is.
    jobs
        Tasks handed to the cluster at a time; None for twice its processors, so that no node waits for the driver.
    """

    address: str | None = None
    jobs: int | None = None

    def run(
        self,
        function: Callable[..., Result],
        tasks: Iterator[Task[Key] | None],
        *,
        memory_mb: int,
        idle_s: float = 10.0,
    ) -> Generator[tuple[Key, Result | Lost] | None, None, None]:
        """Call a function for each task and yield key and result as they come, each task once.

        Closing the returned iterator early abandons the tasks under way.

        Parameters
        ----------
        function
            One of a module that nodes can import; see :func:`call_on_node`.
        tasks
            The next is taken when there is room for it. None where what comes next depends on a task under way: to
            be asked again when one has ended and what was yielded has been dealt with.
        memory_mb
            Mebibytes that a node sets aside for each task, beside one processor.
        idle_s
            Seconds after which None is yielded if nothing has ended: time for the caller to do something else. As often
            it is looked how many processors the cluster has.

        Raises
        ------
        ExecutorError
            If Ray isn't installed, there is no such cluster, none of its nodes has room for a task, or a node lacks
            what it needs.
        """
        ray = import_ray()
        own = not ray.is_initialized()
        if own:
            self._connect(ray)
        pending: dict[Any, Task[Key]] = {}
        try:
            yield from self._loop(ray, function, tasks, memory_mb * 2**20, idle_s, pending)
        finally:
            for reference in pending:
                ray.cancel(reference, force=True)
            if own:
                ray.shutdown()

    def _connect(self, ray: Any) -> None:
        address = self.address or os.environ.get("RAY_ADDRESS")
        # What tasks print is not for our standard output.
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "WARNING"}
        if address:
            options["address"] = address
        else:
            options |= {
                # Not one that somebody else has started here.
                "address": "local",
                "num_cpus": self.jobs,
                "include_dashboard": False,
                "object_store_memory": _OBJECT_STORE_BYTES,
            }
        try:
            # Ray has its workers look for modules in the driver's current directory first. It is this one meanwhile,
            # which they look through anyway.
            with safe_path(), contextlib.chdir(Path(os.__file__).parent):
                ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = f"no Ray cluster at {address}" if address else "cannot start Ray on this machine"
            raise ExecutorError(
                f"{where}: {error}; expected the address HOST:PORT that `ray start --head` has printed"
            ) from error

    def _loop(
        self,
        ray: Any,
        function: Callable[..., Result],
        tasks: Iterator[Task[Key] | None],
        memory: int,
        idle_s: float,
        pending: dict[Any, Task[Key]],
    ) -> Generator[tuple[Key, Result | Lost] | None, None, None]:
        call = ray.remote(call_on_node).options(num_cpus=1, memory=memory, max_retries=_RETRIES)
        check_room(ray, memory)
        directory = Path.cwd()

        def submit(task: Task[Key], content: bytes | None = None) -> None:
            # A worker's current directory is not ours.
            path = task.path.absolute() if task.path is not None else None
            size = _size(path) if path is not None else None
            pending[call.remote(function, path, size, content, task.arguments, directory)] = task

        while True:
            room = self.jobs or max(2, 2 * int(ray.cluster_resources().get("CPU", 0)))
            while len(pending) < room and (task := next(tasks, None)) is not None:
                submit(task)
            if not pending:
                return
            # Not fetched here: of a result that a node has taken along only getting it has it made again.
            ready, _ = ray.wait(list(pending), timeout=idle_s, fetch_local=False)
            if not ready:
                yield None
            for reference in ready:
                task = pending.pop(reference)
                try:
                    kind, found = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise ExecutorError(
                        f"a node of the cluster cannot do its work: {str(error).strip().splitlines()[-1]}; expected "
                        "satcost_gnn, Python and Ray in the same versions on all nodes as here"
                    ) from error
                except ray.exceptions.RayError as error:
                    why = str(error).strip().splitlines()[0]
                    yield task.key, Lost(f"the cluster gave it up after {_RETRIES} retries ({why})")
                    continue
                if kind == "failed":
                    raise ExecutorError(f"a node of the cluster cannot do its work: {found}")
                if kind == "done":
                    yield task.key, found
                    continue
                assert task.path is not None
                try:
                    submit(task, zstandard.compress(task.path.read_bytes(), 1))
                except OSError as error:
                    yield task.key, Lost(f"cannot be read: {error.strerror}")


def check_room(ray: Any, memory: int) -> None:
    """Raise if no node can ever hold a task of so many bytes: Ray would wait for one without end."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise ExecutorError("the Ray cluster has no node with a processor; start one with `ray start --address=…`")
    largest = max(node.get("memory", 0) for node in nodes)
    if largest < memory:
        raise ExecutorError(
            f"no node of the Ray cluster has room for a task of {memory >> 20} MiB: the largest has "
            f"{int(largest) >> 20} MiB; start the nodes with `ray start --memory=BYTES`, or lower --memory (`collect`)"
        )
