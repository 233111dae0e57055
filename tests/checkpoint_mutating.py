"""Checkpoints changed at random with all hashes made anew, as another program would write them, and what they say.

From the command line, as many as wanted::

    python tests/checkpoint_mutating.py --mutations 1000 [--seed 0]
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import math
import os
import random
import resource
import signal
import struct
import tempfile
import traceback
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from damaging import linked_copy

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.decide.training_statistics import TrainingStatistics
from satcost_gnn.errors import CheckpointError
from satcost_gnn.features.preprocessing import Preprocessed
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.members import with_parts
from satcost_gnn.serve.prediction import Prediction
from satcost_gnn.serve.predictor import Predictor

SHIPPED = Checkpoint.open()
# Memory beyond what is held, and seconds, that no checkpoint may take.
_MEMORY, _SECONDS = 3 << 30, 240
_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 7.5, 10**12, 10**30, 1e308, -1e308, "", "x", "x" * 10_000, "../x", [], [[]], [None], {},
    {"a": []}, float("nan"), float("inf"),
)  # fmt: skip


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*place, key))
    elif isinstance(value, list):
        for key, inner in enumerate(value[:50]):
            yield from _places(inner, (*place, key))


def changed_json(content: Any, rng: random.Random) -> tuple[Any, str]:
    """Return a JSON value with one thing changed, and what."""
    content = copy.deepcopy(content)
    place = rng.choice([place for place in _places(content) if place])
    outer = content
    for key in place[:-1]:
        outer = outer[key]
    last = place[-1]
    kind = rng.choice(("value", "value", "gone", "order", "twice", "another key"))
    if kind == "gone":
        del outer[last]
    elif kind == "another key" and isinstance(outer, dict):
        outer["surprise"] = outer.pop(last)
    elif kind == "order" and isinstance(outer[last], list):
        outer[last] = outer[last][::-1]
    elif kind == "twice" and isinstance(outer[last], list):
        outer[last] = outer[last] * 2
    else:
        kind = "value"
        outer[last] = rng.choice(_VALUES)
    return content, f"{'.'.join(map(str, place))}: {kind} {str(outer)[:60] if kind == 'value' else ''}"


def changed_array(array: np.ndarray, rng: random.Random) -> tuple[bytes, str]:
    """Return an array as a file, with one thing changed, and what."""
    kind = rng.choice(("shape", "type", "nan", "huge numbers", "negative", "empty", "cut", "declared", "not an array"))
    made = io.BytesIO()
    if kind == "declared":
        # A header that announces far more than there is, or than any memory holds.
        shape = rng.choice([(10**12,), (10**6, 10**6), (1 << 40, 0), (-1,), (array.size + 1,)])
        np.lib.format.write_array_header_1_0(made, {"descr": array.dtype.str, "fortran_order": False, "shape": shape})
        return made.getvalue() + array.tobytes()[:100], f"{kind} {shape}"
    found = array
    if kind == "shape":
        found = rng.choice([array.ravel(), array[None], array[..., None], array.T, array[:1], array[:-1]])
    elif kind == "type":
        found = array.astype(rng.choice(["f2", "c16", "U5", "?", "u1", ">f8"]))
    elif kind == "nan" and array.dtype.kind == "f":
        found = np.full_like(array, np.nan)
    elif kind == "huge numbers" and array.dtype.kind in "fiu":
        limits = np.finfo(array.dtype) if array.dtype.kind == "f" else np.iinfo(array.dtype)
        found = np.full_like(array, limits.max)
    elif kind == "negative" and array.dtype.kind in "fi":
        found = np.full_like(array, -1)
    elif kind == "empty":
        found = array[:0]
    np.lib.format.write_array(made, np.ascontiguousarray(found), allow_pickle=False)
    content = made.getvalue()
    if kind == "cut":
        content = content[: rng.randrange(len(content))]
    elif kind == "not an array":
        content = b"\x00" * 50
    return content, kind


def changed_archive(path: Path, rng: random.Random) -> tuple[bytes, str]:
    """Return an ``.npz`` file with one array changed, missing or beside another one, and what."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = rng.choice(list(arrays))
    members: dict[str, bytes] = {}
    for key, array in arrays.items():
        made = io.BytesIO()
        np.lib.format.write_array(made, array, allow_pickle=False)
        members[key] = made.getvalue()
    kind = rng.choice(("array", "array", "array", "gone", "beside", "other name"))
    what = kind
    if kind == "array":
        members[name], what = changed_array(np.atleast_1d(arrays[name]), rng)
    elif kind == "gone":
        del members[name]
    elif kind == "beside":
        members["surprise"] = members[name]
    else:
        members["surprise"] = members.pop(name)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as zipped:
        for key, content in members.items():
            zipped.writestr(f"{key}.npy", content)
    return made.getvalue(), f"{name}: {what}"


def changed_weights(path: Path, rng: random.Random) -> tuple[bytes, str]:
    """Return a ``.safetensors`` file with another header, or cut, and what."""
    content = path.read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + size])
    kind = rng.choice(("header", "header", "cut", "size"))
    if kind == "cut":
        return content[: rng.randrange(len(content))], kind
    if kind == "size":
        return struct.pack("<Q", rng.choice([0, 1 << 62, size + 1, size - 1])) + content[8:], kind
    header, what = changed_json(header, rng)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + size :], what


