"""The files of a data set's instances, found or made again from their recipes, and what is computed from them."""

from __future__ import annotations

import lzma
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from satcost_gnn.data.dataset import Dataset, indexed_files
from satcost_gnn.data.generate import from_recipe
from satcost_gnn.errors import DatasetError, SatcostError
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.features.preprocessing import Preprocessed
from satcost_gnn.features.spec import PreprocessSettings
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.formula.identity import gbdhash
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import write_bytes
from satcost_gnn.runtime.progress import ProgressLine

if TYPE_CHECKING:
    from satcost_gnn.runtime.ray_cluster import RayCluster


def materialise(
    dataset: Dataset,
    root: Path | None,
    store: Path,
    *,
    instances: Sequence[str] | None = None,
    on_step: Callable[[int], None] | None = None,
    on_problem: Callable[[str], None] = log.warning,
) -> dict[str, Path]:
    """Return the file of every instance that can be had.

    Parameters
    ----------
    dataset
        The data set.
    root
        Directory with the real instances, None if there is none: only generated instances can be had then.
    store
        Directory for the instances that are made from their recipes, kept for the next time.
    instances
        Which; all by default.
    on_step
        Called with the number of instances dealt with in one go.
    on_problem
        Called with a message for each instance that can't be had.

    Returns
    -------
    dict
        Identity -> file.
    """
    names = list(dataset.instances if instances is None else instances)
    step = on_step or (lambda _: None)
    files: dict[str, Path] = {}
    if root is not None:
        found = dataset.locate(root, names)
        files.update(found.paths)
        for name in found.missing:
            on_problem(f"{dataset.by_instance[name].path or name}: not found under {root}")
    step(len(files))
    store.mkdir(parents=True, exist_ok=True)

    @lru_cache(maxsize=16)
    def parent(name: str) -> Formula:
        path = files.get(name)
        if path is None and root is not None:
            # A parent need not be an instance of the data set: many are out of reach of every solver.
            here = dataset.locate(root, [name] if name in dataset.by_instance else []).paths
            path = here.get(name) or dict(indexed_files(root)).get(name)
        if path is None:
            raise DatasetError(f"parent {name} of a cube: found no file of it; name the directory that holds it")
        return read_dimacs(path)

    for name in names:
        row = dataset.by_instance[name]
        if name in files or row.recipe is None:
            continue
        path = store / f"{name}.cnf.xz"
        if not path.exists():
            try:
                formula = from_recipe(row.recipe, parent)
                made = gbdhash(formula)
                if made != name:
                    raise DatasetError(f"recipe {row.recipe!r} made instance {made}, expected {name}")
            except SatcostError as error:
                on_problem(str(error))
                step(1)
                continue
            write_bytes(path, lzma.compress(formula.to_dimacs().encode(), preset=0))
        files[name] = path
        step(1)
    return files


def fill_cache(
    dataset: Dataset,
    names: Sequence[str],
    directory: Path,
    settings: PreprocessSettings,
    *,
    root: Path | None,
    jobs: int,
    progress: Callable[[int, str], ProgressLine] = ProgressLine,
    cluster: RayCluster | None = None,
) -> tuple[InstanceCache, list[Preprocessed]]:
    """Preprocess the instances of a data set that aren't cached yet.

    Parameters
    ----------
    dataset, root
        See :func:`materialise`; what can't be had is said by the progress line.
    names
        Instances wanted.
    directory
        Of the cache; instances made from their recipes are kept in ``instances`` below it.
    settings
        How they are preprocessed.
    jobs
        Instances at a time.
    progress
        Makes a progress line of a number of steps and what they are.
    cluster
        Where they are preprocessed; None for this machine.

    Returns
    -------
    InstanceCache, list of Preprocessed
        The cache, and those that could not be read: their ``error`` says why.
    """
    cache = InstanceCache(directory, settings)
    with progress(len(names), "instances preprocessed") as bar:
        missing = [name for name in names if not cache.has(name)]
        bar.skip(len(names) - len(missing))
        bar.expect(settings.searches_s, jobs)
        files = materialise(dataset, root, directory / "instances", instances=missing)
        return cache, cache.fill(files, jobs=jobs, on_step=lambda _: bar.advance(), cluster=cluster)
