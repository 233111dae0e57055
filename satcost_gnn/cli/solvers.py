"""``satcost solvers``: the list of solvers."""

from __future__ import annotations

from dataclasses import dataclass

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.listing import print_rows
from satcost_gnn.cli.options import Format, Json, chosen_format
from satcost_gnn.search.solvers import SOLVERS


@dataclass(frozen=True)
class SolversOptions:
    """Options of the command."""

    output_format: Format = "text"
    as_json: Json = False


def run_solvers(options: SolversOptions) -> int:
    """List the solvers that can be run."""
    form = chosen_format(options.output_format, options.as_json)
    found: list[dict[str, object]] = []
    for name, spec in SOLVERS.items():
        absent = "" if spec.available else f" (not installed: pip install 'satcost-gnn[{spec.extra}]')"
        found.append({"name": name, "solver": spec.summary + absent})
        if form == "json":
            found[-1] = {"name": name, "solver": spec.summary, "available": spec.available, "extra": spec.extra}
    print_rows(found, form)
    if form == "text":
        print("NAME=COMMAND       a program that reads DIMACS; see `satcost collect --help`")
    return 0


app = command_app("solvers", SolversOptions, run_solvers)
