"""The bipartite graph of a formula as arrays, and what its columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.formula.transposition import transposed

GRAPH_VERSION: Final = "2"
"""Changes whenever a graph built from the same formula and trace may differ."""

#: What each column of a variable node is. ``*_rate`` is log(1 + count) / log(1 + conflicts); ``*_relative`` is
#: log((1 + count / mean count over the variables) / 2), which is 0 at the mean.
VARIABLE_INPUTS: Final = (
    "log_positive",  # log(1 + positive occurrences)
    "log_negative",
    "log_relative_degree",  # log(occurrences / mean occurrences)
    "sign_balance",  # (positive - negative) / occurrences
    "unit_share",  # share of its occurrences in clauses of one literal
    "binary_share",
    "ternary_share",
    "horn_share",  # in clauses with at most one positive literal
    "observed",  # 1 if the probe watched this variable; else all but the learnt_* below are 0
    "assigned_rate",
    "assigned_relative",
    "flip_share",  # assignments unlike the one before, as a share of assignments
    "flips_relative",
    "positive_balance",  # (assigned true - assigned false) / assigned
    "decided_known",
    "decided_rate",
    "decided_relative",
    "learnt_known",
    "learnt_rate",  # occurrences in learnt clauses
    "learnt_relative",
    "learnt_balance",  # (positive - negative) / occurrences in learnt clauses
)

#: Those of them that the probe says.
PROBE_INPUTS: Final = VARIABLE_INPUTS[VARIABLE_INPUTS.index("observed") :]

#: Those of them that clauses are told apart by where a sample of them is kept.
COLOUR_INPUTS: Final = (
    "log_positive",
    "log_negative",
    "assigned_rate",
    "flip_share",
    "positive_balance",
    "decided_rate",
    "learnt_rate",
    "learnt_balance",
)

#: What each column of a clause node is.
CLAUSE_INPUTS: Final = (
    "log_length",
    "is_unit",
    "is_binary",
    "is_ternary",
    "is_horn",
    "sign_balance",
    "log_relative_degree",  # log(mean occurrences of its variables / mean occurrences of all variables)
)

#: What describes the graph as a whole.
GRAPH_INPUTS: Final = (
    "log10_variables",
    "log10_clauses",
    "log10_edges",
    "log10_clause_ratio",
    "log10_mean_length",
    "tautology_share",
    "duplicate_share",
    "kept_clause_share",
    "kept_variable_share",
    "log10_conflicts",  # of the probe, NaN without one
    "observed_share",
)

#: Those of them that the probe says.
PROBE_GRAPH_INPUTS: Final = ("log10_conflicts", "observed_share")


@dataclass(frozen=True, eq=False)
class CompactGraph:
    """A clause-variable graph as arrays.

    Parameters
    ----------
    variable_inputs
        ``float16[n_variables, len(VARIABLE_INPUTS)]``.
    clause_inputs
        ``float16[n_clauses, len(CLAUSE_INPUTS)]``.
    graph_inputs
        ``float32[len(GRAPH_INPUTS)]``; NaN where there was no probe.
    clause_offsets
        ``int32[n_clauses + 1]``: clause ``i`` has the edges ``clause_offsets[i]:clause_offsets[i + 1]``.
    clause_literals
        ``int32[n_edges]``: literal node ``2 * variable + (1 if negated)`` of each edge, rising within a clause.

    Raises
    ------
    ValueError
        If the arrays disagree with each other.
    """

    variable_inputs: NDArray[np.float16]
    clause_inputs: NDArray[np.float16]
    graph_inputs: NDArray[np.float32]
    clause_offsets: NDArray[np.int32]
    clause_literals: NDArray[np.int32]

    def __post_init__(self) -> None:
        dtypes = (np.float16, np.float16, np.float32, np.int32, np.int32)
        for name, dtype in zip(self.__dataclass_fields__, dtypes, strict=True):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=dtype))
        for name, columns in (("variable_inputs", VARIABLE_INPUTS), ("clause_inputs", CLAUSE_INPUTS)):
            array = getattr(self, name)
            if array.ndim != 2 or array.shape[1] != len(columns):
                raise ValueError(f"{name}: found shape {array.shape}; expected (nodes, {len(columns)})")
        if self.graph_inputs.shape != (len(GRAPH_INPUTS),):
            raise ValueError(f"graph_inputs: found shape {self.graph_inputs.shape}; expected ({len(GRAPH_INPUTS)},)")
        if len(self.clause_offsets) != self.n_clauses + 1 or self.clause_offsets[0] != 0:
            raise ValueError(f"clause_offsets: expected {self.n_clauses + 1} entries from 0")
        if self.clause_offsets[-1] != self.n_edges or (np.diff(self.clause_offsets) < 0).any():
            raise ValueError(f"clause_offsets: expected them to rise to the number of edges ({self.n_edges})")
        if self.n_edges and not 0 <= self.clause_literals.min() <= self.clause_literals.max() < 2 * self.n_variables:
            raise ValueError(f"clause_literals: expected literal nodes from 0 to {2 * self.n_variables - 1}")

    @property
    def n_variables(self) -> int:
        """Number of variable nodes."""
        return len(self.variable_inputs)

    @property
    def n_clauses(self) -> int:
        """Number of clause nodes."""
        return len(self.clause_inputs)

    @property
    def n_edges(self) -> int:
        """Number of literal occurrences."""
        return len(self.clause_literals)

    @property
    def kept_clause_share(self) -> float:
        """Share of the formula's clauses that the graph holds; 1 unless it is a sample."""
        return float(self.graph_inputs[GRAPH_INPUTS.index("kept_clause_share")])

    @cached_property
    def _reverse(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        offsets, clauses = transposed(self.clause_offsets, self.clause_literals, 2 * self.n_variables)
        return offsets.astype(np.int32), clauses

    @property
    def literal_offsets(self) -> NDArray[np.int32]:
        """``int32[2 * n_variables + 1]``: literal node ``i`` has the entries ``[offsets[i], offsets[i + 1])`` below."""
        return self._reverse[0]

    @property
    def literal_clauses(self) -> NDArray[np.int32]:
        """``int32[n_edges]``: the clauses of each literal node, rising. Computed once and kept."""
        return self._reverse[1]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the graph as named arrays, as small as they get, for ``numpy.savez``."""
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        # Lengths and differences are small numbers, which compress far better than offsets and node numbers.
        arrays["clause_offsets"] = np.diff(self.clause_offsets)
        arrays["version"] = np.array(GRAPH_VERSION)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild a graph from :meth:`to_arrays`.

        Raises
        ------
        ValueError
            If an array is missing, the arrays disagree with each other, or another version of this module made them.
        """
        missing = [name for name in (*cls.__dataclass_fields__, "version") if name not in arrays]
        if missing:
            raise ValueError(f"found no arrays {missing}; expected what CompactGraph.to_arrays returns")
        if str(arrays["version"]) != GRAPH_VERSION:
            raise ValueError(f"found a graph of version {arrays['version']}; expected {GRAPH_VERSION}: build it again")
        parts = {name: arrays[name] for name in cls.__dataclass_fields__}
        parts["clause_offsets"] = np.concatenate([[0], np.cumsum(arrays["clause_offsets"])])
        return cls(**parts)

    def __getstate__(self) -> dict[str, Any]:
        # The other direction is cheaper to rebuild than to send to another process.
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __repr__(self) -> str:
        return (
            f"CompactGraph(n_variables={self.n_variables}, n_clauses={self.n_clauses}, n_edges={self.n_edges}, "
            f"kept_clause_share={self.kept_clause_share:.3g})"
        )
