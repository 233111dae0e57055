"""The network that predicts phases: message passing between literals and clauses, and a score for each literal.

A variable's probability of being true is a logistic function of the difference between the scores of its two literals,
which are computed in the same way. Negating a variable in the whole formula therefore turns its probability ``p`` into
``1 - p`` exactly (up to rounding) and changes no other; renaming variables and reordering clauses changes nothing.

Literal nodes that also hear from their negation are those of NeuroSAT (Selsam et al., ICLR 2019); predicting phases in
one pass before the search, rather than during it, is the idea of NeuroBack (Wang et al., ICLR 2024).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from satcost_gnn.formula.compact_graph import CLAUSE_INPUTS, VARIABLE_INPUTS
from satcost_gnn.learn.network.batching import GraphBatch
from satcost_gnn.learn.network.encoder import Aggregation, Standardiser
from satcost_gnn.section import Section

#: Inputs of a variable that are the same for both of its literals.
EVEN_COLUMNS = (
    "log_relative_degree",
    "unit_share",
    "binary_share",
    "ternary_share",
    "observed",
    "assigned_rate",
    "assigned_relative",
    "flip_share",
    "flips_relative",
    "decided_known",
    "decided_rate",
    "decided_relative",
    "learnt_known",
    "learnt_rate",
    "learnt_relative",
)
#: Inputs that change their sign when the variable is negated.
ODD_COLUMNS = ("sign_balance", "positive_balance", "learnt_balance")
#: Inputs of a clause that no negation changes.
CLAUSE_COLUMNS = ("log_length", "is_unit", "is_binary", "is_ternary", "log_relative_degree")

# A probability beyond this is never predicted: one wrong variable would else outweigh all others of its formula.
_LOGIT_LIMIT = 8.0


class PhaseModelConfig(Section):
    """Sizes of the network."""

    width: int = Field(default=32, ge=4, le=4096, description="Channels of a node.")
    rounds: int = Field(
        default=5, ge=1, le=100, description="Rounds of message passing, clauses and literals each once."
    )
    mean_channels: int = Field(default=20, ge=1, le=4096, description="Channels of a message that are averaged.")
    extreme_channels: int = Field(default=8, ge=0, le=4096, description="Channels of which a soft maximum is taken.")


def _columns(names: Iterable[str], of: tuple[str, ...]) -> list[int]:
    return [of.index(name) for name in names]


def literal_inputs(variable_inputs: Tensor) -> Tensor:
    """Turn inputs of variables, ``float32[n, len(VARIABLE_INPUTS)]``, into inputs of literals, ``float32[2 n, .]``.

    Row ``2 v`` is variable ``v``, row ``2 v + 1`` its negation. Columns: log(1 + occurrences) of the literal, of its
    negation, :data:`EVEN_COLUMNS`, and :data:`ODD_COLUMNS` as seen from the literal.
    """
    own = variable_inputs[:, _columns(("log_positive", "log_negative"), VARIABLE_INPUTS)]
    even = variable_inputs[:, _columns(EVEN_COLUMNS, VARIABLE_INPUTS)]
    odd = variable_inputs[:, _columns(ODD_COLUMNS, VARIABLE_INPUTS)]
    positive = torch.cat([own, even, odd], dim=1)
    negative = torch.cat([own.flip(1), even, -odd], dim=1)
    return torch.stack([positive, negative], dim=1).flatten(0, 1)


def _negations(literals: Tensor) -> Tensor:
    """Swap the rows of each variable's two literals."""
    return literals.view(-1, 2, literals.shape[1]).flip(1).reshape(literals.shape)


class _Round(nn.Module):
    """Clauses hear from their literals, then literals from their clauses and from their negation."""

    def __init__(self, config: PhaseModelConfig) -> None:
        super().__init__()
        self.aggregation = Aggregation(config.mean_channels, config.extreme_channels)
        sent = self.aggregation.channels
        self.to_clause = nn.Linear(config.width, sent)
        self.to_literal = nn.Linear(config.width, sent)
        self.clause_own = nn.Linear(config.width, config.width)
        self.clause_heard = nn.Linear(sent, config.width, bias=False)
        self.clause_norm = nn.LayerNorm(config.width)
        self.literal_own = nn.Linear(2 * config.width, config.width)
        # Once as it is and once times the log of the number of clauses: a mean alone forgets it.
        self.literal_heard = nn.Linear(2 * sent, config.width, bias=False)
        self.literal_norm = nn.LayerNorm(config.width)

    def forward(self, literals: Tensor, clauses: Tensor, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        by_clause = (batch.clause_literals, batch.clause_offsets)
        by_literal = (batch.literal_clauses, batch.literal_offsets)
        heard = self.aggregation(self.to_clause(literals), by_clause, by_literal)
        clauses = self.clause_norm(clauses + functional.gelu(self.clause_own(clauses) + self.clause_heard(heard)))
        heard = self.aggregation(self.to_literal(clauses), by_literal, by_clause)
        scaled = heard * (batch.literal_offsets.diff().log1p() / 3.0)[:, None]
        both = torch.cat([literals, _negations(literals)], dim=1)
        update = self.literal_own(both) + self.literal_heard(torch.cat([heard, scaled], dim=1))
        return self.literal_norm(literals + functional.gelu(update)), clauses


class PhaseModel(nn.Module):
    """Scores every variable of a batch of formulas."""

    def __init__(self, config: PhaseModelConfig) -> None:
        super().__init__()
        self.config = config
        columns = 2 + len(EVEN_COLUMNS) + len(ODD_COLUMNS)
        self.literal_inputs = Standardiser(columns)
        self.clause_inputs = Standardiser(len(CLAUSE_COLUMNS))
        self.embed_literal = nn.Sequential(
            nn.Linear(columns, config.width), nn.GELU(), nn.Linear(config.width, config.width)
        )
        self.embed_clause = nn.Linear(len(CLAUSE_COLUMNS), config.width)
        self.rounds = nn.ModuleList(_Round(config) for _ in range(config.rounds))
        self.score = nn.Sequential(nn.Linear(config.width, config.width), nn.GELU(), nn.Linear(config.width, 1))

    def forward(self, batch: GraphBatch) -> Tensor:
        """Return the logit of each variable's probability of being true: ``float32[n_variables]``."""
        literals = self.embed_literal(self.literal_inputs(literal_inputs(batch.variable_inputs)))
        clause_columns = batch.clause_inputs[:, _columns(CLAUSE_COLUMNS, CLAUSE_INPUTS)]
        clauses = self.embed_clause(self.clause_inputs(clause_columns))
        for step in self.rounds:
            literals, clauses = step(literals, clauses, batch)
        scores: Tensor = self.score(literals).view(-1, 2)
        return (scores[:, 0] - scores[:, 1]).clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT)

    def set_statistics(self, batches: Iterable[GraphBatch]) -> None:
        """Learn the normalisation of inputs from training graphs, in which every node counts the same."""
        literals, clauses = [], []
        for batch in batches:
            literals.append(literal_inputs(batch.variable_inputs).double())
            clauses.append(batch.clause_inputs[:, _columns(CLAUSE_COLUMNS, CLAUSE_INPUTS)].double())
        for standardiser, parts in ((self.literal_inputs, literals), (self.clause_inputs, clauses)):
            table = torch.cat(parts)
            standardiser.set_statistics(table.mean(dim=0).float(), table.std(dim=0, correction=0).float())
