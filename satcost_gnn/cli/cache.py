"""``satcost cache``: what predictions keep for the next time."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from satcost_gnn.cli.command import add_command, new_app
from satcost_gnn.cli.options import Format, Json, chosen_format
from satcost_gnn.errors import OutputError
from satcost_gnn.runtime.logs import log


@dataclass(frozen=True)
class InfoOptions:
    """Options of ``satcost cache info``."""

    output_format: Format = "text"
    as_json: Json = False


@dataclass(frozen=True)
class ClearOptions:
    """Options of ``satcost cache clear``."""


def run_info(options: InfoOptions) -> int:
    """Say where results of files are kept, how many, and how much room they take and may take.

    SATCOST_CACHE_MIB sets the limit in mebibytes (0 keeps nothing), XDG_CACHE_HOME the place. What hasn't been used for
    longest goes first.
    """
    from satcost_gnn.features.user_cache import SIZE_VARIABLE, Kept, cache_directory, kept, size_limit

    directory, limit = cache_directory(), size_limit()
    found = Kept(0, 0, None) if directory is None else kept(directory)
    if chosen_format(options.output_format, options.as_json) == "json":
        print(json.dumps({"directory": None if directory is None else str(directory), "limit": limit, **asdict(found)}))
        return 0
    print(f"directory  {directory or 'none: there is no home directory'}")
    print(f"entries    {found.entries}")
    print(f"size       {found.bytes / 2**20:.1f} MiB of {limit >> 20} ({SIZE_VARIABLE})")
    if found.oldest is not None:
        print(f"oldest     used {time.strftime('%Y-%m-%d %H:%M', time.localtime(found.oldest))}")
    return 0


def run_clear(_: ClearOptions) -> int:
    """Remove all results that are kept."""
    from satcost_gnn.features.user_cache import cache_directory, clear

    directory = cache_directory()
    try:
        count = 0 if directory is None else clear(directory)
    except OSError as error:
        raise OutputError(f"{Path(error.filename or str(directory))}: cannot be removed: {error.strerror}") from error
    log.info(f"{count} entries removed")
    return 0


app = new_app(no_args_is_help=True, help="What predictions keep for the next time: where, how much; remove it.")
add_command(app, "info", InfoOptions, run_info)
add_command(app, "clear", ClearOptions, run_clear)
