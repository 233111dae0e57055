"""``satcost generate``: instances of a family, of a wished-for cost, cubes of a file, cnfgen's, or one recipe's.

Instances are written beside an ``INDEX.csv`` with everything that ``satcost collect INDEX.csv`` needs to know of them.
The same command writes the same bytes; with a target cost, as long as the runs that measure the cost end by an answer
or by their limit of conflicts, not by that of CPU time.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from satcost_gnn.cli.command import Group, add_command, new_app
from satcost_gnn.cli.instance_writer import InstanceWriter, packed, read_index_row
from satcost_gnn.cli.numbers import COUNT, NATURAL, SECONDS
from satcost_gnn.cli.options import Format, Json, Relaxed, chosen_format
from satcost_gnn.cli.terminal import beside, wrapped
from satcost_gnn.data.generate import FAMILIES, from_recipe, get_family, parse_recipe
from satcost_gnn.data.generate import cnfgen as cnfgen_command
from satcost_gnn.data.generate.base import SHUFFLE, Family, Parameter, Value, recipe
from satcost_gnn.data.generate.cube import cubes as make_cubes
from satcost_gnn.data.generate.cube import identity as cube_parent_name
from satcost_gnn.data.generate.target_cost import conflict_cost, spread
from satcost_gnn.errors import ConfigError, OutputError, SolverError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.formula.identity import gbdhash
from satcost_gnn.formula.renumbering import renumbered
from satcost_gnn.formula.text_stream import LONGEST_WAIT_S, ReadLimits
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_outputs, write_bytes
from satcost_gnn.runtime.progress import ProgressLine
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.probe import probe
from satcost_gnn.search.probe_settings import ProbeSettings

# Runs dearer than this many times the upper end of a target only cost time: the search needs to know that they are.
_LIMIT_FACTOR = 3


Compress = Annotated[str, typer.Option(help="Compression of the files: none or xz.")]
Replace = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")]


@dataclass(frozen=True)
class GenerateOptions:
    """Options of ``satcost generate FAMILY``."""

    family: Annotated[str, typer.Argument(metavar="FAMILY", help="See `satcost generate list`.")]
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory of the instances and their INDEX.csv.")]
    count: Annotated[int, typer.Option("-n", "--count", parser=COUNT, help="Instances.")] = 1
    seed: Annotated[
        int, typer.Option(parser=NATURAL, help="Seed of the first instance, or of the search for a cost.")
    ] = 0
    settings: Annotated[
        list[str],
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the family; may be given several times."),
    ] = field(default_factory=list)
    target_cost: Annotated[
        str | None,
        typer.Option(
            metavar="LOW..HIGH",
            help="Tune the size so that costs spread evenly over this range of cadical195 conflicts.",
        ),
    ] = None
    compress: Compress = "none"
    overwrite: Replace = False
    cpu_s: Annotated[
        float, typer.Option("--limit", parser=SECONDS, help="CPU seconds of each run that measures a cost.")
    ] = 100.0


@dataclass(frozen=True)
class CubeOptions:
    """Options of ``satcost generate cubes``."""

    source: Annotated[Path, typer.Option("--from", help="The formula to cut.")]
    k: Annotated[int, typer.Option("-k", parser=COUNT, help="Unit clauses added to each cube.")]
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory of the cubes and their INDEX.csv.")]
    count: Annotated[int, typer.Option("-n", "--count", parser=COUNT, help="Cubes.")] = 1
    seed: Annotated[int, typer.Option(parser=NATURAL, help="Seed of the random choices.")] = 0
    method: Annotated[
        str, typer.Option(help="How units are chosen: random, lookahead, or activity (most active in a probe).")
    ] = "random"
    compress: Compress = "none"
    overwrite: Replace = False
    relaxed: Relaxed = False


@dataclass(frozen=True)
class CnfgenOptions:
    """Options of ``satcost generate cnfgen``."""

    arguments: Annotated[list[str], typer.Argument(metavar="-- ARGS...", help="Family of cnfgen and its arguments.")]
    output: Annotated[Path, typer.Option("-o", "--output", help="File; compressed if its name ends in .xz.")]
    seed: Annotated[int, typer.Option(parser=NATURAL, help="Seed of cnfgen's random choices.")] = 0
    overwrite: Replace = False


@dataclass(frozen=True)
class RecipeOptions:
    """Options of ``satcost generate recipe``."""

    text: Annotated[str, typer.Argument(metavar="RECIPE", help="Such as random-ksat:k=3,n=250,ratio=4.26,seed=7.")]
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File, compressed if its name ends in .xz [default: standard output]."),
    ] = None
    source: Annotated[
        Path | None, typer.Option("--from", help="Of a cube's recipe: the formula that it was cut from.")
    ] = None
    overwrite: Replace = False
    relaxed: Relaxed = False


@dataclass(frozen=True)
class ListOptions:
    """Options of ``satcost generate list``."""

    names: Annotated[list[str], typer.Argument(metavar="[FAMILY]...", help="Families to describe [default: all].")] = (
        field(default_factory=list)
    )
    output_format: Format = "text"
    as_json: Json = False


def parse_settings(settings: Sequence[str], family: Family) -> dict[str, Value]:
    """Return ``name=value`` texts as checked parameters of a family.

    Raises
    ------
    ConfigError
        If a text has no ``=``, a name is unknown or given twice, or a value is out of bounds.
    """
    given: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name in given:
            raise ConfigError(f"--set: found {setting!r}, expected each name=value once, such as --set n=250")
        given[name] = value
    resolved = family.resolve(given)
    return {name: resolved[name] for name in given}


def parse_range(text: str) -> tuple[float, float]:
    """Return the ends of ``LOW..HIGH``.

    Raises
    ------
    ConfigError
        If they are no numbers with ``1 <= LOW < HIGH``.
    """
    low, dots, high = text.partition("..")
    try:
        if not dots:
            raise ValueError
        ends = float(low), float(high)
    except ValueError:
        raise ConfigError(f"--target-cost: found {text!r}, expected LOW..HIGH in conflicts, such as 1e3..1e5") from None
    if not 1 <= ends[0] < ends[1] < math.inf:
        raise ConfigError(f"--target-cost: found {text!r}, expected 1 <= LOW < HIGH in conflicts")
    return ends


def stem_of(text: str) -> str:
    """Return the name of the file of a recipe: family, the parameters that are not the default, seed."""
    family, seed, params = parse_recipe(text)
    parts = [family.name]
    for name, value in params.items():
        if value != family.parameter(name).default:
            parts.append(f"{name}_" + re.sub(r"[^A-Za-z0-9.+-]", "_", str(value)))
    return "-".join([*parts, str(seed)])


def _formulas(
    options: GenerateOptions, family: Family, params: dict[str, Value], target: tuple[float, float] | None
) -> Iterator[tuple[Formula, float | None]]:
    """Yield formulas with their costs in conflicts, where these have been measured for a target."""
    if target is None:
        for seed in range(options.seed, options.seed + options.count):
            yield family.generate(seed, **params), None
        return
    low, high = target
    with conflict_cost(math.ceil(_LIMIT_FACTOR * high), options.cpu_s) as cost:
        for found in spread(family, low, high, options.count, options.seed, cost, params=params):
            yield found.formula, found.cost


def run_generate(options: GenerateOptions) -> int:
    """Generate instances of a family; the word `family` may be left out.

    Exit code 1 if fewer came out than asked for.
    """
    family = get_family(options.family)
    params = parse_settings(options.settings, family)
    target = None if options.target_cost is None else parse_range(options.target_cost)
    with ExitStack() as stack:
        writer = stack.enter_context(InstanceWriter(options.output, options.compress, options.overwrite))
        if target is None:
            # All names are known: refuse before the first is generated.
            for seed in range(options.seed, options.seed + options.count):
                writer.check_free(stem_of(recipe(family, seed, params)))
        progress = stack.enter_context(ProgressLine(options.count, "instances"))
        written = 0
        for formula, cost in _formulas(options, family, params, target):
            stem = stem_of(formula.source)
            twin = writer.add(formula, stem, family.name, origin="generated")
            if twin is not None:
                log.warning(f"left out: {formula.source} is the same formula as {twin}")
            else:
                written += 1
                if cost is not None:
                    log.info(f"{writer.path(stem).name}: {cost:.0f} conflicts")
            progress.advance()
    if written < options.count:
        log.warning(
            f"{written} of {options.count} instances written to {options.output}: "
            + (
                f"no more of {options.target_cost} conflicts were found; widen the range or set other parameters"
                if options.target_cost is not None
                else f"other seeds of {family.name} give the same formula; set {SHUFFLE} for isomorphic copies"
            )
        )
        return 1
    log.info(f"{written} instances in {writer.index}")
    return 0


def _read_source(source: Path, relaxed: bool) -> Formula:
    """Read the formula to cut, and say what is odd about it."""
    limits = ReadLimits(relaxed=relaxed)
    formula = read_dimacs(source, limits=limits, deadline=time.monotonic() + LONGEST_WAIT_S)
    for warning in formula.warnings:
        log.warning(f"{formula.source}: {warning}")
    return formula


def _activity(formula: Formula, source: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return how often a probe's learnt clauses hold each variable: what a solver's own activity counts."""
    dense, numbering = renumbered(formula)
    with Sandbox() as sandbox:
        result = probe(dense, ProbeSettings(), sandbox)
    if result.trace is None or not (result.trace.learnt > 0).any():
        what = "the probe solved it" if result.solved else f"the probe ended as {result.status}: {result.detail}"
        raise SolverError(
            f"{source}: {what} without a conflict to learn from; choose --method random or lookahead, or another file"
        )
    found = result.trace.learnt.clip(min=0).astype(np.float64)
    if numbering.numbers is None:
        return found
    activity = np.zeros(formula.n_vars)
    activity[numbering.numbers - 1] = found
    return activity


