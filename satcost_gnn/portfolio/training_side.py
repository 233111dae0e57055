"""What the training side of a data set says about a portfolio: the single best solver, and when another choice pays.

It is fixed when a checkpoint is made (``portfolio.json``), so that a decision needs no data set. A checkpoint without
that file gives the order of its constants, the distributions of training costs.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.checkpoint import Checkpoint
from satcost_gnn.distribution import CostDistribution
from satcost_gnn.errors import CheckpointError
from satcost_gnn.estimators import load_estimator
from satcost_gnn.feature_vector import FeatureVector
from satcost_gnn.instance import Instance
from satcost_gnn.portfolio.objective import Objective, scores, separation

if TYPE_CHECKING:
    from satcost_gnn.data.dataset import Dataset

PORTFOLIO_FILE = "portfolio.json"
UNIT = "cpu_seconds"

# Separation below which a checkpoint that doesn't say otherwise keeps to the single best.
DEFAULT_LEAST_SEPARATION = 0.1
# Dependence for such a checkpoint.
DEFAULT_DEPENDENCE = 0.5
#: Seconds that a presolver may be given, if they are no more than a tenth of the cutoff.
PRESOLVER_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
#: Separations that a checkpoint's is chosen from.
LEAST_SEPARATIONS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 2.0)


@dataclass(frozen=True)
class TrainingPortfolio:
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
    least_separation
        Separation (see :class:`~satcost_gnn.portfolio.select.Decision`) below which the single best is kept.
    dependence
        How much the solvers' costs on an instance are off the predictions together: see
        :mod:`satcost_gnn.portfolio.schedule`.
    presolver
        Solver and CPU seconds that are worth running before anything is predicted; None if none is.
    origin
        ``runs`` of the training side, or ``constants`` of a checkpoint that doesn't hold them.
    """

    par2: Mapping[str, float]
    solved: Mapping[str, float]
    cutoff_s: float
    instances: int
    least_separation: float = DEFAULT_LEAST_SEPARATION
    dependence: float = DEFAULT_DEPENDENCE
    presolver: tuple[str, float] | None = None
    origin: str = "runs"

    def single_best(self, among: Sequence[str] | None = None) -> str:
        """Return the solver with the least PAR2, of some solvers or all."""
        return min(self.par2 if among is None else among, key=lambda name: self.par2[name])

    def order(self, among: Sequence[str]) -> list[str]:
        """Return solvers by rising PAR2."""
        return sorted(among, key=lambda name: self.par2[name])

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any], source: str) -> Self:
        """Build it from :meth:`to_json`; keys that a newer version has added are passed over.

        Raises
        ------
        CheckpointError
            If a key is missing.
        """
        try:
            values = {name: found[name] for name in cls.__dataclass_fields__ if name in found}
            if values.get("presolver") is not None:
                name, seconds = values["presolver"]
                values["presolver"] = (str(name), float(seconds))
            return cls(**values)
        except TypeError as error:
            raise CheckpointError(f"{source}: {error}; expected what TrainingPortfolio.to_json writes") from None

    @classmethod
    def of_dataset(
        cls, dataset: Dataset, solvers: Sequence[str], instances: Collection[str], cutoff_s: float
    ) -> Self | None:
        """Count the runs of a training side; None if on no instance all solvers' runs tell.

        Parameters
        ----------
        dataset
            Its runs.
        solvers
            The portfolio.
        instances
            The training side.
        cutoff_s
            CPU seconds.
        """
        from satcost_gnn.data.summary import par_scores  # here: a decision needs no tables

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
        """Read it from a checkpoint, or derive it from the checkpoint's constants.

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
        if (checkpoint.directory / PORTFOLIO_FILE).is_file():
            return cls.from_json(checkpoint.read_json(PORTFOLIO_FILE), str(checkpoint.directory / PORTFOLIO_FILE))
        cutoff = config.cutoffs[UNIT]
        constants = load_estimator("constant", checkpoint.directory / UNIT / "constant")
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


def fit_least_separation(predicted: CostDistribution, par2: NDArray[np.float64], single: int, cutoff_s: float) -> float:
    """Return the separation from which on leaving the single best has paid on instances that were not trained on.

    Parameters
    ----------
    predicted
        ``(n, n_solvers)``, in CPU seconds.
    par2
        ``float64[n, n_solvers]``: measured PAR2.
    single
        Column of the single best.
    cutoff_s
        Cutoff of both.

    Returns
    -------
    float
        Of :data:`LEAST_SEPARATIONS`, the one with the least total PAR2; of equals, the largest, which stays with the
        single best most often.
    """
    found = scores(predicted, Objective.PAR2, cutoff_s)
    distance = separation(found.value, found.spread, single)
    gain = par2[:, single] - np.take_along_axis(par2, np.argmin(found.value, axis=-1)[:, None], axis=-1)[:, 0]
    totals = [float(gain[distance > least].sum()) for least in LEAST_SEPARATIONS]
    return max(zip(totals, LEAST_SEPARATIONS, strict=True))[1]


def fit_dependence(predicted: CostDistribution, log10_cost: NDArray[np.float64], solved: NDArray[np.bool_]) -> float:
    """Return the correlation between solvers of how far their costs lie from the predictions.

    How far is the normal score of the probability integral transform, Phi^-1(F(cost)); the mean of the correlations of
    all pairs of solvers, over instances that both have solved, is kept between 0 and 0.95. Where the predictions say
    nothing about the instance it is near 1, where they say all that can be known, near 0.

    Parameters
    ----------
    predicted
        ``(n, n_solvers)``.
    log10_cost, solved
        ``[n, n_solvers]``: measured costs, and where they are known.
    """
    from scipy.special import ndtri

    with np.errstate(invalid="ignore"):
        score = ndtri(np.clip(predicted.cdf_at(np.where(solved, log10_cost, np.nan)), 1e-3, 1 - 1e-3))
    found = []
    for a, b in itertools.combinations(range(score.shape[1]), 2):
        both = solved[:, a] & solved[:, b]
        if both.sum() >= 20 and np.ptp(score[both, a]) > 0 and np.ptp(score[both, b]) > 0:
            found.append(float(np.corrcoef(score[both, a], score[both, b])[0, 1]))
    return float(np.clip(np.mean(found), 0.0, 0.95)) if found else DEFAULT_DEPENDENCE


def fit_presolver(
    par2: NDArray[np.float64], solvers: Sequence[str], single: int, overhead_s: float, cutoff_s: float
) -> tuple[str, float] | None:
    """Return the presolver with the least PAR2 on the training side, if running one is better than predicting at once.

    What it doesn't solve costs its time, the overhead, and then what the single best costs: no more is granted to the
    prediction, which has seen these instances.

    Parameters
    ----------
    par2
        ``float64[n, n_solvers]``: measured PAR2 of training instances.
    solvers
        Names of the columns.
    single
        Column of the single best.
    overhead_s
        Mean seconds of features, probe, graph and inference.
    cutoff_s
        Cutoff of the PAR2.
    """

    def mean(after: NDArray[np.float64]) -> float:
        return float(np.where(after <= cutoff_s, after, 2 * cutoff_s).mean())

    best, choice = mean(overhead_s + par2[:, single]), None
    for column, name in enumerate(solvers):
        for seconds in PRESOLVER_SECONDS:
            if seconds > 0.1 * cutoff_s:
                continue
            later = seconds + overhead_s + par2[:, single]
            found = mean(np.where(par2[:, column] <= seconds, par2[:, column], later))
            if found < best:
                best, choice = found, (name, seconds)
    return choice


def fit_portfolio(
    dataset: Dataset,
    solvers: Sequence[str],
    sides: Mapping[str, str],
    cutoff_s: float,
    held_out: Sequence[str],
    predicted: CostDistribution,
    overhead_s: float,
) -> TrainingPortfolio | None:
    """Return what a checkpoint is to hold of its portfolio; None if on no instance all solvers' runs tell.

    Parameters
    ----------
    dataset
        Its runs.
    solvers
        The portfolio, in the order of the predictions.
    sides
        Instance -> side; the test side is not looked at.
    cutoff_s
        CPU seconds.
    held_out
        Instances that no estimator was fitted to, none of the test side, and that the probe did not solve.
    predicted
        Their predictions in CPU seconds, ``(n, n_solvers)``.
    overhead_s
        Mean seconds that a prediction takes.
    """
    from satcost_gnn.data.summary import par_scores

    learnt = [name for name, side in sides.items() if side in ("train", "validation")]
    training = TrainingPortfolio.of_dataset(dataset, solvers, learnt, cutoff_s)
    if training is None:
        return None
    measured = dict(zip(*par_scores(dataset, solvers, cutoff_s), strict=True))
    single = list(solvers).index(training.single_best())
    table = np.stack([measured[name] for name in learnt if name in measured])
    training = replace(training, presolver=fit_presolver(table, solvers, single, overhead_s, cutoff_s))
    rows = [k for k, name in enumerate(held_out) if name in measured]
    if not rows:
        return training
    par2 = np.stack([measured[held_out[k]] for k in rows])
    return replace(
        training,
        least_separation=fit_least_separation(predicted[rows], par2, single, cutoff_s),
        dependence=fit_dependence(predicted[rows], np.log10(par2), par2 <= cutoff_s),
    )
