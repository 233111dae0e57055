"""The environment variables that the package reads."""

from __future__ import annotations

import os
from dataclasses import dataclass

from satcost_gnn.features.user_cache import DEFAULT_MIB, SIZE_VARIABLE
from satcost_gnn.formula import compiled_scan
from satcost_gnn.runtime import threads
from satcost_gnn.serve.checkpoint import CHECKPOINT_DIRECTORY
from satcost_gnn.serve.machine_speed import VARIABLE


@dataclass(frozen=True)
class Variable:
    """An environment variable.

    Parameters
    ----------
    name
        Its name.
    text
        What it sets.
    default
        What holds where it is not set.
    """

    name: str
    text: str
    default: str

    @property
    def value(self) -> str | None:
        """What the user has set it to; None for nothing."""
        return None if self.name in threads.set_here else os.environ.get(self.name)


VARIABLES = (
    Variable(CHECKPOINT_DIRECTORY, "directory that is searched first for checkpoints by name", "those of the package"),
    Variable(VARIABLE, "file of this machine's speed; none: no factor", "satcost/machine.json in XDG_CONFIG_HOME"),
    Variable(SIZE_VARIABLE, "limit of the cache of predicted files, in mebibytes; 0 keeps nothing", str(DEFAULT_MIB)),
    Variable(compiled_scan.VARIABLE, "0: files are read without the compiled part of the reader", "with it, if built"),
    Variable("XDG_CONFIG_HOME", "where satcost/machine.json is", "~/.config"),
    Variable("XDG_CACHE_HOME", "where satcost/instances is, the cache of predicted files", "~/.cache"),
    Variable("TMPDIR", "temporary files of runs, removed with them", "/tmp"),
    Variable("COLUMNS", "width of text", "the terminal's; 120 into a pipe"),
    Variable("NO_COLOR", "no colours; --color is stronger", "colours on terminals"),
    Variable("FORCE_COLOR", "colours into files and pipes, too", "on terminals only"),
    *(Variable(name, "threads of linear algebra and torch", "1") for name in threads.VARIABLES),
    Variable("RAY_ADDRESS", "cluster of --executor ray without --address", "a Ray on this machine"),
    Variable("RAY_USAGE_STATS_ENABLED", "Ray's reports of its use", "0"),
)
