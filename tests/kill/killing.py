"""Commands killed at random moments and started again: what comes out must equal what an undisturbed run makes.

From the command line, as many kills as wanted::

    python tests/kill/killing.py --kills 200 [--minutes 15] [NAME ...]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))

from small_instances import write_families

COMMAND = [sys.executable, "-c", "from satcost_gnn.cli import main; main()"]
# Columns that no two runs have in common: times, and what depends on them.
TIMES = ("parse_s", "probe_s", "features_s", "inference_s", "cpu_s", "wall_s", "finished_s", "expected_s", "p_solved")
_CONFIG = """
name = "tiny"
runs = "runs"
[data]
dataset = "set"
root = "cnf"
cache = "cache"
solvers = ["cadical195"]
units = ["conflicts"]
[preprocess]
conflicts = 20
max_graph_edges = 2000
[model]
width = 8
rounds = 1
heads = 2
fused_width = 8
mean_channels = 4
extreme_channels = 4
[optimiser]
epochs = 3
[checkpoint]
name = "tiny"
directory = "checkpoints"
"""


@dataclass(frozen=True)
class Scenario:
    """A command, and what it makes.

    Parameters
    ----------
    words
        Words of the command, for the first start and for every other.
    outputs
        What it writes, beside the inputs.
    result
        Takes the folder; what must be the same in the end.
    inputs
        Makes the inputs in a folder.
    kills
        How often it is killed by the tests.
    code
        Exit code of a complete run.
    ended
        Takes the folder; whether there is nothing left to do, for a command that refuses to do it again.
    """

    words: str
    outputs: tuple[str, ...]
    result: Callable[[Path], Any]
    inputs: Callable[[Path], None]
    kills: int = 10
    code: int = 0
    ended: Callable[[Path], bool] = lambda folder: False


def satcost(folder: Path, words: str) -> subprocess.Popen[bytes]:
    """Start a command in a folder."""
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*COMMAND, *words.split()],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def formulas(folder: Path) -> None:
    """Write small formulas and a file that is none."""
    write_families(folder / "cnf", 12, 4)
    (folder / "cnf" / "bad.cnf").write_text("p cnf x\n")


def labelled(folder: Path) -> None:
    """Write small formulas, measure and split them."""
    write_families(folder / "cnf", 24, 4)
    for words in ("collect cnf -o set --cpu 5", "dataset split set"):
        assert satcost(folder, words).wait() == 0, (folder / "log").read_text()
    (folder / "config.toml").write_text(_CONFIG)


def rows(path: Path) -> list[tuple[tuple[str, str], ...]]:
    """Return the rows of a table without times, sorted."""
    if path.suffix == ".parquet":
        found = pq.read_table(path).to_pylist()
    else:
        lines = path.read_text().splitlines()
        if path.suffix == ".csv":
            import csv

            found = list(csv.DictReader(lines))
        else:
            found = [json.loads(line) for line in lines]
    return sorted(tuple((name, str(value)) for name, value in row.items() if name not in TIMES) for row in found)


def left_over(folder: Path) -> list[str]:
    """Return what must not be there after a complete run."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.name.endswith((".tmp", ".lock", ".partial.jsonl")) and "journal" not in path.parts
    ]


def _table(command: str, suffix: str, **settings: Any) -> Scenario:
    output = f"out.{suffix}"
    return Scenario(
        f"{command} cnf -o {output} --resume",
        (output,),
        lambda folder: rows(folder / output),
        formulas,
        code=1,
        **settings,
    )


def _runs(folder: Path) -> Any:
    kept = [row[:-2] for row in rows(folder / "set" / "runs.parquet")]
    names = ("instance", "solver", "seed", "status", "conflicts")
    return [[(name, value) for name, value in row if name in names] for row in kept], rows(
        folder / "set" / "manifest.parquet"
    )


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(inner) for name, inner in value.items() if not name.endswith("_s")}
    return [_without_times(inner) for inner in value] if isinstance(value, list) else value


def _evaluation(folder: Path) -> Any:
    out = folder / "out"
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    return names, rows(out / "predictions.parquet"), _without_times(json.loads((out / "metrics.json").read_text()))