def run_cubes(options: CubeOptions) -> int:
    """Make cubes: a formula with unit clauses added, so that one out of reach becomes several of middling cost."""
    formula = _read_source(options.source, options.relaxed)
    parent = gbdhash(formula)
    row = read_index_row(options.source, parent)
    stem = re.sub(r"\.(cnf|dimacs)(\.\w+)?$", "", options.source.name, flags=re.IGNORECASE)
    with ExitStack() as stack:
        writer = stack.enter_context(InstanceWriter(options.output, options.compress, options.overwrite))
        names = [f"{stem}-{options.method}-k_{options.k}-{options.seed}-{i}" for i in range(options.count)]
        for name in names:
            writer.check_free(name)
        made = make_cubes(
            formula,
            options.k,
            options.method,
            options.seed,
            options.count,
            activity=_activity(formula, options.source) if options.method == "activity" else None,
            # A generated parent is made again from its recipe; a file is found by its identity.
            parent=row.get("recipe") or parent,
        )
        progress = stack.enter_context(ProgressLine(len(made), "cubes"))
        for cube, name in zip(made, names, strict=False):
            family = row.get("family") or options.source.resolve().parent.name
            writer.add(cube, name, family, origin="cube", parent=parent, licence=row.get("licence", ""))
            progress.advance()
    if len(made) < options.count:
        log.warning(f"{len(made)} of {options.count} cubes written: no more different ones were found")
        return 1
    log.info(f"{len(made)} cubes in {writer.index}")
    return 0


