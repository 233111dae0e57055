"""``satcost cubes``: what the cubes of a split will cost, each and together."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from satcost_gnn.cli.command import command_app
from satcost_gnn.cli.messages import tell_about
from satcost_gnn.cli.numbers import COUNT, FACTOR, MEBIBYTES, NATURAL, SECONDS
from satcost_gnn.cli.options import Checkpoint, Device, Format, Json, Overwrite, Relaxed, Unit, chosen_format
from satcost_gnn.cli.terminal import columns, shortened, wrapped
from satcost_gnn.core.cost_text import cost_text, interval_text, number_text
from satcost_gnn.core.distribution import UNIT_LABELS
from satcost_gnn.core.observed import bound_of, extrapolated, known
from satcost_gnn.data.generate.cube import with_units
from satcost_gnn.decide.cube_sampling import SampledTotal, design, estimate, expected_of_censored
from satcost_gnn.decide.cubes import (
    STATIC_ESTIMATOR,
    CubePrediction,
    hardest_first,
    predict_cubes,
    to_split,
    total_of,
)
from satcost_gnn.decide.reestimate import conditional
from satcost_gnn.errors import ConfigError, FormulaError, OutputError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.formula.icnf import read_cubes
from satcost_gnn.formula.identity import gbdhash
from satcost_gnn.formula.text_stream import LONGEST_WAIT_S, ReadLimits
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import check_outputs, replacing
from satcost_gnn.runtime.progress import ProgressLine
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.runtime.sandbox_pool import SandboxPool
from satcost_gnn.search.solver_run import SolverRun, run_solver
from satcost_gnn.serve.prediction import QUANTILES
from satcost_gnn.serve.predictor import Predictor

SUFFIXES = (".csv", ".jsonl", ".parquet")
#: Column -> type, in the order of the output.
COLUMNS: dict[str, type] = {
    "number": int,
    "literals": str,
    "status": str,
    "result": str,
    "solver": str,
    "cost_unit": str,
    **dict.fromkeys(QUANTILES, float),
    "mean_log10": float,
    "known_up_to": float,
    "known": float,
    "measured": float,
    "measured_status": str,
    "order": int,
    "split": bool,
    "source": str,
    "in_distribution": bool,
    "error": str,
}


@dataclass(frozen=True)
class CubesOptions:
    """Options of the command."""

    formula: Annotated[str, typer.Argument(metavar="FILE", help="DIMACS file, or iCNF with formula and cubes.")]
    cubes: Annotated[
        str | None,
        typer.Argument(metavar="[CUBES]", help="Cubes: iCNF (`a 1 -2 0`) or bare literals [default: those in FILE]."),
    ] = None
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write one row a cube to FILE.csv, .jsonl or .parquet.")
    ] = None
    overwrite: Overwrite = False
    checkpoint: Checkpoint = None
    solver: Annotated[
        str | None, typer.Option(help="Solver that is to run the cubes [default: the one that is probed].")
    ] = None
    unit: Unit = "conflicts"
    features: Annotated[
        str,
        typer.Option(
            help="probe: a short search on each cube; shared-graph: that, but the formula's graph is encoded once for "
            "all; shared: one search and graph, the formula's; static: no search. Each is cheaper and knows less."
        ),
    ] = "probe"
    jobs: Annotated[int, typer.Option("-j", "--jobs", parser=COUNT, help="Cubes probed or run at a time.")] = 1
    device: Device = "auto"
    sample: Annotated[
        int,
        typer.Option(parser=NATURAL, help="Run so many cubes, chosen by their predictions, to refine the total."),
    ] = 0
    seed: Annotated[int, typer.Option(parser=NATURAL, help="Seed of the sample.")] = 0
    cpu_s: Annotated[float, typer.Option("--limit", parser=SECONDS, help="CPU seconds of each sampled run.")] = 60.0
    memory_mb: Annotated[int, typer.Option("--memory", parser=MEBIBYTES, help="Mebibytes of each sampled run.")] = 4096
    split_factor: Annotated[
        float,
        typer.Option(
            "--split-above",
            parser=FACTOR,
            help="Propose to split cubes above so many times the average of the others.",
        ),
    ] = 10.0
    output_format: Format = "text"
    as_json: Json = False
    relaxed: Relaxed = False


def _read(options: CubesOptions) -> tuple[Formula, list[tuple[int, ...]]]:
    limits = ReadLimits(relaxed=options.relaxed)
    deadline = time.monotonic() + LONGEST_WAIT_S
    if options.cubes is None:
        formula, cubes = read_cubes(options.formula, limits=limits, deadline=deadline)
        if formula is None:
            raise FormulaError("found cubes but no clauses; give the formula's file before them", options.formula)
        return formula, cubes
    if options.formula == options.cubes == "-":
        raise ConfigError("found - twice; expected the formula or the cubes on standard input, not both")
    formula = read_dimacs(options.formula, limits=limits, deadline=deadline)
    own, cubes = read_cubes(options.cubes, limits=limits, deadline=deadline)
    if own is not None and gbdhash(own) != gbdhash(formula):
        raise FormulaError(
            f"found clauses with the cubes that are not those of {options.formula}; expected cubes alone, or the same "
            "formula",
            options.cubes,
        )
    return formula, cubes


def _run_sample(
    formula: Formula, chosen: Sequence[CubePrediction], solver: str, options: CubesOptions
) -> dict[int, SolverRun]:
    """Run cubes with a real solver in limited children, several at a time."""

    def call(cube: CubePrediction) -> Callable[[Sandbox], tuple[int, SolverRun]]:
        def run(sandbox: Sandbox) -> tuple[int, SolverRun]:
            made = with_units(formula, cube.literals, formula.source)
            return cube.number, run_solver(sandbox, solver, made, cpu_s=options.cpu_s, memory_mb=options.memory_mb)

        return run

    found: dict[int, SolverRun] = {}
    with (
        ProgressLine(len(chosen), "sampled cubes", longest_s=options.cpu_s, jobs=options.jobs) as progress,
        SandboxPool[tuple[int, SolverRun]](min(options.jobs, len(chosen))) as pool,
    ):
        for cube in chosen:
            pool.submit(call(cube))
        while pool.pending:
            number, run = pool.next()
            found[number] = run
            progress.advance()
    return found


def _cost(run: SolverRun, unit: str) -> float | None:
    value = {"conflicts": run.conflicts, "propagations": run.propagations, "cpu_seconds": run.cpu_s}[unit]
    return None if value is None else float(value)


def _sampled(
    formula: Formula, cubes: Sequence[CubePrediction], solver: str, options: CubesOptions
) -> tuple[SampledTotal | None, dict[int, SolverRun]]:
    """Run a stratified sample of the cubes that aren't known, and estimate the sum over those from it."""
    open_ = [cube for cube in cubes if cube.known is None and cube.cost is not None]
    if len(open_) < 2:
        log.warning("fewer than two cubes are left to sample; no sample is run")
        return None, {}
    plan = design([cube.size for cube in open_], max(options.sample, 2))
    rows = plan.draw(np.random.default_rng(options.seed))
    runs = _run_sample(formula, [open_[k] for k in rows], solver, options)
    kept, measured, bounds = [], [], []
    censored = 0
    for k in rows:
        cube, run = open_[k], runs[open_[k].number]
        cost = _cost(run, options.unit)
        if run.status not in ("SAT", "UNSAT", "TIMEOUT", "MEMOUT") or cost is None:
            log.warning(f"cube {cube.number}: {run.status}: {run.detail or 'no counters'}")
            continue
        bounds.append(cost)
        if run.status in ("SAT", "UNSAT"):
            measured.append(cost)
        else:
            assert cube.cost is not None
            censored += 1
            beyond = 10.0 ** float(conditional(extrapolated(cube.cost), max(cost, 1e-9)).mean())
            measured.append(float(expected_of_censored([cost], [beyond])[0]))
        kept.append(k)
    if len(kept) < 2:
        log.warning("fewer than two sampled cubes have a cost; the predictions stand alone")
        return None, runs
    found = estimate(plan, kept, measured)
    return replace(found, censored=censored, lower_bound=estimate(plan, kept, bounds).value), runs


