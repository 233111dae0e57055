"""``satcost predict --phases``: write the phases of one formula."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from satcost_gnn.errors import ConfigError, FormulaError, OutputError, PhaseError
from satcost_gnn.formula.sources import FormulaFile, FormulaSource, UnreadableName, for_children
from satcost_gnn.formula.text_stream import LONGEST_WAIT_S, ReadLimits
from satcost_gnn.runtime.logs import log


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


def read_twice(name: str, relaxed: bool, stack: ExitStack) -> FormulaFile | UnreadableName:
    """Return a file that can be read more than once, as long as the stack lasts, also of a pipe."""
    try:
        file = stack.enter_context(for_children(name, ReadLimits(relaxed=relaxed), time.monotonic() + LONGEST_WAIT_S))
    except FormulaError as error:
        return UnreadableName(name, str(error))
    assert isinstance(file, FormulaFile)
    return file


def write_phases(source: FormulaSource, out: Path) -> bool:
    """Predict the phases of a formula and write them; return whether that went well, else say on stderr what didn't."""
    from satcost_gnn.serve.phases import PhasePredictor

    try:
        with PhasePredictor.from_checkpoint() as predictor:
            phases = predictor.predict(source)
        phases.write(out)
    except (PhaseError, OutputError) as error:
        log.warning(f"--phases: {error}")
        return False
    log.info(f"phases of {len(phases.variables)} variables by {phases.label} in {out}")
    return True
