"""Runs on a Ray cluster: one task a run, made again elsewhere if its node dies.

The journal stays with the driver, so whatever becomes of a node, a run is lost only until it has been made again, and
counted once. Ray itself is an extra, imported when an executor is used.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import zstandard

from satcost_gnn.data.execution import CollectLimits, Request, Unmade, machine_description, make_run
from satcost_gnn.data.schema import Run
from satcost_gnn.errors import ExecutorError, SatcostError
from satcost_gnn.runtime.interpreter import safe_path
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.runtime.scratch_space import scratch_directory
from satcost_gnn.search.external import ExternalSpec, register_here
from satcost_gnn.search.solvers import solver_spec

# How often Ray starts a run again whose node or worker has died under it.
_RETRIES = 5
# Seconds between looks at how many processors the cluster has, as nodes come and go.
_LOOK_S = 10.0
# A Ray of our own only passes around what is a few hundred bytes each.
_OBJECT_STORE_BYTES = 100 * 2**20


@functools.cache
def _sandbox() -> Sandbox:
    # Kept from task to task; its helper process ends with the Ray worker.
    return Sandbox()


@functools.cache
def _machine() -> str:
    return machine_description()


# Programs of the user's that this Ray worker has looked at.
_known_programs: dict[str, ExternalSpec] = {}


def _register_once(program: ExternalSpec) -> None:
    if _known_programs.get(program.name) != program:
        register_here(program)
        _known_programs[program.name] = program


def make_on_node(
    request: Request,
    size: int,
    content: bytes | None,
    program: ExternalSpec | None,
    limits: CollectLimits,
    directory: Path | None = None,
) -> dict[str, Any]:
    """Make one run; executed as a Ray task on whatever node.

    Parameters
    ----------
    request
        The run.
    size
        Bytes of the instance's file, by which a file of the same path but another content is known, mostly.
    content
        The file compressed with Zstandard, where the driver has learnt that this node may not see it.
    program
        The solver's definition if it is a program.
    limits
        Limits of the run.
    directory
        The driver's current directory, in which programs run where a node has it, too; None for the worker's.

    Returns
    -------
    dict
        ``run``: columns of the run; or ``unmade``: why there is none, as of a file that cannot be read; or ``unseen``:
        this node has no such file; or ``failed``: why nothing can be run.
    """
    if directory is not None:
        with contextlib.suppress(OSError):
            os.chdir(directory)
    try:
        if program is not None:
            _register_once(program)
        try:
            visible = request.path.stat().st_size == size
        except OSError:
            visible = False
        if visible:
            run = make_run(_sandbox(), request, limits, _machine())
        elif content is None:
            return {"unseen": platform.node()}
        else:
            with scratch_directory() as place:
                copy = place / request.path.name
                copy.write_bytes(zstandard.decompress(content))
                run = make_run(_sandbox(), replace(request, path=copy), limits, _machine())
            # The user knows the file by its own name.
            if isinstance(run, Unmade):
                run = replace(run, reason=run.reason.replace(str(copy), str(request.path)))
            else:
                run = replace(run, detail=run.detail.replace(str(copy), str(request.path)))
    except (SatcostError, OSError) as error:
        return {"failed": f"{platform.node()}: {error}"}
    if isinstance(run, Unmade):
        return {"unmade": run.reason}
    return {"run": {**asdict(run), "status": str(run.status)}}


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
class RayExecutor:
    """Makes runs on a Ray cluster.

    Each run is a task that takes one processor and the memory of its limit. Nodes need this package and Ray, in the
    versions that the driver has, and programs of the user's at the same path. Files are read where the node sees the
    same path, and sent to it otherwise.

    Parameters
    ----------
    address
        Of the cluster, ``HOST:PORT``, ``ray://HOST:PORT`` or ``auto``; None for the environment variable
        ``RAY_ADDRESS``, and where that is missing too, for a Ray on this machine that ends with the collection. A Ray
        that this process is connected to already is used as it is.
    jobs
        Runs handed to the cluster at a time; None for twice its processors, so that no node waits for the driver.
    """

    address: str | None = None
    jobs: int | None = None

    def execute(self, requests: Iterator[Request | None], limits: CollectLimits) -> Generator[Run | Unmade, None, None]:
        """Make runs and yield them as they end; see :class:`~satcost_gnn.data.execution.Executor`.

        Raises
        ------
        ExecutorError
            If Ray isn't installed, there is no such cluster, none of its nodes has room for a run, or a node lacks what
            it needs.
        """
        ray = import_ray()
        own = not ray.is_initialized()
        if own:
            self._connect(ray)
        pending: dict[Any, Request] = {}
        try:
            yield from self._loop(ray, requests, limits, pending)
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
        self, ray: Any, requests: Iterator[Request | None], limits: CollectLimits, pending: dict[Any, Request]
    ) -> Generator[Run | Unmade, None, None]:
        memory = limits.memory_mb * 2**20
        task = ray.remote(make_on_node).options(num_cpus=1, memory=memory, max_retries=_RETRIES)
        _check_room(ray, memory)
        directory = Path.cwd()

        def submit(request: Request, content: bytes | None = None) -> None:
            spec = solver_spec(request.solver)
            program = spec if isinstance(spec, ExternalSpec) else None
            # A worker's current directory is not ours.
            absolute = replace(request, path=request.path.absolute())
            size = request.path.stat().st_size
            pending[task.remote(absolute, size, content, program, limits, directory)] = request

        while True:
            room = self.jobs or max(2, 2 * int(ray.cluster_resources().get("CPU", 0)))
            while len(pending) < room and (request := next(requests, None)) is not None:
                try:
                    submit(request)
                except OSError as error:
                    yield Unmade(request, f"{request.path}: cannot be read: {error.strerror}")
            if not pending:
                return
            ready, _ = ray.wait(list(pending), timeout=_LOOK_S)
            for reference in ready:
                request = pending.pop(reference)
                try:
                    found = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise ExecutorError(
                        f"a node of the cluster cannot make runs: {str(error).strip().splitlines()[-1]}; expected "
                        "satcost_gnn, Python and Ray in the same versions on all nodes as here"
                    ) from error
                except ray.exceptions.RayError as error:
                    yield Unmade(
                        request,
                        f"{request.path} with {request.solver}: not run: the cluster gave it up after {_RETRIES} "
                        f"retries ({str(error).strip().splitlines()[0]}); start the same command again",
                    )
                    continue
                if "failed" in found:
                    raise ExecutorError(f"a node of the cluster cannot make runs: {found['failed']}")
                if "unseen" in found:
                    try:
                        submit(request, zstandard.compress(request.path.read_bytes(), 1))
                    except OSError as error:
                        yield Unmade(request, f"{request.path}: cannot be read: {error.strerror}")
                    continue
                if "unmade" in found:
                    yield Unmade(request, found["unmade"])
                    continue
                yield Run.from_dict(found["run"])


def _check_room(ray: Any, memory: int) -> None:
    """Raise if no node can ever hold a run: Ray would wait for one without end."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise ExecutorError("the Ray cluster has no node with a processor; start one with `ray start --address=…`")
    largest = max(node.get("memory", 0) for node in nodes)
    if largest < memory:
        raise ExecutorError(
            f"no node of the Ray cluster has room for a run of {memory >> 20} MiB: the largest has "
            f"{int(largest) >> 20} MiB; lower --memory, or start the nodes with `ray start --memory=BYTES`"
        )
