"""Preprocessed instances on disk, so that training reads what was probed once.

One ``.npz`` an instance (arrays and a JSON header, nothing pickled) under a directory named by the hash of the
preprocessing key: whatever would change the outcome of preprocessing changes the directory.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.features.instance import Instance
from satcost_gnn.features.preprocessing import Preprocessed, preprocess_many
from satcost_gnn.features.spec import PreprocessSettings
from satcost_gnn.formula.compact_graph import CompactGraph
from satcost_gnn.runtime.output_files import replacing, write_text
from satcost_gnn.runtime.stored_files import parse_json, read_arrays
from satcost_gnn.search.plain_run import PlainRun, PlainStage
from satcost_gnn.search.probe_settings import ProbeResult, ProbeSettings
from satcost_gnn.search.trace import Trace

if TYPE_CHECKING:
    from satcost_gnn.runtime.ray_cluster import RayCluster


def _prefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def _part(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    head = prefix + "."
    return {name.removeprefix(head): array for name, array in arrays.items() if name.startswith(head)}


# Of a search's result; the trace has arrays of its own.
_NOT_KEPT = ("trace", "settings", "numbers", "model")


def instance_arrays(instance: Instance, about: Mapping[str, Any] | None = None) -> dict[str, NDArray[Any]]:
    """Return an instance, and what else is to be known of it, as arrays for ``numpy.savez``; without models."""
    probe = instance.probe
    header: dict[str, Any] = {
        "path": instance.path,
        "gbdhash": instance.gbdhash,
        "timings": instance.timings,
        "static": {"names": instance.static.names, "seconds": instance.static.seconds},
        "about": dict(about or {}),
    }
    if instance.plain is not None:
        header["plain"] = {k: v for k, v in asdict(instance.plain).items() if k != "model"}
    arrays: dict[str, NDArray[Any]] = {"static": instance.static.values}
    if instance.online is not None:
        header["online"] = {"names": instance.online.names, "seconds": instance.online.seconds}
        arrays["online"] = instance.online.values
    for name, result in (("probe", probe), ("replicate", instance.replicate)):
        if result is not None:
            header[name] = {k: v for k, v in vars(result).items() if k not in _NOT_KEPT}
            header[f"{name}_settings"] = asdict(result.settings)
    if probe is not None and probe.trace is not None:
        arrays |= _prefixed("trace", probe.trace.to_arrays())
    if instance.graph is not None:
        arrays |= _prefixed("graph", instance.graph.to_arrays())
    return {"header": np.array(json.dumps(header)), **arrays}


def _write(path: Path, instance: Instance) -> None:
    if path.exists() and not path.is_file():
        # Nothing of ours, and no file can take its place.
        path.rename(path.with_suffix(f".{uuid.uuid4().hex}.not-an-entry"))
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **instance_arrays(instance))


def read_instance(path: Path) -> tuple[Instance, dict[str, Any]]:
    """Return an instance from a file of :func:`instance_arrays`, and what else was to be known of it.

    Raises
    ------
    DamagedFileError, KeyError, TypeError, ValueError, AssertionError
        If it is not what was written.
    """
    arrays = read_arrays(path)
    header = parse_json(str(arrays.pop("header")), str(path))

    def vector(name: str) -> FeatureVector | None:
        about = header.get(name)
        return FeatureVector(tuple(about["names"]), arrays[name], about["seconds"]) if about else None

    def search(name: str, trace: Trace | None) -> ProbeResult | None:
        if name not in header:
            return None
        return ProbeResult(**header[name], trace=trace, settings=ProbeSettings(**header[f"{name}_settings"]))

    trace = _part("trace", arrays)
    graph = _part("graph", arrays)
    static = vector("static")
    assert static is not None
    plain = header.get("plain")
    if plain is not None:
        plain = PlainRun(**{**plain, "stages": tuple(PlainStage(**one) for one in plain["stages"])})
    instance = Instance(
        path=header["path"],
        gbdhash=header["gbdhash"],
        static=static,
        online=vector("online"),
        probe=search("probe", Trace.from_arrays(trace) if trace else None),
        replicate=search("replicate", None),
        graph=CompactGraph.from_arrays(graph) if graph else None,
        timings=header["timings"],
        plain=plain,
    )
    return instance, header.get("about", {})


class InstanceCache:
    """Preprocessed instances by identity, made on first use, in a directory below the one where caches are kept."""

    def __init__(self, directory: Path, settings: PreprocessSettings) -> None:
        self.settings = settings
        key = settings.features.key()
        self.directory = directory / hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
        self.directory.mkdir(parents=True, exist_ok=True)
        if not (self.directory / "KEY.txt").exists():
            write_text(self.directory / "KEY.txt", key + "\n")

    def _path(self, instance: str) -> Path:
        return self.directory / f"{instance}.npz"

    def has(self, instance: str) -> bool:
        """Whether an instance is there and can be read; a damaged one counts as missing, and is made again."""
        return self.get(instance) is not None

    def get(self, instance: str) -> Instance | None:
        """Return a cached instance, None if it isn't there or can't be read."""
        try:
            return read_instance(self._path(instance))[0]
        except Exception:
            # Whatever is wrong with an entry, it costs no more than to be made again.
            return None

    def fill(
        self,
        files: Mapping[str, Path],
        *,
        jobs: int = 1,
        on_step: Callable[[Preprocessed | None], None] | None = None,
        cluster: RayCluster | None = None,
    ) -> list[Preprocessed]:
        """Preprocess the instances that are not there yet; return those that could not be read (``error`` says why).

        Parameters
        ----------
        files
            Identity -> file.
        jobs
            Instances at a time.
        on_step
            Called after each: with the outcome, or None for one that was there already.
        cluster
            Where it is done, as many at a time as there is room for; None for this machine.
        """
        step = on_step or (lambda _: None)
        missing = {}
        for name, path in files.items():
            if self.has(name):
                step(None)
            else:
                missing[name] = path
        failed = []
        if cluster is None:
            items = preprocess_many(missing.items(), self.settings, jobs=jobs)
        else:
            from satcost_gnn.features.ray_preprocessing import preprocess_on_cluster

            items = preprocess_on_cluster(((name, str(path)) for name, path in missing.items()), self.settings, cluster)
        for item in items:
            if item is None:
                continue
            name, outcome = item
            if outcome.instance is not None:
                _write(self._path(name), outcome.instance)
            else:
                failed.append(outcome)
            step(outcome)
        return failed

    def load(self, instances: list[str]) -> Iterator[Instance | None]:
        """Yield cached instances one by one, None for one that isn't there."""
        for name in instances:
            yield self.get(name)
