"""Which solver to run on an instance: that with the least objective, if the evidence tells it from the usual one.

What is minimised is an expectation under the predicted distribution of CPU seconds, with what the probe, the features
and the inference have cost already charged. The single best solver of the training side is the choice to beat: it
needs no prediction at all, so another one must promise more than the predictions' uncertainty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from satcost_gnn.core.distribution import CostDistribution, Floats
from satcost_gnn.core.observed import bound_of, extrapolated, known
from satcost_gnn.decide.deciding import DecidesByPredictor, open_predictor
from satcost_gnn.decide.objective import Objective, effect_size, scores
from satcost_gnn.decide.scoring import charge
from satcost_gnn.decide.training_statistics import UNIT, TrainingStatistics
from satcost_gnn.decide.turns import MOSTLY_XOR, PARITY
from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.sources import FormulaSource
from satcost_gnn.serve.prediction import Prediction
from satcost_gnn.serve.predictor import Predictor


@dataclass(frozen=True)
class RankedSolver:
    """A solver in the ranking of a decision.

    Parameters
    ----------
    value
        What was minimised: the objective plus ``risk`` times its standard deviation; CPU seconds, or a probability.
    sd
        Standard deviation of the objective under the predicted distribution.
    par2_s, expected_cost_s
        Predicted PAR2, and CPU seconds spent within the cutoff whatever comes of it, overhead charged in both; None
        where the cutoff lies beyond what the solver's own training labels tell about.
    p_solved
        Probability of an answer within the cutoff, overhead charged; None likewise.
    median_s
        Median of the solver's own CPU seconds; None if it lies beyond ``known_up_to_s``.
    known_up_to_s
        The largest cost that the solver's own training labels tell about; None where there is no bound.
    """

    solver: str
    value: float
    sd: float
    par2_s: float | None
    expected_cost_s: float | None
    p_solved: float | None
    median_s: float | None
    known_up_to_s: float | None


@dataclass(frozen=True)
class Decision:
    """Which solver to run on an instance, and why.

    Parameters
    ----------
    status
        ``selected``; ``solved``: the probe has solved it, and nothing need be run; ``error``: it could not be read, and
        there is no ranking (all solvers, the best first).
    single_best
        The best single solver of the training side, of those asked for.
    separated
        Whether the predictions tell the best ranked solver from the single best.
    effect_size, min_effect_size
        Difference of the objective between the two over the root of the sum of their variances, and the least at which
        another choice than the single best pays.
    objective, cutoff_s, risk
        What was minimised, within how many CPU seconds, with how many standard deviations added.
    judged_s
        CPU seconds within which the solvers were compared: the cutoff, or the longest limit of the training labels if
        that is less.
    known_up_to_s
        CPU seconds beyond which the training labels tell nothing; None if that isn't said.
    result
        ``SAT`` or ``UNSAT`` if the probe solved it.
    source, source_reason
        Estimator that the prediction comes from, and why the ones before it were passed over (or what is wrong).
    in_distribution
        Whether the instance resembles the training data; None where that can't be told.
    overhead_s
        CPU seconds of features, probe, graph and inference: what is charged.
    timings
        CPU seconds by stage, ``parse`` among them.
    warnings
        What was odd about the input but readable.
    """

    path: str
    gbdhash: str
    status: str
    chosen: str
    reason: str
    ranking: tuple[RankedSolver, ...]
    single_best: str
    separated: bool
    effect_size: float
    min_effect_size: float
    objective: str
    cutoff_s: float
    risk: float
    result: str
    source: str
    source_reason: str
    in_distribution: bool | None
    overhead_s: float
    checkpoint: str
    judged_s: float
    known_up_to_s: float | None = None
    timings: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def leaves(self) -> bool:
        """Whether another solver than the single best is to be run."""
        return self.status == "selected" and self.chosen != self.single_best

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON; docs/portfolio.md describes them."""
        return asdict(self)


@dataclass(frozen=True)
class SelectionSettings:
    """How to choose.

    Parameters
    ----------
    cutoff_s
        CPU seconds for everything.
    risk
        Standard deviations added to the expectation: more than 0 prefers solvers whose cost is more certain.

    Raises
    ------
    ConfigError
        If the cutoff isn't positive or the risk is negative.
    """

    objective: Objective = Objective.PAR2
    cutoff_s: float = 10.0
    risk: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.cutoff_s) and self.cutoff_s > 0):
            raise ConfigError(f"found a cutoff of {self.cutoff_s:g} s; expected a positive number of seconds")
        if not (np.isfinite(self.risk) and self.risk >= 0):
            raise ConfigError(f"found risk {self.risk:g}; expected a number that is not negative")


