"""Why a prediction is what it is: how many decades each group of features adds to it or takes from it.

The prediction of an instance is compared with that of a background, instances of the training data. Between the two,
feature groups are changed from the background's values to the instance's one by one, and each change of the prediction
is the group's; averaged over the orders in which groups can be changed these are the Shapley values, which always add
up to the whole difference (Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017).
They are estimated from random orders, each taken forwards and backwards (Castro, Gomez and Tejada, "Polynomial
calculation of the Shapley value based on sampling", 2009; Mitchell et al., "Sampling permutations for Shapley value
estimation", JMLR 2022). The network's graph counts as missing in the background, as it was at times in training.

A group's effect is what it does to this model's prediction. It isn't a cause of the instance's hardness.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.core.observed import extrapolated, known
from satcost_gnn.errors import ConfigError, DamagedFileError, EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.feature_matrix import FeatureMatrix, features_for_unit
from satcost_gnn.runtime.pictures import COLOURS, name_text, new_figure, write_picture
from satcost_gnn.runtime.stored_files import read_arrays
from satcost_gnn.serve.feature_groups import GROUPS, FeatureGroup, group_of
from satcost_gnn.serve.shapley import Bools, Floats, shapley_values

if TYPE_CHECKING:
    from satcost_gnn.formula.sources import FormulaSource
    from satcost_gnn.search.probe_settings import ProbeResult
    from satcost_gnn.serve.prediction import Prediction
    from satcost_gnn.serve.predictor import Predictor


#: Estimators of a checkpoint's chain that read features which can be told apart.
EXPLAINED = frozenset({"ensemble", "gnn", "forest", "structure", "forest_static", "linear"})
#: Name of the background in a checkpoint.
BACKGROUND_FILE = "background.npz"

# Training instances that a checkpoint keeps as background.
_BACKGROUND_ROWS = 32
# Random orders; each is taken backwards too, and the background's rows take turns.
_ORDERS = 32
# Standard deviations from the training median from which on an instance counts as unusual in a feature.
_UNUSUAL = 0.5
# Effects smaller than this, in decades, are not put in words.
_NEGLIGIBLE = 0.05


_BY_NAME = {group.name: group for group in GROUPS}


@dataclass(frozen=True, eq=False)
class Background:
    """What predictions are compared with: features of a few training instances.

    Parameters
    ----------
    names
        Features.
    values
        ``float32[n, n_features]``, NaN where missing.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]

    @property
    def what(self) -> str:
        """Where they come from, in words."""
        return f"{len(self.values)} instances of the training data"

    @classmethod
    def sample(cls, instances: Sequence[Instance], seed: int = 0) -> Self:
        """Draw a background from training instances with features.

        Raises
        ------
        EstimatorError
            If there is no instance with features.
        """
        rows = np.random.default_rng(seed).permutation(len(instances))[:_BACKGROUND_ROWS]
        matrix = FeatureMatrix.from_instances([instances[row] for row in sorted(rows)], "both+speed")
        return cls(matrix.names, matrix.values.astype(np.float32))

    def save(self, path: Path) -> None:
        """Write it as plain arrays."""
        np.savez_compressed(path, allow_pickle=False, names=np.array(self.names, dtype=np.str_), values=self.values)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read it.

        Raises
        ------
        CheckpointError
            If the file is missing or damaged.
        """
        arrays = read_arrays(path)
        try:
            names, values = tuple(str(name) for name in arrays["names"]), arrays["values"].astype(np.float32)
            if values.ndim != 2 or values.shape[1] != len(names) or not len(values):
                raise ValueError(f"found values of shape {values.shape} for {len(names)} features")
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFileError(f"{path}: the background of explanations can't be read: {error}") from error
        return cls(names, values)


@dataclass(frozen=True)
class Effect:
    """What one group does to a prediction.

    Parameters
    ----------
    decades
        Its Shapley value: decades (log10 of the cost) that it adds.
    standard_error
        Of that estimate, over random orders and background instances.
    z_score
        Robust standard deviations by which the group's measure lies above the training median; NaN for none.
    """

    group: FeatureGroup
    decades: float
    standard_error: float
    z_score: float

    @property
    def words(self) -> str:
        """How the instance is in this respect, such as ``short``; empty if nothing unusual can be said."""
        if math.isnan(self.z_score) or abs(self.z_score) < _UNUSUAL:
            return ""
        return self.group.high if self.z_score > 0 else self.group.low

    @property
    def because(self) -> str:
        """The effect as what comes after "because"."""
        said = f"{self.group.subject} {self.words}" if self.words else f"of its {self.group.name}"
        return f"{said} ({self.decades:+.2f})"


@dataclass(frozen=True, eq=False)
class Explanation:
    """A prediction for one solver, taken apart.

    Parameters
    ----------
    value, background
        log10 of the median cost: of the instance, and of the background on average. Beyond what the training labels
        tell about it is the estimator's extrapolation, which is not shown.
    effects
        Largest first. ``value == background + sum of decades``. Empty where there is nothing to take apart.
    compared_with
        What the background is, in words.
    reason
        Why there are no effects; empty if there are.
    """

    prediction: Prediction
    solver: str
    value: float
    background: float
    effects: tuple[Effect, ...]
    compared_with: str
    reason: str = ""

    @property
    def beyond(self) -> bool:
        """Whether the median lies beyond what the training labels tell about."""
        return float(10.0**self.value) > self.prediction.known_up_to_of(self.solver)

    @property
    def amount(self) -> str:
        """The median cost in words; more than the bound where it lies beyond."""
        unit, bound = self.prediction.unit, self.prediction.known_up_to_of(self.solver)
        return f"more than {_amount(math.log10(bound), unit)}" if self.beyond else _amount(self.value, unit)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values; decades and log10 throughout."""
        found = self.prediction
        return {
            "path": found.path,
            "gbdhash": found.gbdhash,
            "status": found.status,
            "result": found.result,
            "checkpoint": found.checkpoint,
            "estimator": found.estimator or found.source,
            "in_distribution": found.in_distribution,
            "fallback_reason": found.reason if found.status == "ok" else "",
            "solver": self.solver,
            "cost_unit": found.unit,
            "median_log10": None if math.isnan(self.value) or self.beyond else self.value,
            "background_median_log10": None if math.isnan(self.background) else self.background,
            "known_up_to": known(found.known_up_to_of(self.solver)),
            "background": self.compared_with,
            "reason": self.reason,
            "text": self.sentence(),
            "warnings": list(found.warnings),
            "effects": [
                {
                    "group": effect.group.name,
                    "decades": effect.decades,
                    "standard_error": effect.standard_error,
                    "z_score": None if math.isnan(effect.z_score) else effect.z_score,
                    "words": effect.words,
                }
                for effect in self.effects
            ],
        }

    def sentence(self) -> str:
        """Return the explanation in words."""
        if self.prediction.status == "error":
            return f"It cannot be read: {self.reason}."
        if math.isnan(self.value):
            return self.reason
        cost = f"{self.solver} is predicted to need {self.amount} (median)"
        if not self.effects:
            return f"{cost}; {self.reason}."
        difference = self.value - self.background
        much = (
            f"{abs(difference):.2f} decades {'more' if difference > 0 else 'less'} than"
            if round(abs(difference), 2)
            else "as much as"
        )
        text = f"{cost}, {much} {self.compared_with} ({_amount(self.background, self.prediction.unit)})"
        along = [e for e in self.effects if e.decades * difference > 0 and abs(e.decades) >= _NEGLIGIBLE]
        against = [e for e in self.effects if e.decades * difference < 0 and abs(e.decades) >= _NEGLIGIBLE]
        if along:
            text += ", mostly because " + " and because ".join(effect.because for effect in along[:3])
        if against:
            text += "; against that, because " + " and because ".join(effect.because for effect in against[:2])
        return text + "."

    def bars(self, width: int = 40) -> list[str]:
        """Return one line of text an effect: name, how the instance is, decades, and a bar to the left or right."""
        most = max((abs(effect.decades) for effect in self.effects), default=0.0)
        half = width // 2
        lines = []
        for effect in self.effects:
            length = round(abs(effect.decades) / most * half) if most else 0
            left = ("█" * length if effect.decades < 0 else "").rjust(half)
            right = "█" * length if effect.decades > 0 else ""
            said = f"{effect.group.name:15} {effect.words:24}"
            lines.append(f"{said} {effect.decades:+6.2f} ±{effect.standard_error:.2f}  {left}|{right}".rstrip())
        return lines

    def plot(self, path: Path) -> None:
        """Draw the effects as bars into a PNG, PDF or SVG, by the path's ending.

        Raises
        ------
        ConfigError
            If there is nothing to draw.
        OutputError
            If the ending is another one, or the file can't be written.
        """
        if not self.effects:
            raise ConfigError(f"{path}: there is nothing to draw: {self.sentence()}")
        names = [f"{e.group.name}: {e.words}" if e.words else e.group.name for e in reversed(self.effects)]
        decades = [effect.decades for effect in reversed(self.effects)]
        errors = [effect.standard_error for effect in reversed(self.effects)]
        figure = new_figure(8.0, 0.4 * len(names) + 1.6)
        axes = figure.add_subplot()
        less, more = COLOURS[:2]
        axes.barh(names, decades, xerr=errors, color=[more if value > 0 else less for value in decades])
        axes.axvline(0.0, color="black", linewidth=0.8)
        axes.set_xlabel(f"decades of {self.prediction.unit.replace('_', ' ')} ({name_text(self.solver)})")
        axes.set_title(
            f"{name_text(Path(self.prediction.path).name)}: {self.amount},\n"
            f"{self.compared_with}: {_amount(self.background, self.prediction.unit)}",
            fontsize="medium",
        )
        write_picture(figure, path)


