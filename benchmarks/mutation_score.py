"""Mutation score: the share of small faults, put into a module one at a time, that the module's own tests notice.

Faults are sampled from all that can be made in the modules below: a comparison, an arithmetic or logical operator, a
number, a negation, a smaller of two for the larger. Each is tried in a fork of a process that has the libraries loaded,
under a limit on CPU time, on those tests of the module alone that reach its line, the fastest first. What is done is
kept, so that a run can be continued::

    python benchmarks/mutation_score.py --mutants 300 --seconds 600 -o mutants.jsonl     # again until all are done
    python benchmarks/mutation_score.py --mutants 300 -o mutants.jsonl --report docs/benchmarks/mutation_score.json

A mutant is killed if a test fails or the time runs out. One that changes nothing that can be seen counts as survived,
so that the score is a lower bound. The output's survivors say what to test next.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib
import importlib.abc
import importlib.util
import io
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

#: Module -> its tests. Estimators, losses, calibration, measures, reader and decisions.
MODULES: dict[str, tuple[str, ...]] = {
    "core/distribution.py": ("core/test_distribution.py", "core/test_new_distributions.py"),
    "core/crps.py": ("core/test_distribution.py",),
    "core/bounded.py": ("core/test_bounded.py",),
    "core/common_factor.py": ("core/test_common_factor.py",),
    "core/selection_metrics.py": ("core/test_selection_metrics.py",),
    "learn/calibration.py": ("learn/test_calibration.py",),
    "learn/censored_regression.py": ("learn/test_censored_regression.py",),
    "learn/imputation.py": ("learn/test_imputation.py",),
    "learn/out_of_distribution.py": ("learn/test_out_of_distribution.py",),
    "learn/feature_matrix.py": ("learn/test_feature_matrix.py",),
    "learn/rank_transform.py": ("learn/test_rank_transform.py",),
    "learn/forest.py": ("learn/test_forest.py",),
    "learn/baselines/knn.py": ("learn/baselines/test_knn.py",),
    "learn/baselines/size.py": ("learn/baselines/test_size.py",),
    "learn/baselines/constant.py": ("learn/baselines/test_constant.py",),
    "learn/network/losses.py": ("learn/network/test_losses.py",),
    "evaluate/metrics.py": ("evaluate/test_metrics.py",),
    "formula/dimacs.py": ("formula/test_dimacs.py", "formula/test_dimacs_ends.py", "formula/test_dimacs_writer.py"),
    "formula/cnf.py": ("formula/test_cnf.py",),
    "decide/objective.py": ("decide/test_objective.py",),
    "decide/schedule_search.py": ("decide/test_schedule.py",),
    "decide/training_fit.py": ("decide/test_training_fit.py",),
    "decide/cube_sampling.py": ("decide/test_cube_sampling.py",),
}

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """One fault: its module, the position of its node in the walk of the module's tree, and what it does."""

    module: str
    node: int
    line: int
    what: str


def _mutated(node: ast.AST) -> tuple[str, ast.AST] | None:
    """Return what a fault at a node does, and the node with the fault; None if there is none for it."""
    new: Any = copy.copy(node)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        new.ops = [_COMPARISONS[type(node.ops[0])]()]
        return f"{type(node.ops[0]).__name__} for {type(new.ops[0]).__name__}", new
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        new.op = _OPERATORS[type(node.op)]()
        return f"{type(node.op).__name__} for {type(new.op).__name__}", new
    if isinstance(node, ast.BoolOp):
        new.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return f"{type(node.op).__name__} for {type(new.op).__name__}", new
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert | ast.USub):
        return f"without {type(node.op).__name__}", node.operand
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        value = node.value
        new.value = (not value) if isinstance(value, bool) else value + 1 if isinstance(value, int) else value * 2 + 0.1
        return f"{value!r} for {new.value!r}", new
    if isinstance(node, ast.Name) and node.id in _NAMES:
        new.id = _NAMES[node.id]
        return f"{node.id} for {new.id}", new
    if isinstance(node, ast.Attribute) and node.attr in _NAMES:
        new.attr = _NAMES[node.attr]
        return f"{node.attr} for {new.attr}", new
    return None


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes at which a fault counts: none of types, messages of errors, or what isn't executed."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_comment", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.Raise | ast.Assert | ast.JoinedStr):
                continue
            if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
                continue
            yield child
            yield from _walk(child)


