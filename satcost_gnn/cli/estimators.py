"""``satcost estimators``: the list of estimators."""

from __future__ import annotations

from dataclasses import dataclass

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.listing import print_rows
from satcost_gnn.cli.options import Format, Json, chosen_format
from satcost_gnn.learn.registry import CATALOGUE


@dataclass(frozen=True)
class EstimatorsOptions:
    """Options of the command."""

    output_format: Format = "text"
    as_json: Json = False


def run_estimators(options: EstimatorsOptions) -> int:
    """List the estimators: what each needs of an instance, what it costs, and what it predicts from."""
    rows = (
        {"name": name, "needs": list(entry.needs), "cost": entry.cost, "predicts from": entry.summary}
        for name, entry in CATALOGUE.items()
    )
    print_rows(rows, chosen_format(options.output_format, options.as_json))
    return 0


app = command_app("estimators", EstimatorsOptions, run_estimators)
