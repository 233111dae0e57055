"""What is said to users: one logger for the whole package, silent until an application sets up a handler.

The command line does (:mod:`satcost_gnn.cli.messages`). In Python: ``logging.getLogger("satcost_gnn")``. Levels: DEBUG
for what explains a result, INFO for how far a long job is and what has been written, WARNING for what a user should
know, ERROR for what went wrong.
"""

from __future__ import annotations

import logging

log = logging.getLogger("satcost_gnn")
# Without it Python prints warnings of a logger that nobody has configured.
log.addHandler(logging.NullHandler())

__all__ = ["log"]
