"""Take the observations out of the recordings: one row for each search and point, in one small Parquet table.

    python research/online_observe.py --dataset datasets/corpus --root CNF --store cache/online \
        --windows 2000,500 -o out/online_observations_{window}.parquet

A row holds what is known at a point of a search (:mod:`observation`) and how the search ended.
Points are of two kinds, ``restart`` and ``checkpoint``; a row of kind ``start``, without a window, stands for every
search. The table is all that ``online_restarts.py`` reads, so the experiments can be repeated without the recordings.
Each length of the window has a table of its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from observation import ESTIMATES, checkpoints, feature_names, observations, restart_points
from online_record import SOLVERS, formula_files, instances, recording_path
from recording import Recording

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.errors import DatasetError
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.formula.features import static_features
from satcost_gnn.formula.static_feature_list import STATIC_FEATURES
from satcost_gnn.runtime.progress import ProgressLine, print_above
from satcost_gnn.search.online import WAITING_CONFLICTS

STRUCTURE = tuple(
    name for name, feature in STATIC_FEATURES.items() if feature.group in ("size", "length") or name == "horn_share"
)
"""Features of the formula that take part: sizes, ratios, clause lengths."""

_END = ("status", "conflicts", "search_s")
_POINT = ("kind", "point", "restart", "begin", "end")


def schema() -> pa.Schema:
    """Return the columns of the table."""
    texts = ("ensemble", "instance", "family", "solver", "status", "kind")
    counts = ("conflicts", "point", "restart", "begin", "end")
    columns = [(name, pa.string()) for name in texts] + [(name, pa.int32()) for name in counts]
    numbers = ["search_s", *(f"estimate.{name}" for name in ESTIMATES), *feature_names(learnt=True), *STRUCTURE]
    return pa.schema([*columns, *((name, pa.float32()) for name in numbers)])


def rows_of(recording: Recording, waiting: int, lengths: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """Return the rows of one search by the length of the window, without what is the same for all solvers."""
    about = {"solver": recording.solver, **{name: getattr(recording, name) for name in _END}}
    points = {
        (length, kind): some
        for length in lengths
        for kind, some in (
            ("restart", restart_points(recording, waiting, length)),
            ("checkpoint", checkpoints(recording, 250, 2.0, waiting, length)),
        )
    }
    distinct = sorted({point for some in points.values() for point in some}, key=lambda point: (point.end, point.begin))
    known = {one.point: one for one in observations(recording, distinct)}
    start = {**about, **dict(zip(_POINT, ("start", -1, 0, 0, 0), strict=True))}
    rows: dict[int, list[dict[str, Any]]] = {length: [start] for length in lengths}
    for (length, kind), some in points.items():
        for number, one in enumerate(known[point] for point in some if point in known):
            place = dict(zip(_POINT, (kind, number, one.point.restart, one.point.begin, one.point.end), strict=True))
            values = dict(zip(one.features.names, one.features.values.tolist(), strict=True))
            estimated = {f"estimate.{name}": value for name, value in one.estimates.items()}
            rows[length].append({**about, **place, **values, **estimated})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, default=Path("datasets/corpus"))
    parser.add_argument("--root", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--waiting", type=int, default=WAITING_CONFLICTS)
    parser.add_argument("--windows", default="2000,500", help="lengths of the window, in conflicts")
    parser.add_argument("-o", "--out", required=True, help="path with {window} in the place of the length")
    options = parser.parse_args()
    dataset = Dataset.open(options.dataset)
    chosen = {name: ensemble for ensemble, names in instances().items() for name in names}
    paths = {
        (name, solver): path
        for name in chosen
        for solver in SOLVERS
        if (path := recording_path(options.store, solver, name)).exists()
    }
    recorded = sorted({name for name, _ in paths})
    files = formula_files(dataset, options.root, options.store, recorded)
    lengths = [int(length) for length in options.windows.split(",")]
    rows: dict[int, list[dict[str, Any]]] = {length: [] for length in lengths}
    with ProgressLine(len(recorded), "instances") as progress:
        for name in recorded:
            if name in files:
                found = static_features(read_dimacs(files[name]))
                common = {
                    "ensemble": chosen[name],
                    "instance": name,
                    "family": dataset.by_instance[name].family,
                    **{feature: found[feature] for feature in STRUCTURE},
                }
                for solver in SOLVERS:
                    if (name, solver) not in paths:
                        continue
                    try:
                        recording = Recording.load(paths[name, solver])
                    except DatasetError as error:
                        print_above(str(error))
                        continue
                    for length, some in rows_of(recording, options.waiting, lengths).items():
                        rows[length] += [{**common, **row} for row in some]
            progress.advance()
    for length, some in rows.items():
        about = {"waiting": str(options.waiting), "window": str(length)}
        table = pa.Table.from_pylist(some, schema=schema().with_metadata(about))
        out = Path(options.out.format(window=length))
        out.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, out, compression="zstd")
        print(f"{out}: {len(some)} rows of {len(paths)} searches", file=sys.stderr)


if __name__ == "__main__":
    main()
