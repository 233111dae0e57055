"""A member of a parallel portfolio: a solver in one configuration, with a seed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_SEED = re.compile(r"(.+):seed=(\d+)")


@dataclass(frozen=True, order=True)
class Member:
    """A solver, or a configuration of one, with a seed.

    Parameters
    ----------
    solver
        Our name of it, ``solver`` or ``solver:configuration``.
    seed
        0 for the formula as it is, else the seed of :func:`~satcost_gnn.formula.shuffle.seeded`.
    """

    solver: str
    seed: int = 0

    @property
    def name(self) -> str:
        """What it is called: ``cadical195``, ``cadical195:sat``, ``cadical195:seed=1``."""
        return f"{self.solver}:seed={self.seed}" if self.seed else self.solver

    @classmethod
    def of(cls, name: str) -> Self:
        """Return the member of a name; a name without a seed is that of a solver."""
        found = _SEED.fullmatch(name)
        return cls(found[1], int(found[2])) if found else cls(name)