def _checkpoint(folder: Path) -> Any:
    made = folder / "checkpoints"
    return {
        str(path.relative_to(made)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in made.rglob("*")
        if path.is_file()
    }


SCENARIOS = {
    **{f"predict {suffix}": _table("predict --estimator tree_size", suffix) for suffix in ("csv", "jsonl", "parquet")},
    "batch-solve": _table("batch-solve --time-limit 5", "parquet"),
    "collect": Scenario("collect cnf -o set --cpu 5 --solvers cadical195,minisat22", ("set",), _runs, formulas, code=1),
    "evaluate": Scenario(
        "evaluate set -o out --root cnf --cache cache --config config.toml --estimators constant,size,knn,linear "
        "--solver cadical195 --resamples 10 --resume",
        ("out",),
        _evaluation,
        labelled,
    ),
    "train": Scenario(
        "train --config config.toml",
        ("runs", "checkpoints"),
        _checkpoint,
        labelled,
        kills=5,
        ended=lambda folder: (folder / "checkpoints" / "tiny-v1").is_dir(),
    ),
}


def _size(folder: Path, scenario: Scenario) -> int:
    total = 0
    for path in (folder / name for name in scenario.outputs):
        try:
            total += _bytes([path, *path.parent.glob(f"{path.name}.*"), *(path.rglob("*") if path.is_dir() else ())])
        except FileNotFoundError:
            # A directory was renamed while it was listed.
            continue
    return total


def _bytes(places: Iterable[Path]) -> int:
    total = 0
    for place in places:
        try:
            total += place.stat().st_size
        except OSError:
            continue
    return total


def _killed(folder: Path, scenario: Scenario, rng: random.Random, run_s: float) -> bool:
    """Start the command and kill it; False if it has ended before."""
    process = satcost(folder, scenario.words)
    before = _size(folder, scenario)
    end = time.monotonic() + (rng.uniform(0.05, 1.0) * run_s)
    if rng.random() < 0.5:
        # At a moment at which something is being written.
        while process.poll() is None and _size(folder, scenario) == before:
            time.sleep(0.002)
        end = time.monotonic() + rng.choice((0.0, rng.uniform(0, 0.02), rng.uniform(0, 0.5)))
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    running = process.poll() is None
    process.kill()
    process.wait()
    return running


def _differing(found: Any, expected: Any, where: str = "") -> list[str]:
    """Return where two results differ, and how, for the message."""
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = sorted(found.keys() | expected.keys(), key=str)
        return [one for key in keys for one in _differing(found.get(key), expected.get(key), f"{where}/{key}")]
    if isinstance(found, list | tuple) and isinstance(expected, list | tuple) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [one for k, (a, b) in pairs for one in _differing(a, b, f"{where}[{k}]")]
    return [] if found == expected else [f"{where}: found {str(found)[:200]}, expected {str(expected)[:200]}"]


def kill_and_compare(
    scenario: Scenario, folder: Path, kills: int, seed: int = 0, longest_s: float = math.inf
) -> tuple[int, int]:
    """Kill a command so many times, complete it, and compare; return the kills, and how many times it was completed.

    After ``longest_s`` it is completed and compared for the last time, however few the kills are.

    Raises
    ------
    AssertionError
        If what comes out differs from what an undisturbed run makes, or something is left over.
    """
    rng = random.Random(seed)
    undisturbed = folder / "undisturbed"
    undisturbed.mkdir()
    scenario.inputs(undisturbed)
    ready = folder / "ready"
    shutil.copytree(undisturbed, ready)
    start = time.monotonic()
    assert satcost(undisturbed, scenario.words).wait() == scenario.code, (undisturbed / "log").read_text()
    run_s = time.monotonic() - start
    expected = scenario.result(undisturbed)
    assert expected
    if (undisturbed / "cache").is_dir():
        # Times are among what is known of instances: the same ones for all.
        shutil.copytree(undisturbed / "cache", ready / "cache")
    done = completed = 0
    while done < kills and time.monotonic() - start < longest_s:
        place = folder / f"killed-{completed}"
        shutil.copytree(ready, place)
        # Chains of kills: each start goes on where the last one was killed.
        for _ in range(min(10, kills - done)):
            if not _killed(place, scenario, rng, run_s):
                break
            done += 1
        if not scenario.ended(place):
            assert satcost(place, scenario.words).wait() == scenario.code, (place / "log").read_text()
        found = scenario.result(place)
        assert found == expected, f"{place}: {_differing(found, expected)}"
        assert left_over(place) == []
        completed += 1
        shutil.rmtree(place)
    return done, completed


def main() -> None:
    """Kill what is named on the command line, or everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(map(repr, SCENARIOS)))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="For each command; no chain of kills is begun later."
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in options.names or SCENARIOS:
        with tempfile.TemporaryDirectory(prefix="satcost-kill-") as folder:
            kills, completed = kill_and_compare(
                SCENARIOS[name], Path(folder), options.kills, options.seed, 60 * options.minutes
            )
        print(f"{name}: {kills} kills, {completed} times completed, all as an undisturbed run", flush=True)


if __name__ == "__main__":
    main()
