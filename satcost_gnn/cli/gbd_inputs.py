"""Instances of GBD databases as inputs of a command."""

from __future__ import annotations

from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.sources import UnreadableName
from satcost_gnn.runtime.logs import log


def from_gbd(databases: str, query: str) -> dict[str, str]:
    """Return the files that a query selects, and the hash that the database knows each by.

    An instance without a path on this machine gets a name that says so, and with it a row of its own.

    Parameters
    ----------
    databases
        Paths with colons between them.
    query
        In GBD's language; empty for all instances.

    Raises
    ------
    ConfigError
        If nothing is selected, a file is no database, or the query doesn't fit.
    """
    from satcost_gnn.data.gbd import LOCAL, database_paths, find_instances

    paths = database_paths(databases)
    if not paths:
        raise ConfigError(f"--gbd: found {databases!r}; expected a GBD database, or several with colons between them")
    found = find_instances(paths, query)
    if not found:
        raise ConfigError(f"--query: found no instance for {query!r} in {databases}; ask for others")
    names: dict[str, str] = {}
    absent = 0
    for instance in found:
        path = instance.path
        if path is None:
            absent += 1
            reason = f"the database has no path of this instance; `gbd init local DIRECTORY` writes the feature {LOCAL}"
            names[UnreadableName(instance.gbdhash, f"{instance.gbdhash}: {reason}")] = instance.gbdhash
        else:
            names[path] = instance.gbdhash
    if absent:
        log.warning(f"{absent} of {len(found)} instances have no path (feature {LOCAL})")
    return names
