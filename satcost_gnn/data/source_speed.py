"""How fast the machines of published runs were, next to the one that our own runs were made on.

A source (an event that published run times) has a speed of its own. It is told from solvers of one generation that ran
on both: the same instance, a solver of ours and its relatives of the event. The factor of a source is the median of
published over own seconds; where ours was cut off, the ratio lies below all that are told, which a median takes.
Relatives are not the same program (PySAT's Glucose and MapleLCM simplify nothing, the published ones do), and a search
has its luck: the standard deviation of the ratios says how much. The generation whose ratios vary least has the closest
relatives, and gives the factor.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.data.dataset import SHORTEST_S, CostUnit, Dataset, run_cost
from satcost_gnn.data.schema import Run
from satcost_gnn.errors import DatasetError
from satcost_gnn.runtime.output_files import write_json

SPEEDS_FILE = "sources.json"
SPEEDS_VERSION = 1
#: Published seconds that are compared: long enough to be measured well, short enough for a run of our own.
WINDOW_S = (1.0, 60.0)
#: A source with fewer instances to compare gets the factor of all sources together.
FEWEST = 10

#: Generation -> our solvers, and the published ones (shell patterns, by edition) that are close relatives of them.
RELATIVES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "CaDiCaL": (
        ("cadical153",),
        (
            "CaDiCaL_DVDL_V?@*",
            "CadicalReorder@*",
            "Cadical_ESA@*",
            "cadical_rel_Scavel@*",
            "Cadical_rel_1.5.3.Scavel@*",
            "CaDiCaL_sc2021@*",
            "CaDiCaL_vivinst@*",
            "CaDiCaL@*",
        ),
    ),
    "Glucose": (("glucose4", "glucose42"), ("glucose-reboot@*",)),
    "MapleLCM": (("maplechrono",), ("MapleLCMDistChrBt-DL-v3@*", "Maple_simp21@*", "CleanMaple@*")),
}


@dataclass(frozen=True, slots=True)
class GenerationSpeed:
    """Published over own seconds, as told by one generation of solvers.

    Parameters
    ----------
    factor
        Median ratio; 0 if more than half of our runs were cut off.
    low, high
        Central 95 % of the factor over bootstrapped instances.
    sd_log10
        Standard deviation of log10 of a single ratio, from the median absolute deviation; None if that is unknown.
    instances
        Instances compared.
    cut_off
        Those of which only an upper bound of the ratio is known.
    """

    factor: float
    low: float
    high: float
    sd_log10: float | None
    instances: int
    cut_off: int


@dataclass(frozen=True, slots=True)
class SourceSpeed:
    """Speed of a source.

    Parameters
    ----------
    factor
        Seconds there for a second here.
    sd_log10
        Standard deviation of log10 of a single ratio.
    generation
        Generation that both are told by: the one whose ratios vary least, whose programs are most alike.
    pooled
        Whether the source has too few instances of its own, and these are the numbers of all sources together.
    generations
        Generation -> what it tells.
    """

    factor: float
    sd_log10: float
    generation: str
    pooled: bool
    generations: Mapping[str, GenerationSpeed]


def source_speeds(dataset: Dataset, own: Iterable[Dataset] = ()) -> dict[str, SourceSpeed]:
    """Return the speed of each source of a data set.

    Parameters
    ----------
    dataset
        Runs with a source, and perhaps runs of our own (without one).
    own
        Further data sets with runs of our own.

    Raises
    ------
    DatasetError
        If no source has runs, or there is too little to compare.
    """
    mine: dict[str, list[Run]] = defaultdict(list)
    for part in (dataset, *own):
        for run in part.runs:
            if not run.source and run.seed == 0 and run.instance not in part.quarantined:
                mine[run.instance].append(run)
    published: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in dataset.runs:
        if run.source and run.seed == 0 and run.instance not in dataset.quarantined:
            published[run.source][run.instance].append(run)
    if not published:
        raise DatasetError(f"{dataset.directory}: found no runs with a source, expected published ones; import some")
    ratios = {
        (source, generation): _ratios(runs, mine, generation)
        for source, runs in sorted(published.items())
        for generation in RELATIVES
    }
    together = {
        generation: _speed([value for (_, name), found in ratios.items() if name == generation for value in found])
        for generation in RELATIVES
    }
    speeds = {}
    for source in sorted(published):
        alone = {generation: _speed(ratios[source, generation]) for generation in RELATIVES}
        found = _chosen(source, alone, False) or _chosen(source, together, True)
        if found is None:
            solvers = ", ".join(name for ours, _ in RELATIVES.values() for name in ours)
            raise DatasetError(
                f"{dataset.directory}: found fewer than {FEWEST} instances with runs of our own ({solvers}) and "
                f"published ones of {WINDOW_S[0]:g} to {WINDOW_S[1]:g} s; collect some, or name a data set of them"
            )
        speeds[source] = found
    return speeds


def _chosen(source: str, told: Mapping[str, GenerationSpeed | None], pooled: bool) -> SourceSpeed | None:
    """Return the speed by the generation whose ratios vary least, None if none has enough of them."""
    found = {name: speed for name, speed in told.items() if speed is not None}
    usable = {
        name: speed.sd_log10
        for name, speed in found.items()
        if speed.instances >= FEWEST and speed.factor > 0 and speed.sd_log10 is not None
    }
    if not usable:
        return None
    best = min(usable, key=lambda name: usable[name])
    return SourceSpeed(found[best].factor, usable[best], best, pooled, found)


def _ratios(published: Mapping[str, Sequence[Run]], mine: Mapping[str, Sequence[Run]], generation: str) -> list[float]:
    """Return log10 of published over own seconds, one an instance; -inf where ours was cut off."""
    ours, theirs = RELATIVES[generation]
    found = []
    for instance, runs in sorted(published.items()):
        there = _median([run for run in runs if any(fnmatchcase(run.solver, name) for name in theirs)])
        here = _median([run for run in mine.get(instance, ()) if run.solver in ours])
        if there is not None and here is not None and WINDOW_S[0] <= there <= WINDOW_S[1]:
            found.append(math.log10(there / here) if here < math.inf else -math.inf)
    return found


def _median(runs: Sequence[Run]) -> float | None:
    """Return the median over solvers of their seconds, infinite where a limit ended the run; None without runs."""
    best: dict[str, float] = {}
    for run in runs:
        cost = run_cost(run, CostUnit.CPU_SECONDS)
        if cost is not None:
            seconds = math.inf if cost[1] else max(cost[0], SHORTEST_S)
            best[run.solver] = min(best.get(run.solver, math.inf), seconds)
    if not best:
        return None
    values = sorted(best.values())
    low, high = values[(len(values) - 1) // 2], values[len(values) // 2]
    return high if math.isinf(high) else math.sqrt(low * high)


def _speed(ratios: Sequence[float]) -> GenerationSpeed | None:
    if not ratios:
        return None
    values = np.array(ratios)
    middle = _middle(values)
    rng = np.random.default_rng(0)
    # Sorted, not interpolated: a resample may have more cut off than not, and then no finite median.
    drawn = sorted(_middle(rng.choice(values, len(values))) for _ in range(1000))
    return GenerationSpeed(
        factor=float(10**middle),
        low=float(10 ** drawn[25]),
        high=float(10 ** drawn[974]),
        sd_log10=float(1.4826 * np.median(np.abs(values - middle))) if math.isfinite(middle) else None,
        instances=len(values),
        cut_off=int(np.isinf(values).sum()),
    )


def _middle(values: NDArray[np.float64]) -> float:
    """Return the median; the lower of two in the middle, so that one that is minus infinity needs no mean."""
    return float(np.sort(values)[(len(values) - 1) // 2])


def write_speeds(directory: Path | str, speeds: Mapping[str, SourceSpeed]) -> None:
    """Write the speeds into a data set (``sources.json``) atomically.

    Raises
    ------
    DatasetError
        If the file can't be written.
    """
    write_json(
        Path(directory) / SPEEDS_FILE,
        {"version": SPEEDS_VERSION, "sources": {name: asdict(speed) for name, speed in speeds.items()}},
        indent=1,
    )


def _with_keys_of_today(found: dict[str, Any]) -> dict[str, Any]:
    return {"sd_log10" if key == "spread_log10" else key: value for key, value in found.items()}


def read_speeds(directory: Path | str) -> dict[str, SourceSpeed]:
    """Read the speeds of a data set; none if it has no ``sources.json``.

    Raises
    ------
    DatasetError
        If the file holds something else.
    """
    path = Path(directory) / SPEEDS_FILE
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"), object_hook=_with_keys_of_today)
        if value["version"] != SPEEDS_VERSION:
            raise ValueError(f"version {value['version']!r}")
        return {
            str(name): SourceSpeed(
                float(speed["factor"]),
                float(speed["sd_log10"]),
                str(speed["generation"]),
                bool(speed["pooled"]),
                {str(its): GenerationSpeed(**told) for its, told in speed["generations"].items()},
            )
            for name, speed in value["sources"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path}: found no speeds of sources ({type(error).__name__}: {error}); run `satcost dataset source-speed`"
        ) from error


def speed_rows(speeds: Mapping[str, SourceSpeed]) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Return the header and the rows of a table of speeds; a star marks the generation that a factor is taken from."""
    header = ("source", "told by", "factor", "95 %", "sd log10", "instances", "cut off")
    rows: list[tuple[object, ...]] = []
    for name, speed in speeds.items():
        if speed.pooled:
            rows.append((name, "all sources", f"{speed.factor:.2f}", "", f"{speed.sd_log10:.2f}", "", ""))
            continue
        for generation, told in speed.generations.items():
            rows.append(
                (
                    name,
                    generation + ("*" if generation == speed.generation else ""),
                    f"{told.factor:.2f}",
                    f"{told.low:.2f} to {told.high:.2f}",
                    "?" if told.sd_log10 is None else f"{told.sd_log10:.2f}",
                    told.instances,
                    told.cut_off,
                )
            )
    return header, rows
