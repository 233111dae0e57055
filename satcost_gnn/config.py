"""Training configuration: a TOML file, checked key by key before anything is loaded or computed.

Every key has a default but ``[data] dataset``; an unknown key is an error, since a misspelt one would otherwise train
another model than the one asked for.
"""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from satcost_gnn.errors import ConfigError
from satcost_gnn.runtime.output_files import write_json
from satcost_gnn.section import Section, section_at

Modality = Literal["graph", "static", "online"]


class RelativesConfig(Section):
    """Published solvers that stand for one of ours."""

    generation: str = Field(description="Generation of solvers whose measured speed of the source is taken.")
    solvers: tuple[str, ...] = Field(min_length=1, description="Names of published solvers, or shell patterns.")


class DataConfig(Section):
    """What to learn from."""

    dataset: Path = Field(description="Data set directory with manifest.parquet, runs.parquet and splits.json.")
    also: tuple[Path, ...] = Field(
        default=(), description="Further data sets: their instances and runs are joined with those of the first."
    )
    relatives: dict[str, RelativesConfig] = Field(
        default_factory=dict,
        description="Solver -> published solvers whose runs stand for its own where it has no answer itself.",
    )
    root: Path | None = Field(default=None, description="Directory that the manifest's paths are relative to.")
    cache: Path = Field(default=Path("cache"), description="Directory that keeps preprocessed instances between runs.")
    split: Literal["instance", "family"] = Field(
        default="instance", description="Which of the data set's splits to use."
    )
    fold: int = Field(default=0, ge=0, description="Fold of families left out; only for the split by family.")
    solvers: tuple[str, ...] = Field(
        default=("cadical195", "glucose42", "minisat22", "maplechrono"),
        min_length=1,
        description="Solvers to predict for.",
    )
    units: tuple[Literal["conflicts", "propagations", "cpu_seconds"], ...] = Field(
        default=("conflicts", "cpu_seconds"),
        min_length=1,
        description="Cost units; the first is the one that stops training.",
    )

    @field_validator("solvers", "units")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("must not name anything twice")
        return value


class PreprocessConfig(Section):
    """How instances are turned into what the estimators see."""

    former_keys: ClassVar[Mapping[str, str]] = {"again": "probe_replicate"}

    conflicts: int = Field(default=2000, ge=1, description="Conflict budget of the probe.")
    probe_replicate: bool = Field(
        default=True, description="Whether what the probe doesn't solve is probed a second time on a renamed copy."
    )
    max_graph_edges: int = Field(default=200_000, ge=1, description="Literal occurrences kept in a cached graph.")
    jobs: int = Field(default=1, ge=1, description="Instances preprocessed at a time.")


class ModelConfig(Section):
    """The network."""

    former_keys: ClassVar[Mapping[str, str]] = {
        "branches": "modalities",
        "node_evidence": "probe_node_features",
        "branch_dropout": "modality_dropout",
        "early_alone": "online_only_dropout",
    }

    modalities: tuple[Modality, ...] = Field(
        default=("graph", "static", "online"), description="What the network sees."
    )
    probe_node_features: bool = Field(default=True, description="Whether the graph carries what the probe did with it.")
    width: int = Field(default=48, ge=4, le=4096, description="Channels of a node.")
    rounds: int = Field(
        default=3, ge=0, le=100, description="Rounds of message passing, clauses and variables each once a round."
    )
    mean_channels: int = Field(default=24, ge=1, le=4096, description="Channels of a message that are averaged.")
    extreme_channels: int = Field(
        default=8, ge=0, le=4096, description="Channels of a message of which a soft maximum is taken."
    )
    heads: int = Field(default=4, ge=1, le=4096, description="Heads of the attention that pools nodes into a vector.")
    graph_width: int = Field(
        default=16, ge=2, le=65536, description="Width that a graph's vector is narrowed to before fusion."
    )
    fused_width: int = Field(default=128, ge=4, le=65536, description="Width of the layers that fuse the modalities.")
    fused_members: int = Field(
        default=16, ge=1, le=1000, description="Members of the ensemble that shares the layers of the fusion."
    )
    hazard_basis: int = Field(
        default=12, ge=2, le=1000, description="Smooth functions of cost that a hazard is made of."
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Dropout between layers.")
    modality_dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Probability that a modality is missing in training."
    )
    online_only_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Probability that all modalities but the early search are missing in training.",
    )
    structure_only_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Probability that the early search is missing in training."
    )

    @field_validator("modalities")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("must name at least one modality, each once")
        return value

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self