def _amount(log10: float, unit: str) -> str:
    value = 10.0**log10
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text} {unit.replace('_', ' ')}"


class Explainer:
    """Takes the predictions of a predictor apart.

    Parameters
    ----------
    solver
        The solver that is explained; None for the one that the checkpoint's probe runs.

    Raises
    ------
    ConfigError
        If the predictor doesn't report the solver.
    CheckpointError
        If the checkpoint's background is missing or damaged.
    """

    def __init__(self, predictor: Predictor, solver: str | None = None) -> None:
        self.predictor = predictor
        wanted = solver or predictor.checkpoint.config.probe_solver
        if solver is None and wanted not in predictor.solvers:
            wanted = predictor.solvers[0]
        if wanted not in predictor.solvers:
            raise ConfigError(
                f"{wanted!r} is not in {predictor.checkpoint.config.label}; expected one of "
                f"{', '.join(predictor.solvers)}"
            )
        self.solver = wanted
        self.background = Background.load(predictor.checkpoint.directory / BACKGROUND_FILE)

    def explain(self, source: FormulaSource) -> Explanation:
        """Predict the cost of one instance and say what moved the prediction."""
        item = self.predictor.preprocess(source)
        prediction = self.predictor.predict_preprocessed([item])[0]
        nan = float("nan")
        if item.instance is None or prediction.distribution is None:
            return Explanation(prediction, self.solver, nan, nan, (), self.background.what, prediction.reason)
        median = extrapolated(prediction.distribution).median()
        value = float(median[self.predictor.solvers.index(self.solver)])
        if prediction.answered_by and not prediction.estimator:
            run = item.instance.plain if prediction.known else item.instance.probe
            spent = "" if run is None or run.conflicts is None else f" after {run.conflicts:,} conflicts"
            who = prediction.answered_by if prediction.known else "The probe"
            reason = f"{who} solved it{spent} ({prediction.result}): nothing was predicted from features."
            return Explanation(prediction, self.solver, nan, nan, (), self.background.what, reason)
        if prediction.estimator not in EXPLAINED:
            reason = f"this is the {prediction.source.replace('_', '-')} estimate, which has no feature groups"
            return Explanation(prediction, self.solver, value, nan, (), self.background.what, reason)
        return self._taken_apart(prediction, self.predictor.as_in_training(item.instance))

    def _taken_apart(self, prediction: Prediction, instance: Instance) -> Explanation:
        variants = _Variants.of(instance, self.background, self.predictor, prediction.estimator)
        column = self.predictor.solvers.index(self.solver)

        def evaluate(coalitions: Bools, rows: NDArray[np.int64]) -> Floats:
            made = variants.make(coalitions, rows)
            return self.predictor.predict_variants(prediction.estimator, made).median()

        values, errors, whole, nothing = shapley_values(
            evaluate, len(variants.groups), len(self.background.values), _ORDERS
        )
        z_scores = self.predictor.ood_detector.z_scores(instance)
        effects = [
            Effect(group, float(value), float(error), z_scores.get(group.measure, float("nan")))
            for group, value, error in zip(
                (_BY_NAME[name] for name in variants.groups), values[:, column], errors[:, column], strict=True
            )
        ]
        effects.sort(key=lambda effect: -abs(effect.decades))
        value, base = float(whole[column]), float(nothing[column])
        return Explanation(prediction, self.solver, value, base, tuple(effects), self.background.what)


