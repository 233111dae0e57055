"""``satcost config``: every setting, and where it comes from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.options import Changes, Format, Json, chosen_format
from satcost_gnn.cli.terminal import beside
from satcost_gnn.config import TrainingConfig, flat, place, read_changes, read_config, read_toml
from satcost_gnn.errors import ConfigError
from satcost_gnn.features.user_cache import DEFAULT_MIB, SIZE_VARIABLE
from satcost_gnn.formula import compiled_scan
from satcost_gnn.runtime import threads
from satcost_gnn.serve.checkpoint import CHECKPOINT_DIRECTORY
from satcost_gnn.serve.machine_speed import VARIABLE as MACHINE_VARIABLE

EXAMPLE = "small.toml"


@dataclass(frozen=True)
class Variable:
    """An environment variable: its name, what it sets, and what holds where it is not set."""

    name: str
    text: str
    default: str

    @property
    def value(self) -> str | None:
        """What the user has set it to; None for nothing."""
        return None if self.name in threads.set_here else os.environ.get(self.name)


VARIABLES = (
    Variable(CHECKPOINT_DIRECTORY, "directory that is searched first for checkpoints by name", "those of the package"),
    Variable(
        MACHINE_VARIABLE, "file of this machine's speed; none: no factor", "satcost/machine.json in XDG_CONFIG_HOME"
    ),
    Variable(SIZE_VARIABLE, "limit of the cache of predicted files, in mebibytes; 0 keeps nothing", str(DEFAULT_MIB)),
    Variable(compiled_scan.VARIABLE, "0: files are read without the compiled part of the reader", "with it, if built"),
    Variable("XDG_CONFIG_HOME", "where satcost/machine.json is", "~/.config"),
    Variable("XDG_CACHE_HOME", "where satcost/instances is, the cache of predicted files", "~/.cache"),
    Variable("TMPDIR", "temporary files of runs, removed with them", "/tmp"),
    Variable("COLUMNS", "width of text", "the terminal's; 120 into a pipe"),
    Variable("NO_COLOR", "no colours; --color is stronger", "colours on terminals"),
    Variable("FORCE_COLOR", "colours into files and pipes, too", "on terminals only"),
    *(Variable(name, "threads of linear algebra and torch", "1") for name in threads.VARIABLES),
    Variable("RAY_ADDRESS", "cluster of --executor ray without --address", "a Ray on this machine"),
    Variable("RAY_USAGE_STATS_ENABLED", "Ray's reports of its use", "0"),
)


@dataclass(frozen=True)
class ConfigOptions:
    """Options of the command."""

    config: Annotated[
        Path | None, typer.Option("--config", help="Training configuration (TOML) [default: none, the defaults alone].")
    ] = None
    changes: Changes = field(default_factory=list)
    example: Annotated[
        bool,
        typer.Option("--example", help="Print only this: a configuration to begin with, every setting explained."),
    ] = False
    output_format: Format = "text"
    as_json: Json = False


@dataclass(frozen=True)
class Setting:
    """A setting as it is in effect."""

    value: Any
    source: str


def settings_of(options: ConfigOptions) -> dict[str, Setting]:
    """Return dotted key -> setting of a training; ConfigError as :func:`~satcost_gnn.config.read_config` raises it."""
    changes = read_changes(options.changes)
    if options.config is not None:
        config, written = read_config(options.config, changes=changes), flat(read_toml(options.config))
    else:
        # The one key without a default: shown as empty.
        values: dict[str, Any] = {"data": {"dataset": ""}}
        place(values, changes)
        config, written = TrainingConfig.checked(values, "--set"), {}
    sources = {**dict.fromkeys(written, str(options.config)), **dict.fromkeys(changes, "--set")}
    values = flat(config.model_dump(mode="json"))
    found = {key: Setting(value, sources.get(key, "default")) for key, value in values.items()}
    if found["data.dataset"].source == "default":
        found["data.dataset"] = Setting(None, "must be given")
    return found


def example_text() -> str:
    """Return the configuration that comes along as an example, as it is written.

    Raises
    ------
    ConfigError
        If the package was installed without it.
    """
    package = Path(str(resources.files("satcost_gnn")))
    for path in (package / "_configs" / EXAMPLE, package.parent / "configs" / EXAMPLE):
        if path.is_file():
            return path.read_text()
    raise ConfigError(f"found no {EXAMPLE} beside {package}; install the package again")


def run_config(options: ConfigOptions) -> int:
    """Print every setting and where it comes from: the environment's, and those of a training.

    Strongest first: --set, the configuration file, the default. What the environment variables are for is printed with
    them. `satcost train` takes the same --config and --set.
    """
    if options.example:
        if options.config is not None or options.changes or options.as_json:
            raise ConfigError("--example prints a file as it is: found another option with it, expected none")
        print(example_text(), end="")
        return 0
    settings = settings_of(options)
    if chosen_format(options.output_format, options.as_json) == "json":
        environment = {one.name: {"value": one.value, "default": one.default, "text": one.text} for one in VARIABLES}
        training = {key: {"value": one.value, "source": one.source} for key, one in settings.items()}
        print(json.dumps({"environment": environment, "training": training}))
        return 0
    print("Environment variables")
    width = max(len(one.name) for one in VARIABLES)
    for one in VARIABLES:
        value = f"{one.value}  (environment)" if one.value is not None else f"{one.default}  (default)"
        print(f"  {one.name:{width}}  {value}", beside(f"  {'':{width}}  ", one.text), sep="\n")
    print("\nTraining")
    _print(settings)
    return 0


def _print(settings: Mapping[str, Setting]) -> None:
    width = max(map(len, settings))
    for key, one in settings.items():
        print(beside(f"  {key:{width}}  ", f"{json.dumps(one.value)}  ({one.source})"))


app = command_app("config", ConfigOptions, run_config)