def mutate(directory: Path, rng: random.Random) -> str:
    """Change one file of a linked copy of the shipped checkpoint, make the hashes anew, and return what was changed.

    Raises
    ------
    CheckpointError
        If not even a hash can be made.
    """
    names = [name for name in SHIPPED.config.files if not name.endswith(".md")]
    name = rng.choice(["config.json", *names, *(one for one in names if not one.endswith(".json"))])
    path = directory / name
    if rng.random() < 0.15:
        other = rng.choice([one for one in names if Path(one).suffix == path.suffix and one != name] or ["config.json"])
        content, what = (directory / other).read_bytes(), f"in the place of it {other}"
    elif path.suffix == ".json":
        found, what = changed_json(json.loads(path.read_text()), rng)
        content = json.dumps(found).encode()
    elif path.suffix == ".npz":
        content, what = changed_archive(path, rng)
    else:
        content, what = changed_weights(path, rng)
    path.unlink()
    path.write_bytes(content)
    if name != "config.json":
        config = directory / "config.json"
        kept = config.read_bytes()
        config.unlink()
        config.write_bytes(kept)
    try:
        Checkpoint.seal(directory)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {what}: {error}") from error
    return f"{name}: {what}"


@contextmanager
def bounded() -> Iterator[None]:
    """Limit memory and time: what takes more is no answer."""

    def give_up(*_: object) -> None:
        raise AssertionError("still not done")

    pages = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, give_up)
    resource.setrlimit(resource.RLIMIT_AS, (pages + _MEMORY, limits[1]))
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGALRM, before)


def instances() -> list[Preprocessed]:
    """Return an instance that nothing early answers, and one that the plain run does."""
    recipes = ("random-ksat:k=3,n=240,ratio=4.4,seed=3", "random-ksat:k=3,n=40,ratio=4.26,seed=1")
    with Predictor(SHIPPED, unit="conflicts") as predictor:
        return [predictor.preprocess(from_recipe(recipe)) for recipe in recipes]


def _is_sound(prediction: Prediction) -> None:
    if prediction.status == "error":
        # Nothing of the chain can be had.
        assert prediction.reason
        return
    for row in prediction.rows():
        quantiles = [row[name] for name in ("q05", "q10", "q25", "q50", "q75", "q90", "q95")]
        known = [value for value in quantiles if value is not None]
        assert row["solver"] in SHIPPED.config.solvers and all(math.isfinite(value) for value in known)
        assert known == sorted(known) and quantiles[: len(known)] == known
        assert row["p_solved"] is None or 0.0 <= row["p_solved"] <= 1.0


def answer(directory: Path, changed: str, items: Sequence[Preprocessed], unit: str) -> str:
    """Open a checkpoint and predict with what holds the changed file; return what was wrong, empty if nothing was.

    Raises
    ------
    AssertionError
        If a prediction is no prediction, or it has not ended or takes much memory.
    """
    member = changed.partition(": ")[0].rpartition("/")[0]
    with bounded():
        try:
            checkpoint = Checkpoint.open(directory)
            if unit not in checkpoint.config.units:
                return "another unit"
            TrainingStatistics.of_checkpoint(checkpoint)
            config = checkpoint.config
            # The last of the chain that the change concerns: the others before it need not be loaded.
            concerned = [
                name
                for name in config.chain
                if member in with_parts(config.members, config.member_for(name, unit)) or member not in config.members
            ]
            with Predictor(
                checkpoint, unit=unit, device="cpu", start=concerned[-1] if concerned else None
            ) as predictor:
                predictions = predictor.predict_preprocessed(items)
        except CheckpointError as error:
            assert "\n" not in str(error) and str(error)
            return str(error)
        for prediction in predictions:
            _is_sound(prediction)
        return "; ".join(prediction.reason for prediction in predictions if prediction.reason)


def run(mutations: int, seed: int, folder: Path) -> tuple[int, list[str]]:
    """Make so many mutations; return how many were noticed, and what went wrong with which."""
    rng, noticed, wrong = random.Random(seed), 0, list[str]()
    items = instances()
    for number in range(mutations):
        directory = linked_copy(SHIPPED.directory, folder / f"c-{number}")
        changed = "?"
        try:
            changed = mutate(directory, rng)
            unit = "cpu_seconds" if changed.startswith("cpu_seconds/") else "conflicts"
            noticed += bool(answer(directory, changed, items, unit))
        except CheckpointError:
            noticed += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            where = traceback.extract_tb(error.__traceback__)[-1]
            wrong.append(f"{number}: {changed}: {type(error).__name__}: {error} ({where.filename}:{where.lineno})")
    return noticed, wrong


def main() -> None:
    """Make as many mutations as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="satcost-mutations-", dir=SHIPPED.directory.parent.parent) as folder:
        noticed, wrong = run(options.mutations, options.seed, Path(folder))
    print(*wrong, sep="\n")
    print(f"{options.mutations} mutations, {noticed} noticed, {len(wrong)} of them went wrong")


if __name__ == "__main__":
    main()