@dataclass(frozen=True, eq=False)
class Choice:
    """Which solver to run on each of n instances.

    Parameters
    ----------
    value, sd
        ``float64[n, n_solvers]``: what is minimised, risk included, and its standard deviation.
    judged_s
        ``float64[n]``: CPU seconds within which the solvers were compared (see :class:`Decision`).
    best, chosen
        ``int64[n]``: columns of the solver of least value, and of the one to run.
    effect_size
        ``float64[n]``: see :class:`Decision`.
    """

    value: Floats
    sd: Floats
    judged_s: Floats
    best: NDArray[np.int64]
    chosen: NDArray[np.int64]
    effect_size: Floats


def choose(
    distributions: CostDistribution,
    solvers: Sequence[str],
    training: TrainingStatistics,
    settings: SelectionSettings,
    overhead_s: ArrayLike = 0.0,
    unlike: ArrayLike = False,
) -> Choice:
    """Choose a solver for each instance: that of least value where it is told from the single best, else that one.

    Parameters
    ----------
    distributions
        ``(n, n_solvers)``, in CPU seconds; the columns are those of ``solvers``.
    overhead_s
        CPU seconds that have been spent on the decision, a number or ``float64[n]``.
    unlike
        Whether an instance is unlike the training data: the single best is kept there.
    """
    # Of equals, the one that is better on the training side.
    order = np.array([list(solvers).index(name) for name in training.order(solvers)])
    single = int(order[0])
    overhead = np.broadcast_to(np.asarray(overhead_s, dtype=np.float64), len(distributions))
    # Beyond the labels the solvers can't be told apart: they are compared within them.
    judged = np.minimum(settings.cutoff_s, bound_of(distributions) + overhead)
    found = scores(extrapolated(distributions), settings.objective, judged[:, None], overhead[:, None])
    value = found.value + settings.risk * found.sd
    best = order[np.argmin(value[:, order], axis=1)]
    distance = np.where(best == single, 0.0, effect_size(value, found.sd, single))
    leaves = (distance > training.min_effect_size) & ~np.asarray(unlike, dtype=bool)
    return Choice(value, found.sd, judged, best, np.where(leaves, best, single), distance)


def decide(
    prediction: Prediction,
    training: TrainingStatistics,
    settings: SelectionSettings,
    overhead_s: float | None = None,
) -> Decision:
    """Choose a solver from a prediction in CPU seconds.

    Parameters
    ----------
    prediction
        With the distributions of the solvers to choose from.
    overhead_s
        CPU seconds that have been spent on the decision; None for those of the prediction.

    Raises
    ------
    ConfigError
        If the prediction isn't in CPU seconds.
    """
    if prediction.unit != UNIT:
        raise ConfigError(f"found a prediction in {prediction.unit}; expected one in {UNIT} to choose a solver by")
    single = training.single_best(prediction.solvers)
    overhead = float(charge(prediction.timings)) if overhead_s is None else overhead_s
    bound = bound_of(prediction.distribution)
    judged = min(settings.cutoff_s, bound + overhead)
    unread = Decision(
        path=prediction.path,
        gbdhash=prediction.gbdhash,
        status="error",
        chosen="",
        reason=prediction.reason,
        ranking=(),
        single_best=single,
        separated=False,
        effect_size=0.0,
        min_effect_size=training.min_effect_size,
        objective=str(settings.objective),
        cutoff_s=settings.cutoff_s,
        risk=settings.risk,
        result=prediction.result,
        source=prediction.source,
        source_reason=prediction.reason,
        in_distribution=prediction.in_distribution,
        overhead_s=overhead,
        checkpoint=prediction.checkpoint,
        judged_s=judged,
        known_up_to_s=known(bound),
        timings=dict(prediction.timings),
        warnings=prediction.warnings,
    )
    if prediction.distribution is None:
        return unread

    unlike = prediction.in_distribution is False
    one_row = prediction.distribution.reshape(1, len(prediction.solvers))
    made = choose(one_row, prediction.solvers, training, settings, overhead, unlike)
    value, sd, distance = made.value[0], made.sd[0], float(made.effect_size[0])
    distribution = extrapolated(prediction.distribution)
    par2 = scores(distribution, Objective.PAR2, judged, overhead).value
    expected = scores(distribution, Objective.EXPECTED_COST, judged, overhead).value
    solved = 1.0 - scores(distribution, Objective.P_SOLVED, judged, overhead).value
    median = prediction.quantile(0.5)
    # Of equals, the one that is better on the training side.
    usual = [training.order(prediction.solvers).index(name) for name in prediction.solvers]
    ranked = sorted(range(len(value)), key=lambda k: (value[k], usual[k]))
    own = [prediction.known_up_to_of(name) for name in prediction.solvers]
    within = [settings.cutoff_s - overhead <= least for least in own]
    ranking = tuple(
        RankedSolver(
            prediction.solvers[k],
            float(value[k]),
            float(sd[k]),
            float(par2[k]) if within[k] else None,
            float(expected[k]) if within[k] else None,
            float(solved[k]) if within[k] else None,
            known(median[prediction.solvers[k]]),
            known(own[k]),
        )
        for k in ranked
    )
    found, best = replace(unread, ranking=ranking), ranking[0]
    if prediction.result:
        reason = f"the early search has solved it: {prediction.result}"
        return replace(found, status="solved", chosen=best.solver, reason=reason, separated=True)
    other = next(row for row in ranking if row.solver == single)
    chosen = prediction.solvers[int(made.chosen[0])]
    separated = chosen == best.solver
    reason = _reason(best, other, distance, separated, unlike, training, settings, overhead)
    if prediction.xor_share >= MOSTLY_XOR and PARITY not in prediction.solvers:
        reason += "; most of its clauses are XOR constraints, which `satcost solve` shows to parity first"
    return replace(found, status="selected", chosen=chosen, reason=reason, separated=separated, effect_size=distance)