@dataclass(frozen=True, eq=False)
class _Variants:
    """Makes an instance's variants, which have some groups of features from a background."""

    instance: Instance
    background: Background
    groups: tuple[str, ...]
    speed: FeatureVector | None

    @classmethod
    def of(cls, instance: Instance, background: Background, predictor: Predictor, estimator: str) -> Self:
        answered = predictor.estimator(estimator)
        names: list[str] = []
        if "static" in answered.needs:
            names += instance.static.names
        if "online" in answered.needs and instance.online is not None:
            names += instance.online.names
        speed = None
        if "speed" in features_for_unit("both", predictor.unit) and instance.probe is not None:
            from satcost_gnn.search.online import speed_features

            speed = speed_features(instance.probe)
            names += speed.names
        replaced = {group_of(name) for name in set(names) & set(background.names)}
        if "graph" in answered.can_miss:
            replaced.add("graph")
        if not replaced:
            raise EstimatorError(f"{instance.path}: no feature of the estimator {estimator} is in the background")
        return cls(instance, background, tuple(group.name for group in GROUPS if group.name in replaced), speed)

    def make(self, coalitions: Bools, rows: NDArray[np.int64]) -> list[Instance]:
        """Return the variants: groups in a coalition are the instance's own, the others those of a background row."""
        static = self._vectors(self.instance.static, coalitions, rows)
        online = self._vectors(self.instance.online, coalitions, rows)
        speed = self._vectors(self.speed, coalitions, rows)
        made = []
        for k, inside in enumerate(coalitions):
            graph, probe = self.instance.graph, self.instance.probe
            if "graph" in self.groups and not inside[self.groups.index("graph")]:
                graph = None
            if speed[k] is not None and "speed" in self.groups and not inside[self.groups.index("speed")]:
                assert probe is not None
                probe = _at_speed(probe, speed[k])
            made.append(replace(self.instance, static=static[k], online=online[k], graph=graph, probe=probe))
        return made

    def _vectors(self, own: FeatureVector | None, coalitions: Bools, rows: NDArray[np.int64]) -> list[Any]:
        if own is None:
            return [None] * len(coalitions)
        place = {name: i for i, name in enumerate(self.background.names)}
        values = np.repeat(own.values[None], len(coalitions), axis=0)
        for column, name in enumerate(own.names):
            group = group_of(name)
            if name in place and group in self.groups:
                outside = ~coalitions[:, self.groups.index(group)]
                values[outside, column] = self.background.values[rows[outside], place[name]]
        return [FeatureVector(own.names, row) for row in values]


def _at_speed(probe: ProbeResult, speed: FeatureVector) -> ProbeResult:
    """Return a probe's result with the counts and times that give the wanted speeds."""
    search = 10.0 ** speed["speed.search_seconds"]
    if math.isnan(search):
        return replace(probe, timings={name: s for name, s in probe.timings.items() if name != "search"})

    def count(name: str) -> int | None:
        rate = speed[f"speed.{name}_per_second"]
        return None if math.isnan(rate) else max(1, round(10.0**rate * search))

    return replace(
        probe,
        conflicts=count("conflicts"),
        propagations=count("propagations"),
        decisions=count("decisions"),
        timings={**probe.timings, "search": search, "load": 10.0 ** speed["speed.load_seconds"]},
    )
