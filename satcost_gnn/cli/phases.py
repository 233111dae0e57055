"""``satcost predict --phases``: write the phases of one formula."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from satcost_gnn.errors import ConfigError, OutputError, PhaseError
from satcost_gnn.serve.phases import PhasePredictor


def check_phases(names: Sequence[str], out: Path, overwrite: bool) -> None:
    """Refuse what phases can't be written for, before anything is computed.

    Raises
    ------
    ConfigError
        If there is not exactly one file, it is standard input, or the output exists and is not to be replaced.
    """
    if len(names) != 1 or names[0] == "-":
        found = "standard input" if list(names) == ["-"] else f"{len(names)} files"
        raise ConfigError(f"--phases: found {found}; expected one file, whose phases go to {out}")
    if out.is_file() and not overwrite:
        raise OutputError(f"--phases: {out} exists; name another file, or replace it with --overwrite")


def write_phases(name: str, out: Path) -> bool:
    """Predict the phases of a file and write them; return whether that went well, else say on stderr what didn't."""
    try:
        with PhasePredictor.from_checkpoint() as predictor:
            phases = predictor.predict(name)
        phases.write(out)
    except (PhaseError, OutputError) as error:
        print(f"satcost: --phases: {error}", file=sys.stderr)
        return False
    print(f"phases of {len(phases.variables)} variables by {phases.label} in {out}", file=sys.stderr)
    return True
