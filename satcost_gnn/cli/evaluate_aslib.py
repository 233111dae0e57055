"""``satcost evaluate --aslib``: our tabular estimators on published scenarios."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

from satcost_gnn.cli.messages import in_another_process
from satcost_gnn.errors import ConfigError, DatasetError, SatcostError
from satcost_gnn.runtime.interpreter import safe_path
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.output_files import write_json


def run_evaluate_aslib(
    scenarios: list[Path],
    output: Path,
    runtimes: Path | None,
    seed: int,
    jobs: int,
    estimators: list[str] | None = None,
    as_json: bool = False,
) -> int:
    """Evaluate, write the report and print it; return the exit code.

    A scenario that was evaluated into this directory with the same seed and estimators before is not evaluated again.

    Parameters
    ----------
    scenarios, runtimes
        Directories of scenarios; directory with further tables of run times and features, None for none.
    output
        Directory for ``metrics.json``, ``report.md``, ``report.html`` and one file a scenario.
    seed, jobs
        Seed, and scenarios evaluated at a time, each by one process.
    estimators
        Rows of the table (names of :data:`satcost_gnn.evaluate.aslib_protocol.METHODS`); None for all. The mixture
        joins in if a member of it is among them.
    as_json
        Whether the paths of what was written are printed as JSON, not the report.

    Raises
    ------
    ConfigError
        If there is no estimator of a name.
    """
    from satcost_gnn.data.runtime_table import find_runtime_tables
    from satcost_gnn.evaluate.aslib_protocol import METHODS
    from satcost_gnn.evaluate.aslib_report import aslib_report

    known = [method.name for method in METHODS]
    unknown = [name for name in estimators or () if name not in known]
    if unknown:
        raise ConfigError(f"--estimators: found {', '.join(unknown)}; expected some of {', '.join(known)}")
    names = [name for name in known if estimators is None or name in estimators]
    sources: list[tuple[Path, ...]] = [(path,) for path in scenarios]
    failed: dict[str, str] = {}
    if runtimes is not None:
        try:
            sources += find_runtime_tables(runtimes)
        except DatasetError as error:
            failed[str(runtimes)] = str(error)
    by_name: dict[str, tuple[Path, ...]] = {}
    for source in sources:
        if by_name.setdefault(_name(source), source) != source:
            failed[str(source[0])] = (
                f"has the name of {by_name[_name(source)][0]}, expected another; rename one of them"
            )
    sources = list(by_name.values())
    folder = output / "scenarios"
    folder.mkdir(parents=True, exist_ok=True)
    done: dict[str, dict[str, Any]] = {}
    waiting = []
    for source in sources:
        stored = _stored(folder / f"{_name(source)}.json", seed, names)
        if stored is None:
            waiting.append(source)
        else:
            log.info(f"{_name(source)}: taken from {folder}")
            done[_name(source)] = stored

    def keep(source: tuple[Path, ...], make: Callable[[], dict[str, Any]]) -> None:
        name = _name(source)
        try:
            result = make()
        # Whatever is wrong with a scenario must not cost the others.
        except Exception as error:
            failed[name] = str(error) if isinstance(error, SatcostError) else f"{type(error).__name__}: {error}"
            log.warning(f"{name}: {failed[name]}")
            return
        done[name] = result
        write_json(folder / f"{name}.json", result, indent=1)
        log.info(f"{name}: done in {result['cpu_seconds']:.0f} CPU seconds")

    stopped = False
    try:
        if jobs > 1 and len(waiting) > 1:
            context = get_context("spawn")
            size, told = min(jobs, len(waiting)), in_another_process()
            with safe_path(), ProcessPoolExecutor(size, mp_context=context, initializer=told) as pool:
                running = {pool.submit(_evaluated, source, seed, names): source for source in waiting}
                try:
                    for future in as_completed(running):
                        keep(running[future], future.result)
                except BaseException:
                    # An interrupt doesn't wait for what is being evaluated.
                    for process in active_children():
                        process.kill()
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        else:
            for source in waiting:
                keep(source, lambda source=source: _evaluated(source, seed, names))  # type: ignore[misc]
    except KeyboardInterrupt:
        stopped = True
    results = [done[_name(source)] for source in sources if _name(source) in done]
    command = shlex.join(["satcost", *sys.argv[1:]])
    report = aslib_report(results, failed, command)
    write_json(output / "metrics.json", {"command": command, "scenarios": results, "failed": failed}, indent=1)
    markdown, html = report.write(output, "report")
    if as_json:
        paths = {"report": str(html), "metrics": str(output / "metrics.json")}
        print(json.dumps({**paths, "failed": failed}), flush=True)
    else:
        print(markdown.read_text(encoding="utf-8"), end="", flush=True)
    for name, reason in failed.items():
        log.warning(f"not evaluated: {name}: {reason}")
    if stopped:
        log.warning(f"interrupted with {len(results)} of {len(sources)} scenarios; the same command goes on: {command}")
        return 130
    return 1 if failed or any(result["errors"] for result in results) else 0


def _evaluated(source: tuple[Path, ...], seed: int, names: list[str]) -> dict[str, Any]:
    from satcost_gnn.data.aslib import read_scenario
    from satcost_gnn.data.runtime_table import read_runtime_table
    from satcost_gnn.evaluate.aslib_protocol import METHODS, evaluate_scenario

    scenario = read_scenario(source[0]) if len(source) == 1 else read_runtime_table(source[0], source[1], seed)
    for warning in scenario.warnings:
        log.warning(f"{_name(source)}: {warning}")
    return evaluate_scenario(scenario, seed, [c for c in METHODS if c.name in names], log.info)


def _name(source: tuple[Path, ...]) -> str:
    name = source[0].resolve().name
    # Of a scenario the directory's name, which may have dots; of a table its file's without .csv or .csv.xz.
    return name if len(source) == 1 else name.split(".")[0]


def _stored(path: Path, seed: int, names: list[str]) -> dict[str, Any] | None:
    from satcost_gnn.evaluate.aslib_protocol import MIXTURE, RESULT_VERSION

    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    # Estimators that failed may be there now.
    good = isinstance(stored, dict) and stored.get("seed") == seed and not stored.get("errors", True)
    good = good and stored.get("version") == RESULT_VERSION
    good = good and set(stored.get("methods", ())) - {MIXTURE} == set(names)
    return stored if good else None
