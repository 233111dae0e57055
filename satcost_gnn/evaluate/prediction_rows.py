"""``predictions.parquet``: what methods predicted for every test instance, solver and unit, beside the truth."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from satcost_gnn.evaluate.results import Predicted, Results
from satcost_gnn.runtime.output_files import replacing

#: Quantile levels of the table.
LEVELS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)


def quantile_column(level: float) -> str:
    """Return the name of the column of a quantile: ``log10_q10``, ``log10_q025``."""
    return f"log10_q{f'{level:.3f}'.removeprefix('0.').removesuffix('0')}"


SCHEMA = pa.schema(
    [
        pa.field("instance", pa.string()),
        pa.field("family", pa.string()),
        pa.field("solver", pa.string()),
        pa.field("estimator", pa.string()),
        pa.field("seed", pa.int64(), metadata={"description": "null: the estimator has none"}),
        pa.field("fold", pa.int64(), metadata={"description": "fold left out; null for the split by instance"}),
        pa.field("unit", pa.string()),
        pa.field("log10_cost", pa.float64(), metadata={"description": "of the bound where censored; null: no run"}),
        pa.field("censored", pa.bool_()),
        pa.field("known", pa.bool_()),
        *(pa.field(quantile_column(level), pa.float32()) for level in LEVELS),
        pa.field("mean_log10", pa.float32()),
        pa.field("p_solved", pa.float32(), metadata={"description": "probability of a cost of at most the cutoff"}),
        pa.field("cutoff", pa.float64(), metadata={"description": "in the unit"}),
    ],
    metadata={"satcost_table": "evaluation_predictions", "satcost_schema_version": "1"},
)


class PredictionRows:
    """Writes the table method by method. Use as a context manager: the file takes its place if there is no error.

    ``cutoffs`` are unit -> budget of ``p_solved``, in the unit.
    """

    def __init__(self, path: Path, results: Results, cutoffs: dict[str, float]) -> None:
        self._path, self._results, self._cutoffs = path, results, cutoffs
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            temporary = opened.enter_context(replacing(self._path))
            stream = opened.enter_context(temporary.open("wb"))
            self._writer = opened.enter_context(pq.ParquetWriter(stream, SCHEMA, compression="zstd"))
            self._open = opened.pop_all()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._open.__exit__(*exc)

    def write(self, name: str, predicted: Predicted) -> None:
        """Append the predictions of a method and seed."""
        folds = self._results.folds
        for unit, found in predicted.calibrated.items():
            table = self._results.tables[unit]
            quantiles = found.quantile(list(LEVELS))
            mean, solved = found.mean(), found.p_solved_by(self._cutoffs[unit])
            count = len(table)
            for column, solver in enumerate(table.solvers):
                known = table.known[:, column]
                self._writer.write_table(
                    pa.table(
                        {
                            "instance": [one.gbdhash for one in table.instances],
                            "family": table.groups,
                            "solver": [solver] * count,
                            "estimator": [name] * count,
                            "seed": pa.array([predicted.seed] * count, pa.int64()),
                            "fold": pa.array(folds, pa.int64(), mask=folds < 0),
                            "unit": [unit] * count,
                            "log10_cost": pa.array(table.cost[:, column], mask=~known),
                            "censored": table.censored[:, column] & known,
                            "known": known,
                            **{
                                quantile_column(level): quantiles[:, column, k].astype(np.float32)
                                for k, level in enumerate(LEVELS)
                            },
                            "mean_log10": mean[:, column].astype(np.float32),
                            "p_solved": solved[:, column].astype(np.float32),
                            "cutoff": np.full(count, self._cutoffs[unit]),
                        },
                        schema=SCHEMA,
                    )
                )