def mutants(module: str) -> list[Mutant]:
    """Return all faults of a module."""
    tree = ast.parse((ROOT / "satcost_gnn" / module).read_text(encoding="utf-8"))
    found = []
    for number, node in enumerate(_walk(tree)):
        made = _mutated(node)
        if made is not None:
            found.append(Mutant(module, number, getattr(node, "lineno", 0), made[0]))
    return found


def source_of(mutant: Mutant) -> str:
    """Return the module's text with the fault."""
    tree = ast.parse((ROOT / "satcost_gnn" / mutant.module).read_text(encoding="utf-8"))
    target = list(_walk(tree))[mutant.node]
    made = _mutated(target)
    assert made is not None
    fault = made[1]

    class Swap(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            return fault if node is target else self.generic_visit(node)

    return ast.unparse(ast.fix_missing_locations(Swap().visit(tree)))


class _Finder(importlib.abc.Loader, importlib.abc.MetaPathFinder):
    """Gives one module of the package with other source."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> Any:
        return importlib.util.spec_from_loader(fullname, self, origin=str(self.path)) if fullname == self.name else None

    def create_module(self, spec: object) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        module.__file__ = str(self.path)
        exec(compile(self.source, str(self.path), "exec"), module.__dict__)


def _tests_of(module: str) -> list[str]:
    return [str(ROOT / "tests" / name) for name in MODULES[module]]


class _Reach:
    """Plug-in of pytest: which lines of a module each test reaches, and the CPU seconds that it takes."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.lines: dict[str, list[int]] = {}
        self.seconds: dict[str, float] = {}
        self._reached: set[int] = set()

    def _trace(self, frame: Any, event: str, argument: object) -> Any:
        if frame.f_code.co_filename != self.path:
            return None
        self._reached.add(frame.f_lineno)
        return self._trace

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Begin to look."""
        self._reached = set()
        self._begin = time.process_time()
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Keep what was seen."""
        sys.settrace(None)
        threading.settrace(None)
        self.lines[nodeid] = sorted(self._reached)
        self.seconds[nodeid] = time.process_time() - self._begin


def _pytest(arguments: Sequence[str], *plugins: object) -> int:
    import pytest

    common = ["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", "-m", "not slow"]
    return int(pytest.main([*common, *arguments], plugins=list(plugins)))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.suppress(BaseException), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        yield


def reach(module: str, kept: Path) -> dict[str, Any] | None:
    """Return which lines of a module each of its tests reaches, and its CPU seconds: measured once, in a fork.

    None if they do not pass.
    """
    known = json.loads(kept.read_text()) if kept.exists() else {}
    if module not in known:
        child = os.fork()
        if child == 0:
            code = 70
            with _quiet():
                plugin = _Reach(ROOT / "satcost_gnn" / module)
                code = _pytest(_tests_of(module), plugin)
                known[module] = {"lines": plugin.lines, "seconds": plugin.seconds}
                kept.write_text(json.dumps(known) + "\n")
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != 0:
            print(f"{module}: tests fail without any fault (exit code {code}); left for later", file=sys.stderr)
            return None
        known = json.loads(kept.read_text())
    found: dict[str, Any] = known[module]
    return found


def tests_of(mutant: Mutant, reached: dict[str, Any]) -> list[str]:
    """Return the tests that reach a fault's line, the fastest first; all if none does, as of what importing runs."""
    seconds: dict[str, float] = reached["seconds"]
    tests = [name for name, lines in reached["lines"].items() if mutant.line in lines]
    return sorted(tests or seconds, key=lambda name: seconds[name])


def _cpu_seconds(pid: int) -> float:
    """Return what a process, and those of its children that have ended, have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def outcome(module: str, source: str, tests: Sequence[str], limit_s: float) -> str:
    """Run tests in a fork on a module with other source; return ``killed``, ``survived`` or ``timeout`` (of CPU)."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        code = 70
        with _quiet():
            name = "satcost_gnn." + module.removesuffix(".py").replace("/", ".")
            sys.meta_path.insert(0, _Finder(name, ROOT / "satcost_gnn" / module, source))
            code = _pytest(["-x", *tests])
        os._exit(code)
    # One that waits for what never comes uses no CPU time.
    end = time.monotonic() + 20.0 * limit_s
    while time.monotonic() < end and _cpu_seconds(child) < limit_s:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


def _usable(module: str, kept: Path) -> dict[str, Any] | None:
    """Return what :func:`reach` does; None if a test fails on the module as it is, too, run as on a fault."""
    found = reach(module, kept)
    if found is None:
        return None
    quickest = str(ROOT / min(found["seconds"], key=lambda name: found["seconds"][name]))
    source = (ROOT / "satcost_gnn" / module).read_text(encoding="utf-8")
    if outcome(module, source, [quickest], 120.0) != "survived":
        print(f"{module}: {quickest} fails without any fault; left for the next run", file=sys.stderr)
        return None
    return found


def chosen(count: int, seed: int) -> list[Mutant]:
    """Return a sample of all faults, in an order of its own, so that a part of it is a sample too."""
    every = [mutant for module in MODULES for mutant in mutants(module)]
    draws = random.Random(seed)
    draws.shuffle(every)
    return every[:count]


def report(rows: Sequence[dict[str, Any]], asked: int, seed: int) -> dict[str, Any]:
    """Return the score, by module too, and the survivors."""
    killed = Counter(row["module"] for row in rows if row["status"] != "survived")
    tried = Counter(row["module"] for row in rows)
    return {
        "asked": asked,
        "seed": seed,
        "tried": len(rows),
        "killed": sum(killed.values()),
        "score": round(sum(killed.values()) / max(len(rows), 1), 4),
        "modules": {module: {"tried": tried[module], "killed": killed[module]} for module in sorted(tried)},
        "survivors": [f"{row['module']}:{row['line']}: {row['what']}" for row in rows if row["status"] == "survived"],
    }


def main() -> None:
    """Try what is left of the sample, and write or print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=300, help="faults in the sample (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=600.0, help="no further fault after these (%(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=Path("mutants.jsonl"), help="rows, continued if there")
    parser.add_argument("--report", type=Path, help="file for the report as JSON")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    os.chdir(ROOT)
    rows = [json.loads(line) for line in options.output.read_text().splitlines()] if options.output.exists() else []
    done = {(row["module"], row["node"], row["what"]) for row in rows}
    sample = chosen(options.mutants, options.seed)
    rows = [row for row in rows if any((m.module, m.node, m.what) == (row["module"], row["node"], row["what"])
                                       for m in sample)]  # fmt: skip
    for library in (
        "numpy",
        "scipy.stats",
        "scipy.optimize",
        "sklearn.ensemble",
        "pydantic",
        "torch",
        "typer",
    ):
        with contextlib.suppress(ImportError), contextlib.redirect_stderr(io.StringIO()):
            importlib.import_module(library)
    end = time.monotonic() + options.seconds
    kept = options.output.with_suffix(".reach.json")
    usable: dict[str, dict[str, Any] | None] = {}
    for mutant in sample:
        if (mutant.module, mutant.node, mutant.what) in done:
            continue
        if time.monotonic() > end:
            break
        if mutant.module not in usable:
            usable[mutant.module] = _usable(mutant.module, kept)
        reached = usable[mutant.module]
        if reached is None:
            continue
        tests = tests_of(mutant, reached)
        usual = sum(reached["seconds"][name] for name in tests)
        start = time.monotonic()
        paths = [str(ROOT / name) for name in tests]
        status = outcome(mutant.module, source_of(mutant), paths, 30.0 + 6.0 * usual)
        rows.append({**asdict(mutant), "status": status, "seconds": round(time.monotonic() - start, 1)})
        with options.output.open("a") as stream:
            stream.write(json.dumps(rows[-1]) + "\n")
    found = report(rows, options.mutants, options.seed)
    if options.report is not None:
        options.report.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
