"""``satcost solvers``: the list of solvers."""

from __future__ import annotations

from dataclasses import dataclass

from satcost_gnn.cli.command import command_app
from satcost_gnn.search.solvers import SOLVERS


@dataclass(frozen=True)
class SolversOptions:
    """The command has no options."""


def run_solvers(options: SolversOptions) -> int:
    """List the solvers that can be run."""
    for name, spec in SOLVERS.items():
        absent = "" if spec.available else f" (not installed: pip install 'satcost-gnn[{spec.extra}]')"
        print(f"{name:18} {spec.summary}{absent}")
    print("NAME=COMMAND       a program that reads DIMACS; see `satcost collect --help`")
    return 0


app = command_app("solvers", SolversOptions, run_solvers)
