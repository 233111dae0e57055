"""What one instance is predicted to cost each solver, and the rows of that in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.distribution import CostDistribution
from satcost_gnn.core.observed import bound_of, extrapolated, known
from satcost_gnn.errors import CheckpointError
from satcost_gnn.serve.prediction_table import cutoff_column

#: Stages of the early search by their names in the timings.
EARLY_STAGES = ("plain run", "probe", "probe replicate")
#: Source of a cost that is predicted from that of the solver that was run.
RELATIVE_COST = "relative_cost"

QUANTILES = {"q05": 0.05, "q10": 0.1, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q90": 0.9, "q95": 0.95}


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """What one instance is predicted to cost each solver.

    Parameters
    ----------
    path, gbdhash
        Which instance.
    status
        ``ok``: predicted; ``solved``: the plain run answered, ``result`` says how, and the cost of the solver that was
        run is known; ``error``: the input could not be read.
    unit
        Unit of the cost: ``conflicts``, ``propagations`` or ``cpu_seconds``.
    solvers
        Names in the order of the distribution's axis.
    distribution
        Distribution of the cost, of shape ``(n_solvers,)``; None for an unreadable input.
    source
        Estimator it comes from: ensemble, gnn, forest, structure, linear, tree_size, constant; ``search`` where the
        plain run answered; ``probe`` where only the listening probe did: all costs are predictions then.
    reason
        Why the estimators before it were passed over, or what is wrong with the input.
    result
        ``SAT`` or ``UNSAT`` if the early search found the answer: the plain run (status ``solved``), or else the
        listening probe or the probe replicate (status ``ok``: what a solver needs alone remains a prediction).
    in_distribution
        Whether the instance resembles the training data; None where that can't be told.
    checkpoint
        Name and version of the checkpoint.
    timings
        CPU seconds by stage.
    estimator
        The source's name in the checkpoint's chain of estimators; empty where none was asked.
    model
        ``int32[n]``: literals of the model, if one of the searches found the instance satisfiable.
    warnings
        What was odd about the input but readable.
    known
        Solver -> its cost, of a solver that was run and answered.
    survived
        Solver -> what it was seen to spend without an answer, in the cost unit: no quantile lies below.
    solver_bounds
        Solver -> the largest cost that its own labels tell about, of solvers whose labels end much earlier than
        :attr:`known_up_to`. What an estimator says of it beyond leans on other solvers, and is not told.
    xor_share
        Share of the clauses in XOR constraints (the static feature of this name); NaN where it isn't known.
    """

    path: str
    gbdhash: str
    status: str
    unit: str
    solvers: tuple[str, ...]
    distribution: CostDistribution | None = None
    source: str = ""
    reason: str = ""
    result: str = ""
    in_distribution: bool | None = None
    checkpoint: str = ""
    cutoff: float
    timings: dict[str, float] = field(default_factory=dict)
    estimator: str = ""
    model: NDArray[np.int32] | None = None
    warnings: tuple[str, ...] = ()
    known: dict[str, float] = field(default_factory=dict)
    survived: dict[str, float] = field(default_factory=dict)
    solver_bounds: dict[str, float] = field(default_factory=dict)
    xor_share: float = float("nan")

    def quantile(self, q: float) -> dict[str, float]:
        """Return a quantile of the cost of each solver, in the cost unit (not log10).

        NaN where it lies beyond :meth:`known_up_to_of`: no label of that solver tells how far.

        Raises
        ------
        CheckpointError
            If there is no distribution because the input could not be read.
        """
        values = 10.0 ** np.atleast_1d(self._known().quantile(q))
        # Powers of logarithms are not exact.
        found = {
            name: self.known.get(name, max(value, self.survived.get(name, 0.0)))
            for name, value in zip(self.solvers, values.tolist(), strict=True)
        }
        return {
            name: value if name in self.known or value <= self.known_up_to_of(name) else float("nan")
            for name, value in found.items()
        }

    def p_solved_by(self, budget: float) -> dict[str, float]:
        """Return each solver's probability of solving within a budget in the cost unit.

        NaN for a budget beyond :meth:`known_up_to_of`; the probability at that bound is then the least that it is.
        """
        values = np.atleast_1d(self._known().p_solved_by(budget))
        return {
            name: value if name in self.known or budget <= self.known_up_to_of(name) else float("nan")
            for name, value in zip(self.solvers, values.tolist(), strict=True)
        }

    def known_up_to_of(self, solver: str) -> float:
        """Return the largest cost of a solver that the training labels tell about; infinity where there is no bound."""
        return min(self.known_up_to, self.solver_bounds.get(solver, np.inf))

    @property
    def known_up_to(self) -> float:
        """Largest cost in the unit that the training labels tell about; infinity where that isn't said."""
        return bound_of(self.distribution)

    @property
    def answered_by(self) -> str:
        """Which run of the early search found the answer: the solver that ran alone, or ``probe``; empty for none."""
        return next(iter(self.known), "probe") if self.result else ""

    @property
    def searched_s(self) -> float | None:
        """CPU seconds of the plain run, the probe and the probe replicate; None if none of them was made."""
        spent = [self.timings[stage] for stage in EARLY_STAGES if stage in self.timings]
        return sum(spent) if spent else None

    def _known(self) -> CostDistribution:
        if self.distribution is None:
            raise CheckpointError(f"{self.path}: there is no prediction: {self.reason}")
        return self.distribution

    def _means(self) -> dict[str, float]:
        """Return each solver's mean of log10 of the cost, with what lies beyond its bound counted at it."""
        told = np.atleast_1d(self._known().mean()).tolist()
        found = dict(zip(self.solvers, told, strict=True))
        for name, bound in self.solver_bounds.items():
            if name in found and name not in self.known:
                end = np.full(len(self.solvers), np.log10(bound))
                shorter = np.atleast_1d(extrapolated(self._known()).restricted_mean(end))
                found[name] = min(found[name], float(shorter[self.solvers.index(name)]))
        return found

    def rows(self, cutoffs: Sequence[float] = ()) -> list[dict[str, Any]]:
        """Return one row a solver with the columns of :mod:`satcost_gnn.serve.prediction_table`.

        Parameters
        ----------
        cutoffs
            Budgets in the cost unit, for a column each of the probability of being solved by it.
        """
        common = {
            "path": self.path,
            "gbdhash": self.gbdhash,
            "cost_unit": self.unit,
            "cutoff": self.cutoff,
            "source": self.source,
            "checkpoint": self.checkpoint,
            "in_distribution": self.in_distribution,
            "parse_s": self.timings.get("parse"),
            "probe_s": self.searched_s,
            "features_s": self.timings.get("features", 0.0) + self.timings.get("graph", 0.0),
            "inference_s": self.timings.get("inference"),
            "status": self.status,
            "result": self.result,
            "error": self.reason,
            "warnings": "; ".join(self.warnings),
        }
        if self.distribution is None:
            return [{**common, "solver": "", "features_s": None, "cutoff": None}]
        quantiles = {name: self.quantile(q) for name, q in QUANTILES.items()}
        means = self._means()
        solved = self.p_solved_by(self.cutoff)
        within = {cutoff_column(cutoff): self.p_solved_by(cutoff) for cutoff in cutoffs}
        bounds = {name: self.known_up_to_of(name) for name in self.solvers}
        by_bound = {bound: self.p_solved_by(bound) for bound in {*bounds.values()} if np.isfinite(bound)}
        within_bound = {name: by_bound[bound][name] for name, bound in bounds.items() if bound in by_bound}
        return [
            {
                **common,
                "solver": solver,
                **{name: known(values[solver]) for name, values in quantiles.items()},
                "mean_log10": means[solver],
                "p_solved": known(solved[solver]),
                "known_up_to": known(bounds[solver]),
                "p_above": known(1.0 - within_bound.get(solver, np.nan)),
                **{name: known(values[solver]) for name, values in within.items()},
                "survived": self.survived.get(solver),
                # Where another solver has answered, this one was not run itself.
                **({"status": "ok", "source": RELATIVE_COST} if self.known and solver not in self.known else {}),
            }
            for solver in self.solvers
        ]
