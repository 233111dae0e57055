"""``satcost bench``: how fast the package is on this machine, beside a machine that it was measured on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.options import Format, Json, chosen_format
from satcost_gnn.cli.terminal import beside, columns
from satcost_gnn.errors import SatcostError
from satcost_gnn.runtime.plain_table import plain_table

#: What `satcost bench --json` has measured on another machine. Other work ran there, which makes CPU time dearer, too.
REFERENCE = {
    "reader, times as fast as PySAT's": 5.39,
    "features and graph, a million literals": 0.66,
    "predict, a file that the search answers": 0.74,
    "predict, a file that it does not": 2.31,
    "predict, 5 files for the first time": 6.65,
    "the same again, kept from the first time": 1.49,
    "-j2 against -j1, wall-clock time": 0.8,
}
REFERENCE_MACHINE = "Intel(R) Xeon(R) Processor, 2 cores, 24 GiB, Linux x86_64, shared"
# Of each timing the least counts: what else the machine does only adds to it.
_REPEATS = 3
_BATCH = 5


@dataclass(frozen=True)
class BenchOptions:
    """Options of the command."""

    output_format: Format = "text"
    as_json: Json = False


@dataclass(frozen=True)
class Measure:
    """One figure, on this machine and on that of the reference; its unit is ``x`` for a ratio of two timings."""

    name: str
    unit: str
    here: float
    reference: float


def _measure(name: str, unit: str, here: float) -> Measure:
    return Measure(name, unit, here, REFERENCE[name])


def _spent(arguments: list[str], cache: Path | None = None) -> tuple[float, float]:
    """Return wall-clock and CPU seconds of ``satcost predict``, all its processes together."""
    environment = {**os.environ, "SATCOST_CACHE_MIB": "0"}
    if cache is not None:
        environment |= {"SATCOST_CACHE_MIB": "100", "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-P", "-m", "satcost_gnn", "predict", *arguments]
    wall, before = time.monotonic(), os.times()
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    after = os.times()
    if done.returncode:
        raise SatcostError(f"`satcost predict` failed: {done.stderr.decode(errors='replace').strip()[-500:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - wall, cpu


def _reader(place: Path) -> Measure:
    from pysat.formula import CNF

    from satcost_gnn.data.generate import from_recipe
    from satcost_gnn.formula.dimacs import read_dimacs, write_dimacs

    write_dimacs(from_recipe("random-ksat:k=3,n=50000,ratio=4.2,seed=1"), place)
    ours, theirs = [], []
    for _ in range(_REPEATS):
        start = time.process_time()
        read_dimacs(place)
        middle = time.process_time()
        CNF(from_file=str(place))
        ours.append(middle - start)
        theirs.append(time.process_time() - middle)
    return _measure("reader, times as fast as PySAT's", "x", min(theirs) / min(ours))


def _large_formula() -> Measure:
    from satcost_gnn.data.generate import from_recipe
    from satcost_gnn.formula.features import static_features
    from satcost_gnn.formula.graph import clause_variable_graph

    formula = from_recipe("random-ksat:k=3,n=80000,ratio=4.2,seed=1")
    seconds = []
    for _ in range(_REPEATS):
        start = time.process_time()
        static_features(formula)
        clause_variable_graph(formula)
        seconds.append(time.process_time() - start)
    return _measure("features and graph, a million literals", "CPU s", min(seconds))


def _predictions(folder: Path) -> Iterator[Measure]:
    from satcost_gnn.data.generate import from_recipe
    from satcost_gnn.formula.dimacs import write_dimacs

    easy, hard, batch = folder / "easy.cnf", folder / "hard.cnf", folder / "batch"
    batch.mkdir()
    write_dimacs(from_recipe("random-ksat:k=3,n=40,ratio=4.0,seed=1"), easy)
    write_dimacs(from_recipe("random-ksat:k=3,n=400,ratio=4.26,seed=1"), hard)
    for k in range(_BATCH):
        write_dimacs(from_recipe(f"random-ksat:k=3,n=400,ratio=4.26,seed={k + 2}"), batch / f"{k}.cnf")
    for name, path in (("predict, a file that the search answers", easy), ("predict, a file that it does not", hard)):
        yield _measure(name, "CPU s", min(_spent([str(path)])[1] for _ in range(_REPEATS)))
    cache = folder / "cache"
    first, again = _spent([str(batch), "-j1"], cache), _spent([str(batch), "-j1"], cache)
    yield _measure(f"predict, {_BATCH} files for the first time", "CPU s", first[1])
    yield _measure("the same again, kept from the first time", "CPU s", again[1])
    two = _spent([str(batch), "-j2"])
    yield _measure("-j2 against -j1, wall-clock time", "x", two[0] / first[0])


def run_bench(options: BenchOptions) -> int:
    """Measure how fast predictions are on this machine, beside reference figures; under a minute."""
    from satcost_gnn.data.execution import machine_description

    machine, found = machine_description(), list[Measure]()
    with tempfile.TemporaryDirectory(prefix="satcost-") as place:
        folder = Path(place)
        found.append(_reader(folder / "reader.cnf"))
        found.append(_large_formula())
        found += _predictions(folder)
    if chosen_format(options.output_format, options.as_json) == "json":
        measures = [asdict(one) for one in found]
        print(json.dumps({"machine": machine, "reference_machine": REFERENCE_MACHINE, "measures": measures}))
        return 0
    print("\n".join(bench_lines(machine, found)))
    return 0


def bench_lines(machine: str, found: Sequence[Measure]) -> list[str]:
    """Return the figures as lines that fit the terminal."""
    rows = [
        (f"{one.name} ({one.unit})", f"{one.here:.2f}", f"{one.reference:.2f}", f"{one.here / one.reference:.2f}")
        for one in found
    ]
    return [
        beside("this machine: ", machine),
        beside("reference:    ", REFERENCE_MACHINE),
        "",
        *plain_table(("", "here", "reference", "here / reference"), rows, columns()),
    ]


app = command_app("bench", BenchOptions, run_bench)