class LossConfig(Section):
    """What is minimised: censored likelihood of the hazards plus weighted terms."""

    crps_weight: float = Field(default=0.5, ge=0, description="Weight of the continuous ranked probability score.")
    ranking_weight: float = Field(default=0.0, ge=0, description="Weight of the order within families.")
    ranking_scale: float = Field(default=0.25, gt=0, description="Decades of difference that count as well ordered.")


class OptimiserConfig(Section):
    """How it is minimised."""

    former_keys: ClassVar[Mapping[str, str]] = {"averaging": "ema_decay", "graph_epochs": "encoder_epochs"}

    epochs: int = Field(default=30, ge=1, description="Epochs at most.")
    encoder_epochs: int = Field(
        default=30,
        ge=1,
        description="Epochs before the encoder is frozen; after them every graph is encoded once.",
    )
    stopping: Literal["early", "none"] = Field(
        default="early",
        description="'none': all epochs are made, and the validation instances are learnt from like the others.",
    )
    patience: int = Field(
        default=8, ge=1, description="Epochs without a better validation score before training stops."
    )
    learning_rate: float = Field(default=2e-3, gt=0, description="Largest learning rate.")
    warmup: float = Field(default=0.05, ge=0, lt=1, description="Share of training in which the learning rate rises.")
    weight_decay: float = Field(default=0.05, ge=0, description="Decoupled weight decay of matrices (AdamW).")
    gradient_clip: float = Field(default=1.0, gt=0, description="Largest norm of a gradient.")
    ema_decay: float = Field(
        default=0.98, ge=0, lt=1, description="Decay of the exponential moving average of the weights; 0: none."
    )
    monitor: Literal["crps", "nll"] = Field(default="crps", description="Validation score that stops training.")
    validation_share: float = Field(
        default=0.12, gt=0, lt=1, description="Share held out if no validation set is given."
    )
    validation_by: Literal["instance", "family"] = Field(default="instance", description="What is held out whole.")


class BatchConfig(Section):
    """What goes through the network at once."""

    max_graph_edges: int = Field(
        default=40_000, ge=1, description="Edges kept of a graph, in training and in prediction alike."
    )
    edges: int = Field(default=300_000, ge=1, description="Edges in a batch.")
    graphs: int = Field(default=32, ge=1, description="Graphs in a batch.")
    workers: int = Field(
        default=0, ge=0, description="Processes that put batches together, for a GPU that would wait for them; 0: none."
    )
    family_balance: float = Field(
        default=0.0, ge=0, le=1, description="0: every instance once an epoch; 1: every family equally often."
    )


class NetworkConfig(Section):
    """All settings of the network estimator."""

    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    batches: BatchConfig = BatchConfig()
    members: int = Field(default=1, ge=1, le=100, description="Networks of different seeds whose hazards are averaged.")
    seed: int = Field(default=0, ge=0, description="Seed of the first member; the others count up.")
    accelerator: str = Field(default="auto", description="auto, cpu, gpu …: where training runs.")
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = Field(
        default="32-true", description="Precision of training."
    )


class EnsembleConfig(Section):
    """What the network is mixed with."""

    member: Literal["none", "forest"] = Field(
        default="none", description="Classical estimator that the network's distribution is mixed with."
    )
    member_weight: float = Field(default=0.5, ge=0, le=1, description="Weight of that estimator.")
    ood_weight: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Weight, out of distribution, of what is predicted from the early search alone: by a forest "
        "and, if it was trained with online_only_dropout, by the network.",
    )
    ood_constant: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Weight of the training set's own distribution, out of distribution, in predictions of conflicts.",
    )
    ood_constant_s: float = Field(default=0.0, ge=0, le=1, description="That weight in predictions of seconds.")
    expert_limit_s: float = Field(
        default=0.0,
        ge=0,
        description="CPU seconds: an expert on instances with runs under such a limit or a longer one takes part in "
        "predictions of seconds; 0 for none.",
    )
    expert_after_s: float = Field(default=10.0, gt=0, description="CPU seconds from which on the expert is heard.")


#: Key of an earlier version in ``[model]`` -> key of ``[ensemble]``.
_FORMER_MODEL_KEYS: Mapping[str, str] = {
    "beside": "member",
    "beside_weight": "member_weight",
    "early_on_new": "ood_weight",
    "constant_on_new": "ood_constant",
    "ensemble_member": "member",
    "ensemble_member_weight": "member_weight",
    "ood_fallback_weight": "ood_weight",
    "ood_fallback_constant": "ood_constant",
}


class CheckpointSection(Section):
    """What is shipped of a run."""

    name: str = Field(default="satcost", pattern=r"^[a-z][a-z0-9-]*$", description="Name of the checkpoint.")
    version: int = Field(default=1, ge=1, description="Its version; an existing one is never overwritten.")
    directory: Path = Field(default=Path("checkpoints"), description="Directory that holds the checkpoints.")
    new_families: str = Field(
        default="",
        description="metrics.json of `satcost evaluate --split family` with this configuration, for the card.",
    )
    longer_limits_s: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(),
        description="Limits in CPU seconds beyond those of most runs at which a single best solver is chosen too.",
    )


