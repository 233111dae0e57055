"""``satcost estimators``: the list of estimators."""

from __future__ import annotations

from dataclasses import dataclass

from satcost_gnn.cli.command import command_app
from satcost_gnn.learn.registry import CATALOGUE


@dataclass(frozen=True)
class EstimatorsOptions:
    """The command has no options."""


def run_estimators(options: EstimatorsOptions) -> int:
    """List the estimators: what each needs of an instance, what it costs, and what it predicts from."""
    print(f"{'name':18} {'needs':21} {'cost':10} predicts from")
    for name, entry in CATALOGUE.items():
        needs = ", ".join(entry.needs) or "nothing"
        print(f"{name:18} {needs:21} {entry.cost:10} {entry.summary}")
    return 0


app = command_app("estimators", EstimatorsOptions, run_estimators)