def _row(
    cube: CubePrediction, solver: str, unit: str, order: int, split: bool, run: SolverRun | None
) -> dict[str, Any]:
    prediction = cube.prediction
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row.update(
        number=cube.number,
        literals=" ".join(map(str, cube.literals)),
        status="error" if cube.cost is None else "solved" if cube.known is not None else "ok",
        result=cube.result,
        solver=solver,
        cost_unit=unit,
        known=cube.known,
        order=order,
        split=split,
        source=prediction.source if prediction is not None else "propagation" if cube.known is not None else "",
        in_distribution=prediction.in_distribution if prediction is not None else None,
        error=cube.error,
    )
    if cube.known is not None:
        row.update(dict.fromkeys(QUANTILES, cube.known), mean_log10=float(np.log10(max(cube.known, 1.0))))
    elif cube.cost is not None:
        row.update({name: known(float(10.0 ** cube.cost.quantile(q))) for name, q in QUANTILES.items()})
        row["known_up_to"] = known(bound_of(cube.cost))
        row["mean_log10"] = float(cube.cost.mean())
    if run is not None:
        row.update(measured=_cost(run, unit), measured_status=run.status)
    return row


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the table of cubes by the suffix of its name, under the name only once it is complete."""
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            kinds = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}
            schema = pa.schema([pa.field(name, kinds[kind]) for name, kind in COLUMNS.items()])
            with temporary.open("wb") as stream:
                pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema), stream, compression="zstd")
            return
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            if path.suffix == ".csv":
                writer = csv.DictWriter(stream, fieldnames=list(COLUMNS), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            else:
                stream.writelines(json.dumps(row) + "\n" for row in rows)


def _number(value: float | None) -> str:
    return "" if value is None else number_text(value)


def _print_table(rows: Sequence[Mapping[str, Any]], order: Sequence[int]) -> None:
    print(f"{'cube':>6} {'median':>10} {'90 % interval':>21} {'measured':>10}  literals")
    for number in order:
        row = rows[number]
        if row["status"] == "error":
            print(wrapped(f"{number:>6} {row['error']}", ""))
            continue
        bound = row["known_up_to"]
        wide = interval_text(row["q05"], row["q95"], bound) if row["known"] is None else "known"
        marks = f" {row['result']}" if row["status"] == "solved" else " split further" if row["split"] else ""
        text = shortened(row["literals"], max(min(columns() - 53 - len(marks), 40), 8))
        print(
            f"{number:>6} {cost_text(row['q50'], bound):>10} {wide:>21} {_number(row['measured']):>10}  {text}{marks}"
        )


def run_cubes(options: CubesOptions) -> int:
    """Predict the cost of each cube of a cube-and-conquer split, and of all of them together.

    Exit code 0: all predicted; 1: some cubes don't fit the formula (their rows say why); 2: wrong usage.
    """
    if options.output is not None:
        if options.output.suffix not in SUFFIXES:
            found_suffix = options.output.suffix
            raise ConfigError(f"{options.output}: found suffix {found_suffix!r}; expected {', '.join(SUFFIXES)}")
        if options.output.exists() and not options.overwrite:
            raise OutputError(f"{options.output} exists; add --overwrite to replace it")
        check_outputs({"-o": options.output}, [options.formula, *([] if options.cubes is None else [options.cubes])])
    form = chosen_format(options.output_format, options.as_json)
    formula, cubes = _read(options)
    for warning in formula.warnings:
        log.warning(f"{formula.source}: {warning}")
    start = STATIC_ESTIMATOR if options.features == "static" else None
    predictor = Predictor.from_checkpoint(options.checkpoint, unit=options.unit, device=options.device, start=start)
    solver = options.solver or predictor.checkpoint.config.probe_solver
    tell_about(predictor)
    with predictor, ProgressLine(len(cubes), "cubes") as progress:
        progress.expect(predictor.settings.searches_s, options.jobs)
        found = predict_cubes(
            formula,
            cubes,
            predictor,
            solver,
            features=options.features,
            jobs=options.jobs,
            on_step=progress.advance,
        )
    total = total_of(found)
    sampled, runs = _sampled(formula, found, solver, options) if options.sample else (None, {})
    order = hardest_first(found)
    rank = {number: k for k, number in enumerate(order)}
    split = set(to_split(found, options.split_factor))
    rows = [
        _row(cube, solver, options.unit, rank[cube.number], cube.number in split, runs.get(cube.number))
        for cube in found
    ]
    failed = sum(row["status"] == "error" for row in rows)
    satisfiable = [row["number"] for row in rows if "SAT" in (row["result"], row["measured_status"])]
    summary: dict[str, Any] = {
        "solver": solver,
        "cost_unit": options.unit,
        "cubes": len(rows),
        "solved_already": sum(row["status"] == "solved" for row in rows),
        "failed": failed,
        "predicted_total": total.to_json(),
        "sampled_total": None,
        "satisfiable": satisfiable,
        "split": sorted(split),
        "order": order,
    }
    if sampled is not None:
        shifted = {name: getattr(sampled, name) + total.known for name in ("value", "low", "high", "lower_bound")}
        summary["sampled_total"] = {**asdict(sampled), **shifted}
    if options.output is not None:
        write_rows(options.output, rows)
    if form == "json":
        print(json.dumps({**summary, **({} if options.output else {"rows": rows})}))
    else:
        if options.output is None:
            _print_table(rows, order)
        _print_summary(summary)
    if failed:
        log.warning(f"{failed} of {len(rows)} cubes could not be predicted; see the column error")
    return 1 if failed else 0


def _print_summary(summary: Mapping[str, Any]) -> None:
    label, total, sampled = UNIT_LABELS[summary["cost_unit"]], summary["predicted_total"], summary["sampled_total"]
    said = [f"{summary['cubes']} cubes for {summary['solver']}, {summary['solved_already']} solved already"]
    # A quantile that is not known is above those that are.
    lower = [total[name] for name in ("at_least", "low", "median") if total[name] is not None]
    least = max((value for value in lower if math.isfinite(value)), default=None)
    low, median, high = (cost_text(total[name], least) for name in ("low", "median", "high"))
    predicted = summary["cubes"] - summary["failed"]
    which = "all together" if not summary["failed"] else f"the {predicted} that could be predicted"
    if predicted:
        said.append(f"{which}, predicted: {median} {label} (80 %: {low} to {high})")
    if sampled is not None:
        said.append(
            f"all together, from {sampled['runs']} runs: {_number(sampled['value'])} {label}"
            f" (80 %: {_number(sampled['low'])} to {_number(sampled['high'])})"
        )
        if sampled["censored"]:
            said.append(
                f"{sampled['censored']} of them were stopped at a limit and count as predicted beyond it; "
                f"counted at the limit: {_number(sampled['lower_bound'])}"
            )
    if summary["satisfiable"]:
        said.append(f"satisfiable: cube {', '.join(map(str, summary['satisfiable']))}; no other cube need be run")
    if summary["split"]:
        said.append(f"to be split further: cube {', '.join(map(str, summary['split']))}")
    for line in said:
        print(wrapped(line, ""))


app = command_app("cubes", CubesOptions, run_cubes, {"--cpu": "--limit"})