class TrainingConfig(NetworkConfig):
    """A whole training run: ``satcost train --config FILE`` and ``python train.py --config FILE``."""

    name: str = Field(
        default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Name of the run and its directory."
    )
    runs: Path = Field(default=Path("runs"), description="Directory that holds the directories of runs.")
    data: DataConfig
    preprocess: PreprocessConfig = PreprocessConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    checkpoint: CheckpointSection = CheckpointSection()

    @model_validator(mode="before")
    @classmethod
    def _with_an_ensemble_of_its_own(cls, values: Any, info: ValidationInfo) -> Any:
        """Put the ensemble's keys, which earlier versions had in ``[model]``, where they are today."""
        model = values.get("model") if isinstance(values, Mapping) else None
        if not isinstance(model, Mapping) or not (found := [key for key in _FORMER_MODEL_KEYS if key in model]):
            return values
        if isinstance(info.context, list):
            info.context.extend((f"model.{key}", f"ensemble.{_FORMER_MODEL_KEYS[key]}") for key in found)
        ensemble = {_FORMER_MODEL_KEYS[key]: model[key] for key in found} | dict(values.get("ensemble") or {})
        left = {key: value for key, value in model.items() if key not in found}
        return {**values, "model": left, "ensemble": ensemble}

    @property
    def directory(self) -> Path:
        """Directory of this run."""
        return self.runs / self.name

    @property
    def network(self) -> NetworkConfig:
        """The settings of the network alone."""
        return NetworkConfig(**{name: getattr(self, name) for name in NetworkConfig.model_fields})


def read_config(
    path: Path | str,
    *,
    root: Path | None = None,
    cache: Path | None = None,
    changes: Mapping[str, Any] | None = None,
) -> TrainingConfig:
    """Read a training configuration.

    Parameters
    ----------
    path
        TOML file. Relative paths in it are relative to the current directory, as on the command line.
    root, cache
        Directories of this machine that take the place of those in ``[data]``.
    changes
        Dotted key -> value that takes the place of the file's; see :func:`read_changes`.

    Raises
    ------
    ConfigError
        If the file is missing or not TOML, a key is unknown or missing, or a value is invalid.
    """
    values = read_toml(path)
    place(values, changes or {})
    former: list[tuple[str, str]] = []
    config = TrainingConfig.checked(values, str(path), former)
    for before, today in former:
        warnings.warn(f"{path}: key {before!r} is now {today!r}; write that instead", FutureWarning, stacklevel=2)
    places = {name: where for name, where in (("root", root), ("cache", cache)) if where is not None}
    return config.model_copy(update={"data": config.data.model_copy(update=places)})


def read_toml(path: Path | str) -> dict[str, Any]:
    """Return the values of a TOML file; ConfigError if it is missing or is none."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: found no such file; expected a training configuration (TOML)") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error


def read_changes(texts: Sequence[str]) -> dict[str, Any]:
    """Read values for single keys, such as ``loss.crps_weight=1`` or ``data.solvers=["cadical195"]``.

    Values are TOML; what isn't is taken as text, so that ``data.split=family`` needs no quotation marks.

    Raises
    ------
    ConfigError
        If there is no key or no equals sign.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not key or not equals:
            raise ConfigError(f"--set: found {text!r}; expected KEY=VALUE, such as loss.crps_weight=1")
        try:
            found[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key] = value
    return found


def place(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Put values under dotted keys into nested ones."""
    for key, value in changes.items():
        inner = values
        *sections, last = key.split(".")
        for section in sections:
            below = inner.setdefault(section, {})
            if not isinstance(below, dict):
                raise ConfigError(f"--set {key}: found a value under {section!r}; expected a table")
            inner = below
        inner[last] = value


def flat(values: Mapping[str, Any], section: type[BaseModel] = TrainingConfig, above: str = "") -> dict[str, Any]:
    """Return the settings among nested values by dotted key; a setting that is itself a table stays one."""
    found: dict[str, Any] = {}
    for written, value in values.items():
        key = getattr(section, "former_keys", {}).get(written, written)
        inner = section_at(section, (key, ""))
        if isinstance(value, Mapping) and inner is not section:
            found |= flat(value, inner, f"{above}{key}.")
        else:
            found[above + key] = value
    return found


def write_config(config: TrainingConfig, path: Path) -> None:
    """Write every setting of a run, defaults included, as JSON."""
    write_json(path, config.model_dump(mode="json"), indent=2)
