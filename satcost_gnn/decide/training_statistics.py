"""What the training side of a data set says about a portfolio: the single best solver, and when another choice pays.

It is fixed when a checkpoint is made (``portfolio.json``), so that a decision needs no data set. A checkpoint without
that file gives the order of its constants, the distributions of training costs.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from satcost_gnn.decide.scoring import Slice
from satcost_gnn.errors import CheckpointError, DamagedFileError
from satcost_gnn.runtime.stored_files import checked
from satcost_gnn.section import Section
from satcost_gnn.serve.checkpoint import Checkpoint

if TYPE_CHECKING:
    from satcost_gnn.data.dataset import Dataset

PORTFOLIO_FILE = "portfolio.json"
UNIT = "cpu_seconds"

# For a checkpoint that doesn't say otherwise: the effect size below which it keeps to the single best, the copula
# correlation, the switching margin, and the seconds of a prediction.
DEFAULT_MIN_EFFECT_SIZE = 0.1
DEFAULT_COPULA_CORRELATION = 0.5
DEFAULT_SWITCHING_MARGIN = 0.5
DEFAULT_PREDICTION_S = 1.0


class _StoredSlice(Section):
    """A turn of a solver: see :class:`~satcost_gnn.decide.scoring.Slice`."""

    solver: str
    cpu_s: float = Field(gt=0)


class _Stored(Section):
    """What the file holds: see :class:`TrainingStatistics`."""

    par2: dict[str, float]
    solved: dict[str, float]
    cutoff_s: float = Field(gt=0)
    instances: int = Field(ge=0)
    min_effect_size: float = DEFAULT_MIN_EFFECT_SIZE
    copula_correlation: float = Field(default=DEFAULT_COPULA_CORRELATION, ge=0, le=1)
    presolving_s: float | None = Field(default=None, ge=0)
    switching_margin: float = DEFAULT_SWITCHING_MARGIN
    presolving: tuple[_StoredSlice, ...] = ()
    prediction_s: float = Field(default=DEFAULT_PREDICTION_S, ge=0)
    parallel: tuple[str, ...] = ()
    origin: str = "runs"
    longer: tuple[_Stored, ...] = ()


@dataclass(frozen=True)
class TrainingStatistics:
    """The solvers of a checkpoint as a portfolio.

    Parameters
    ----------
    par2
        Solver -> mean PAR2 in CPU seconds over training instances on which all solvers have runs.
    solved
        Solver -> share of those instances that it solves within the cutoff.
    cutoff_s
        Cutoff of both, in CPU seconds.
    instances
        Number of those instances; 0 if the numbers come from the constants.
    min_effect_size
        Effect size (see :class:`~satcost_gnn.decide.select.Decision`) below which the single best is kept.
    copula_correlation
        Correlation of the solvers' costs on an instance, given the predictions (Gaussian copula with one factor): see
        :mod:`satcost_gnn.decide.schedule`.
    presolving_s
        CPU seconds that the single best solver is run for before anything is predicted; None (in checkpoints that don't
        say) for the cutoff, all that the training runs tell about.
    switching_margin
        Share of the objective by which other solvers must promise to do better before the single best makes room.
    presolving
        Turns of other solvers after that, before anything is predicted.
    prediction_s
        CPU seconds that a prediction takes, about.
    parallel
        Who runs on several cores, chosen jointly, the first one first: names of
        :class:`~satcost_gnn.decide.solving.Member`.
    origin
        ``runs`` of the training side, or ``constants`` of a checkpoint that doesn't hold them.
    longer
        The same for longer limits, where another solver may be the best; not of every solver, as some have no runs that
        long.
    """

    par2: Mapping[str, float]
    solved: Mapping[str, float]
    cutoff_s: float
    instances: int
    min_effect_size: float = DEFAULT_MIN_EFFECT_SIZE
    copula_correlation: float = DEFAULT_COPULA_CORRELATION
    presolving_s: float | None = None
    switching_margin: float = DEFAULT_SWITCHING_MARGIN
    presolving: tuple[Slice, ...] = ()
    prediction_s: float = DEFAULT_PREDICTION_S
    parallel: tuple[str, ...] = ()
    origin: str = "runs"
    longer: tuple[TrainingStatistics, ...] = ()

    @property
    def first_look_s(self) -> float:
        """CPU seconds after which the single best solver is looked at: presolving."""
        return self.cutoff_s if self.presolving_s is None else self.presolving_s

    def single_best(self, among: Sequence[str] | None = None) -> str:
        """Return the solver with the least PAR2, of some solvers or all."""
        return self.order(list(self.par2) if among is None else among)[0]

    def order(self, among: Sequence[str]) -> list[str]:
        """Return solvers by rising PAR2."""
        place = {name: number for number, name in enumerate(self.par2)}
        return sorted(among, key=lambda name: (self.par2[name], place[name]))

    def at(self, limit_s: float) -> TrainingStatistics:
        """Return those whose cutoff is nearest to a limit in seconds (a positive number), by their ratio.

        Solvers without runs that long come last, in the order of the shorter limit, with an infinite PAR2.
        """
        found = min((self, *self.longer), key=lambda one: abs(math.log(one.cutoff_s / limit_s)))
        rest = [name for name in self.order(list(self.par2)) if name not in found.par2]
        return replace(found, par2={**found.par2, **dict.fromkeys(rest, math.inf)}) if rest else found

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any], source: str) -> Self:
        """Build it from :meth:`to_json`; CheckpointError for an unknown or missing key, or a value that cannot be."""
        return cls._of_values(checked(_Stored, found, source).model_dump())

    @classmethod
    def _of_values(cls, values: Mapping[str, Any]) -> Self:
        turns = tuple(Slice(**part) for part in values["presolving"])
        return cls(**{**values, "presolving": turns, "longer": tuple(map(cls._of_values, values["longer"]))})

    @classmethod
    def of_dataset(
        cls, dataset: Dataset, solvers: Sequence[str], instances: Collection[str], cutoff_s: float
    ) -> Self | None:
        """Count the runs of the instances of a training side; None if on no instance all solvers' runs tell."""
        import numpy as np

        from satcost_gnn.data.portfolio_summary import par_scores

        names, penalised = par_scores(dataset, solvers, cutoff_s)
        wanted = frozenset(instances)
        rows = penalised[np.array([name in wanted for name in names], dtype=bool)]
        if not len(rows):
            return None
        return cls(
            dict(zip(solvers, rows.mean(axis=0).tolist(), strict=True)),
            dict(zip(solvers, (rows <= cutoff_s).mean(axis=0).tolist(), strict=True)),
            float(cutoff_s),
            len(rows),
        )

    @classmethod
    def of_checkpoint(cls, checkpoint: Checkpoint) -> Self:
        """Read it from a checkpoint, or derive it from the checkpoint's constants (:meth:`at` chooses by the limit).

        Raises
        ------
        CheckpointError
            If the checkpoint predicts no CPU seconds, or its constants can't be read.
        """
        config = checkpoint.config
        if UNIT not in config.units:
            raise CheckpointError(
                f"{checkpoint.directory}: it predicts {', '.join(config.units)}; a portfolio needs one for {UNIT}"
            )
        if PORTFOLIO_FILE in config.files:
            place = str(checkpoint.directory / PORTFOLIO_FILE)
            portfolio = cls.from_json(checkpoint.read_json(PORTFOLIO_FILE), place)
            if not set(config.solvers) <= set(portfolio.par2) & set(portfolio.solved):
                raise DamagedFileError(
                    f"{place}: found PAR2 of {', '.join(portfolio.par2)}; expected all of {', '.join(config.solvers)}"
                )
            return portfolio
        from satcost_gnn.core.feature_vector import FeatureVector
        from satcost_gnn.features.instance import Instance
        from satcost_gnn.learn.registry import load_estimator

        cutoff = config.cutoffs[UNIT]
        constants = load_estimator("constant", checkpoint.member(f"{UNIT}/constant"))
        nothing = Instance("", "", FeatureVector.missing(()))
        distribution = constants.predict([nothing])[0]
        par2 = distribution.expected_par(2, cutoff)
        solved = distribution.p_solved_by(cutoff)
        return cls(
            dict(zip(config.solvers, par2.tolist(), strict=True)),
            dict(zip(config.solvers, solved.tolist(), strict=True)),
            float(cutoff),
            0,
            origin="constants",
        )