def _check_one(output: Path | None, source: Path | None, overwrite: bool) -> None:
    check_outputs({"-o": output}, [source] if source is not None else [], formulas=True)
    if output is not None and output.is_file() and not overwrite:
        raise OutputError(f"{output}: found a file of this name; give --overwrite to replace it")


def _write_one(formula: Formula, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(formula.to_dimacs())
        sys.stdout.flush()
        return
    write_bytes(output, packed(formula.to_dimacs(), output.suffix == ".xz"))


def run_cnfgen(options: CnfgenOptions) -> int:
    """Write a formula of the `cnfgen` command, if it is installed, and print its recipe."""
    _check_one(options.output, None, options.overwrite)
    formula = cnfgen_command.generate(options.arguments, options.seed)
    _write_one(formula, options.output)
    log.info(formula.source)
    return 0


def run_recipe(options: RecipeOptions) -> int:
    """Write the formula of a recipe, as found in an INDEX.csv or a manifest."""
    source = options.source

    def parent(name: str) -> Formula:
        if source is None:
            raise ConfigError(f"the recipe is of a cube of {name!r}, which is no recipe; name its file by --from")
        formula = _read_source(source, options.relaxed)
        if name not in (gbdhash(formula), cube_parent_name(formula)):
            raise ConfigError(f"{source}: found instance {gbdhash(formula)}, expected the cube's parent {name}")
        return formula

    _check_one(options.output, options.source, options.overwrite)
    formula = from_recipe(options.text, parent)
    for warning in formula.warnings:
        log.warning(warning)
    _write_one(formula, options.output)
    return 0


def _bounds(parameter: Parameter) -> str:
    if parameter.choices:
        return "|".join(map(str, parameter.choices))
    if parameter.low is None and parameter.high is None:
        return ""
    low = "" if parameter.low is None else f"{parameter.low:g}"
    high = "" if parameter.high is None else f"{parameter.high:g}"
    return f"{low}..{high}"


def family_lines(family: Family) -> list[str]:
    """Return what there is to know of a family as lines: what it is, and each parameter's default and bounds."""
    low, high = family.size_range
    lines = [
        family.name,
        wrapped(family.description),
        f"  --target-cost tunes {family.size_parameter} in {low:g}..{high:g}",
    ]
    rows = [(p.name, str(p.default), _bounds(p), p.help) for p in (*family.parameters, family.parameter(SHUFFLE))]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for name, default, bounds, text in rows:
        lines.append(beside(f"    {name:{widths[0]}}  {default:>{widths[1]}}  {bounds:{widths[2]}}  ", text))
    return lines


def run_list(options: ListOptions) -> int:
    """List the families: what they are, their parameters, defaults and bounds."""
    form = chosen_format(options.output_format, options.as_json)
    for family in map(get_family, options.names) if options.names else FAMILIES.values():
        if form == "json":
            parameters = [asdict(one) for one in (*family.parameters, family.parameter(SHUFFLE))]
            size = {"parameter": family.size_parameter, "range": family.size_range}
            told = {"family": family.name, "description": family.description, "size": size, "parameters": parameters}
            print(json.dumps(told))
        else:
            print("\n".join(family_lines(family)), end="\n\n")
    return 0


class _FamilyGroup(Group):
    """Reads ``generate FAMILY`` as ``generate family FAMILY``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments name."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["family", *args]
        return super().resolve_command(ctx, args)


app = new_app(
    cls=_FamilyGroup,
    no_args_is_help=True,
    help="Generate instances, the same bytes every time: `satcost generate FAMILY -o DIR`; `satcost generate list` "
    "lists the families.",
)
add_command(app, "family", GenerateOptions, run_generate, {"--cpu": "--limit"})
add_command(app, "list", ListOptions, run_list)
add_command(app, "cubes", CubeOptions, run_cubes)
add_command(app, "cnfgen", CnfgenOptions, run_cnfgen)
add_command(app, "recipe", RecipeOptions, run_recipe)