def _reason(
    best: RankedSolver,
    single: RankedSolver,
    distance: float,
    separated: bool,
    unlike: bool,
    training: TrainingStatistics,
    settings: SelectionSettings,
    overhead_s: float,
) -> str:
    names = {"expected-cost": "expected cost", "par2": "PAR2", "par10": "PAR10", "p-solved": "P(not solved)"}
    name = names[settings.objective]
    if overhead_s >= settings.cutoff_s:
        return (
            f"the overhead of {overhead_s:.3g} s has used up the {settings.cutoff_s:g} s: {single.solver} is the "
            "single best of the training set"
        )
    unit = "" if settings.objective is Objective.P_SOLVED else " s"
    with_risk = f" with {settings.risk:g} standard deviations" if settings.risk else ""
    if best.solver == single.solver:
        return f"{best.solver} has the least {name}{with_risk}, and is the single best of the training set too"
    compared = f"{name}{with_risk} {best.value:.3g}{unit} against {single.value:.3g}{unit} of {single.solver}"
    if separated:
        return f"{best.solver} has the least {name}: {compared}, the single best of the training set"
    if unlike:
        return (
            f"the instance is unlike the training data, where predictions don't tell solvers apart: {single.solver} is "
            "the single best of the training set"
        )
    return (
        f"the evidence does not separate {best.solver} from {single.solver} ({compared}; {distance:.2f} standard "
        f"deviations, {training.min_effect_size:.2g} needed): {single.solver} is the single best of the training set"
    )


class Selector(DecidesByPredictor):
    """Chooses solvers with a checkpoint.

    Parameters
    ----------
    predictor
        In CPU seconds, with the solvers to choose from.

    Raises
    ------
    ConfigError
        If the predictor is of another unit.

    Examples
    --------
    >>> with Selector.from_checkpoint(objective="par2", cutoff_s=60) as selector:  # doctest: +SKIP
    ...     selector.select("instance.cnf").chosen
    'cadical195'
    """

    def __init__(self, predictor: Predictor, settings: SelectionSettings) -> None:
        super().__init__(predictor)
        self.settings = settings
        training = TrainingStatistics.of_checkpoint(predictor.checkpoint)
        self.training = training.at(settings.cutoff_s)

    @classmethod
    def from_checkpoint(
        cls,
        where: str | Path | None = None,
        *,
        objective: str = "par2",
        cutoff_s: float | None = None,
        solvers: Sequence[str] | None = None,
        risk: float = 0.0,
        device: str = "auto",
        start: str | None = None,
        relaxed: bool = False,
    ) -> Self:
        """Open a checkpoint (None: the newest that ships with the package) to choose with it.

        Parameters
        ----------
        where
            Directory or name of the checkpoint.
        objective, cutoff_s, solvers, risk
            See :class:`SelectionSettings`; the cutoff defaults to the checkpoint's. A cutoff that is given also bounds
            the early search, see :func:`~satcost_gnn.features.early_budget.early_share`.
        device, start, relaxed
            See :class:`~satcost_gnn.serve.predictor.Predictor`.

        Raises
        ------
        CheckpointError
            If there is no such checkpoint, or it predicts no CPU seconds.
        ConfigError
            If a solver or the objective is unknown, or the cutoff or risk is out of range.
        """
        predictor = open_predictor(where, cutoff_s, solvers=solvers, device=device, start=start, relaxed=relaxed)
        settings = SelectionSettings(Objective.of(objective), predictor.cutoff, risk)
        return cls(predictor, settings)

    def select(self, source: FormulaSource) -> Decision:
        """Choose a solver for one instance; the decision has status ``error`` if a file could not be read.

        Parameters
        ----------
        source
            See :meth:`satcost_gnn.serve.predictor.Predictor.predict`.

        Raises
        ------
        FormulaError
            If clauses given in memory are malformed.
        """
        return self.decide(self.predictor.predict(source))

    def select_many(self, sources: Iterable[FormulaSource], *, jobs: int = 1) -> Iterator[Decision]:
        """Choose for many instances, in the order in which they get ready (see ``Predictor.predict_many``)."""
        for prediction in self.predictor.predict_many(sources, jobs=jobs):
            yield self.decide(prediction)

    def decide(self, prediction: Prediction) -> Decision:
        """Choose from a prediction that is there already."""
        return decide(prediction, self.training, self.settings)
