"""The solvers we label with and choose between, and how one of them is run on a formula under limits.

A new solver is one line in :data:`SOLVERS`. Every run happens in a sandboxed child
(:mod:`satcost_gnn.runtime.sandbox`); :func:`solve_child` is what that child executes.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.renumbering import renumbered
from satcost_gnn.formula.shuffle import seeded
from satcost_gnn.formula.sources import FormulaInChild, load
from satcost_gnn.runtime.process_limits import before_kernels_limit
from satcost_gnn.runtime.sandbox import Limits, Sandbox, report
from satcost_gnn.search.capsule import capsule_pointer
from satcost_gnn.search.cpu_alarm import at_cpu_limit
from satcost_gnn.search.kissat import kissat_counters, kissat_stopper

Counter = StrEnum("Counter", ["conflicts", "decisions", "propagations", "restarts"])
_ALL = frozenset(str(c) for c in Counter)
_NO_PROPAGATIONS = _ALL - {"propagations"}


class Stop(StrEnum):
    """How a running solver is brought to a halt from a signal handler so that its counters can still be read."""

    TERMINATE = "the C++ object's own terminate()"
    SNAPSHOT = "its counters are read on the spot and the child ends"
    BUDGET = "it has a limit on CPU seconds of its own"
    KILL = "killed by the sandbox; its counters are lost"


class Budget(StrEnum):
    """When a solver looks at its limit on conflicts."""

    CONFLICT = "at every conflict, or a few later"
    RESTART = "when it restarts: it may go over the limit many times"
    NONE = "it takes none"


@dataclass(frozen=True)
class ChildCall:
    """What a sandboxed child is to call, and the limits on it.

    Parameters
    ----------
    function
        ``module:function``.
    kwargs
        Its arguments.
    limits
        Limits of the child, which stand behind those that the function itself keeps.
    """

    function: str
    kwargs: Mapping[str, Any]
    limits: Limits


@dataclass(frozen=True)
class SolverSpec:
    """A solver, or one configuration of it.

    Parameters
    ----------
    name
        Our name of it, ``solver`` or ``solver:configuration``.
    pysat_name
        Its name in :class:`pysat.solvers.SolverNames`.
    summary
        What sets it apart, in a few words.
    options
        CaDiCaL options passed through ``configure``.
    counters
        Which of the statistics it reports truthfully.
    stop
        How it is brought to a halt at its CPU limit.
    budget
        When it looks at a limit on conflicts. What a limited run has done is told by its counters, not by the limit.
    engine
        ``module:class`` of its engine, where that is not PySAT's. It has ``add_clause``, ``append_formula``, ``solve``
        (``solve_limited`` and ``conf_budget`` if it has a ``budget``), ``get_model`` and ``accum_stats`` as PySAT's
        solvers have them, and ``time_budget`` for :attr:`Stop.BUDGET`.
    package
        Module of the package that it comes with, where that may be missing.
    extra
        Extra of this package that installs it.
    complete
        Whether it takes every formula. A run of one that doesn't ends as ``UNSUPPORTED`` on the others, at once.
    """

    name: str
    pysat_name: str
    summary: str
    options: Mapping[str, int] = field(default_factory=dict)
    counters: frozenset[str] = _ALL
    stop: Stop = Stop.SNAPSHOT
    budget: Budget = Budget.CONFLICT
    engine: str = ""
    package: str = ""
    extra: str = ""
    complete: bool = True

    @property
    def available(self) -> bool:
        """Whether the package that it comes with is there."""
        return not self.package or find_spec(self.package) is not None

    @property
    def missing(self) -> str:
        """What to do where it is not installed."""
        return f"{self.name} is not installed; install it with `pip install 'satcost-gnn[{self.extra}]'`"

    @property
    def version(self) -> str:
        """Version string recorded with each run: that of the package fixes the solver's source."""
        if self.package:
            return f"{self.package} {metadata.version(self.package) if self.available else 'not installed'}"
        if self.engine:
            return f"satcost-gnn {metadata.version('satcost-gnn')}"
        import pysat

        return f"{self.pysat_name} (python-sat {pysat.__version__})"

    def child_call(
        self,
        formula: FormulaInChild,
        *,
        seed: int,
        cpu_s: float,
        wall_s: float,
        memory_mb: int,
        conflicts: int | None,
    ) -> ChildCall:
        """Return what is to be called in a sandboxed child for one run; the parameters are those of a run."""
        # The child also reads the file; the solver's own limit is kept by the timer inside, this one stands behind it.
        outer_s = cpu_s if self.stop is Stop.KILL else cpu_s * 1.1 + 20.0
        return ChildCall(
            "satcost_gnn.search.solvers:solve_child",
            {"solver": self.name, "formula": formula, "seed": seed, "cpu_s": cpu_s, "conflicts": conflicts},
            Limits(outer_s, wall_s, memory_mb),
        )


def _specs() -> dict[str, SolverSpec]:
    specs = [
        SolverSpec("cadical103", "cadical103", "CaDiCaL 1.0.3", stop=Stop.TERMINATE),
        SolverSpec("cadical153", "cadical153", "CaDiCaL 1.5.3", stop=Stop.TERMINATE),
        SolverSpec("cadical195", "cadical195", "CaDiCaL 1.9.5; the solver that is probed", stop=Stop.TERMINATE),
        SolverSpec("cadical300", "cadical300", "CaDiCaL 3.0.0", stop=Stop.TERMINATE),
        SolverSpec(
            "cadical195:sat",
            "cadical195",
            "CaDiCaL 1.9.5 tuned for satisfiable instances",
            # CaDiCaL's own `--sat` configuration.
            {"elimreleff": 10, "stabilizeonly": 1, "subsumereleff": 60},
            stop=Stop.TERMINATE,
        ),
        SolverSpec(
            "cadical195:unsat",
            "cadical195",
            "CaDiCaL 1.9.5 tuned for unsatisfiable instances",
            # CaDiCaL's own `--unsat` configuration.
            {"stabilize": 0, "walk": 0},
            stop=Stop.TERMINATE,
        ),
        SolverSpec("glucose3", "glucose3", "Glucose 3", budget=Budget.RESTART),
        SolverSpec("glucose4", "glucose4", "Glucose 4.1", budget=Budget.RESTART),
        SolverSpec("glucose42", "glucose42", "Glucose 4.2.1", budget=Budget.RESTART),
        SolverSpec("gluecard3", "gluecard3", "Glucose 3 with native cardinality constraints", budget=Budget.RESTART),
        SolverSpec("gluecard4", "gluecard4", "Glucose 4.1 with native cardinality constraints", budget=Budget.RESTART),
        SolverSpec("maplechrono", "maplechrono", "MapleLCM with chronological backtracking, winner of 2018"),
        SolverSpec("maplecm", "maplecm", "MapleCM", counters=_NO_PROPAGATIONS),
        SolverSpec("maplesat", "maplesat", "MapleCOMSPS with learning-rate branching", counters=_NO_PROPAGATIONS),
        SolverSpec("mergesat3", "mergesat3", "MergeSat 3"),
        SolverSpec("minicard", "minicard", "MiniSat with native cardinality constraints"),
        SolverSpec("minisat22", "minisat22", "MiniSat 2.2"),
        SolverSpec("minisatep", "minisatep", "MiniSat with an external propagator interface"),
        # PySAT reads no restarts of it: they are 0 whatever it did.
        SolverSpec("lingeling", "lingeling", "Lingeling", counters=_ALL - {"restarts"}, budget=Budget.NONE),
        SolverSpec(
            "kissat404",
            "kissat404",
            "Kissat 4.0.4",
            counters=frozenset({"conflicts", "decisions"}),
            stop=Stop.TERMINATE,
        ),
        SolverSpec(
            "cryptominisat",
            "",
            "CryptoMiniSat 5 with Gauss-Jordan elimination",
            counters=frozenset(),
            stop=Stop.BUDGET,
            engine="satcost_gnn.search.cryptominisat:CryptoMiniSat",
            package="pycryptosat",
            extra="cryptominisat",
        ),
        SolverSpec(
            "parity",
            "",
            "Gaussian elimination of XOR constraints; declines what they do not decide",
            complete=False,
            counters=frozenset(),
            stop=Stop.BUDGET,
            budget=Budget.NONE,
            engine="satcost_gnn.search.parity:Parity",
        ),
    ]
    return {spec.name: spec for spec in specs}


SOLVERS: dict[str, SolverSpec] = _specs()

# Programs that the user has named, of this process only.
_registered: dict[str, SolverSpec] = {}


def register_solver(spec: SolverSpec) -> None:
    """Make a solver known by its name in this process.

    Raises
    ------
    SolverError
        If the name already stands for another solver.
    """
    known = SOLVERS.get(spec.name) or _registered.setdefault(spec.name, spec)
    if known != spec:
        raise SolverError(
            f"solver {spec.name}: found {spec.summary!r}, but the name stands for {known.summary!r}; choose another"
        )


def solver_spec(name: str) -> SolverSpec:
    """Look a solver up by name.

    Raises
    ------
    SolverError
        If it is neither in :data:`SOLVERS` nor registered.
    """
    spec = SOLVERS.get(name) or _registered.get(name)
    if spec is None:
        raise SolverError(
            f"unknown solver {name!r}; expected one of {', '.join([*SOLVERS, *_registered])}, or a program as "
            "NAME=COMMAND"
        )
    return spec


#: Errors of a child that are of the formula.
_UNREAD = ("FormulaError", "FormulaTooLargeError", "ReadingTimeoutError")


@dataclass(frozen=True)
class SolverRun:
    """Result of one run of a solver.

    Parameters
    ----------
    status
        ``SAT``, ``UNSAT``, ``TIMEOUT``, ``MEMOUT``, ``CRASHED`` or ``UNSUPPORTED``. For all but the first two the
        counters are lower bounds of the cost, never the cost.
    conflicts, decisions, propagations, restarts
        Counters; None where the solver doesn't tell.
    cpu_s, wall_s
        Seconds of loading the clauses and solving; reading the file is not in them.
    peak_memory_mb
        Largest resident set of the child in mebibytes.
    detail
        What happened, for all but SAT and UNSAT.
    unread
        Why the formula could not be read; the solver has not been run then.
    """

    status: str
    conflicts: int | None
    decisions: int | None
    propagations: int | None
    restarts: int | None
    cpu_s: float
    wall_s: float
    peak_memory_mb: float
    detail: str = ""
    unread: str = ""


def satisfies(formula: Formula, model: NDArray[np.integer[Any]] | list[int]) -> bool:
    """Whether a (possibly partial) model makes every clause true."""
    true = np.zeros(formula.n_vars + 1, dtype=np.int8)
    literals = np.asarray(model, dtype=np.int64)
    literals = literals[np.abs(literals) <= formula.n_vars]
    true[np.abs(literals)] = np.sign(literals)
    hit = true[np.abs(formula.literals)] == np.sign(formula.literals)
    if formula.has_empty_clause:
        return False
    return bool(np.logical_or.reduceat(hit, formula.offsets[:-1]).all()) if formula.n_clauses else True


def open_engine(spec: SolverSpec, **options: Any) -> Any:
    """Return a solver's engine, with PySAT's interface and without clauses.

    Parameters
    ----------
    spec
        The solver, in its configuration.
    options
        Further arguments of :class:`pysat.solvers.Solver`.

    Raises
    ------
    SolverError
        If its package is not installed.
    """
    if spec.engine:
        module, _, name = spec.engine.partition(":")
        return getattr(import_module(module), name)()
    from pysat.solvers import Solver

    engine = Solver(name=spec.pysat_name, **options)
    if spec.options:
        engine.configure(dict(spec.options))
    return engine


def stopper(spec: SolverSpec, solver: Any, cpu_s: float) -> Callable[[], None] | None:
    """Return what the signal handler calls at the CPU limit."""
    if spec.pysat_name == "kissat404":
        return kissat_stopper(solver)
    if spec.stop is Stop.TERMINATE:
        # PySAT doesn't offer CaDiCaL's terminate(), which only sets a flag and is made for signal handlers. Its symbol
        # is visible in PySAT's extension module: CaDiCaL<version>::Solver::terminate(), with the object as argument.
        import pysolvers

        space = f"CaDiCaL{spec.pysat_name.removeprefix('cadical')}"
        terminate = getattr(ctypes.CDLL(pysolvers.__file__), f"_ZN{len(space)}{space}6Solver9terminateEv", None)
        if terminate is None:
            return None
        terminate.argtypes, terminate.restype = [ctypes.c_void_p], None
        pointer = capsule_pointer(solver.solver.cadical)
        return lambda: terminate(pointer)
    if spec.stop is Stop.SNAPSHOT:
        # MiniSat and its kin look at interrupt() only when they restart, which can be long after the limit. Their
        # counters are plain fields, to be read at any time.
        def snapshot() -> None:
            report({"status": "TIMEOUT", **solver.accum_stats(), "cpu_s": cpu_s})
            os._exit(0)

        return snapshot
    return None


def solve_child(
    solver: str, formula: FormulaInChild, seed: int, cpu_s: float, conflicts: int | None = None
) -> dict[str, Any]:
    """Run a solver to its end or limit; executed in a sandboxed child.

    Parameters
    ----------
    solver
        Name in :data:`SOLVERS`.
    formula
        The formula, or the path of its file.
    seed
        0 for the formula as it is, else the seed of :func:`~satcost_gnn.formula.shuffle.seeded`.
    cpu_s
        CPU seconds for loading and solving.
    conflicts
        Limit on conflicts, for the solvers that have one.

    Returns
    -------
    dict
        ``status``, the counters, ``cpu_s``, ``wall_s`` and for SAT whether the model was ``verified``.
    """
    spec = solver_spec(solver)
    formula = seeded(renumbered(load(formula))[0], seed)
    clauses = formula.clauses()
    cpu, wall = time.process_time(), time.monotonic()
    # If this child is ended from outside, what it used until here is not the solver's.
    report({"before_cpu_s": cpu})
    engine = open_engine(spec)
    if spec.stop is not Stop.KILL:
        # Reading counts for the kernel; if its limit struck first, the counters would be lost.
        cpu_s = before_kernels_limit(cpu_s, time.process_time())
    stop = stopper(spec, engine, cpu_s)
    disarm = at_cpu_limit(cpu_s, stop) if stop is not None else None
    for clause in clauses:
        engine.add_clause(clause)
    if conflicts is not None:
        if spec.budget is Budget.NONE:
            raise NotImplementedError(f"{spec.name} takes no limit on conflicts")
        engine.conf_budget(conflicts)
    if spec.stop is Stop.BUDGET:
        engine.time_budget(cpu_s - (time.process_time() - cpu))
    answer = engine.solve() if spec.budget is Budget.NONE else engine.solve_limited()
    if disarm is not None:
        disarm()
    # Past the limit by a hair before the handler struck, or a run that the handler couldn't stop: no answer in time.
    if time.process_time() - cpu > 1.05 * cpu_s + 0.05:
        answer = None
    used = {"cpu_s": time.process_time() - cpu, "wall_s": time.monotonic() - wall}
    counted = kissat_counters(engine) if spec.pysat_name == "kissat404" else engine.accum_stats()
    result: dict[str, Any] = {"status": {True: "SAT", False: "UNSAT", None: "TIMEOUT"}[answer], **counted, **used}
    if answer:
        result["verified"] = satisfies(formula, engine.get_model() or [])
    return result


def default_wall_s(cpu_s: float) -> float:
    """Return the wall-clock limit of a run whose caller names none: three times the CPU limit and a minute."""
    return 3 * cpu_s + 60.0


def run_solver(
    sandbox: Sandbox,
    solver: str,
    formula: FormulaInChild,
    *,
    seed: int = 0,
    cpu_s: float = 10.0,
    wall_s: float | None = None,
    memory_mb: int = 4096,
    conflicts: int | None = None,
) -> SolverRun:
    """Run a solver on a formula in a limited child.

    Parameters
    ----------
    sandbox
        Where the child is forked.
    solver
        Name in :data:`SOLVERS`.
    formula
        The formula, or the path of its file (read in the child, so nothing large is sent).
    seed
        0 for the formula as it is, else the seed of :func:`~satcost_gnn.formula.shuffle.seeded` (or the program's own,
        if its command names it).
    cpu_s, wall_s, memory_mb
        Limits. The wall limit defaults to three times the CPU limit and a minute; a run that it ends has used less
        CPU time than its limit.
    conflicts
        Limit on conflicts; such a run ends as ``TIMEOUT`` too.

    Raises
    ------
    SolverError
        If the solver is unknown, or is a program that can't be started.
    """
    spec = solver_spec(solver)
    if not spec.available:
        return SolverRun("UNSUPPORTED", None, None, None, None, 0.0, 0.0, 0.0, spec.missing)
    call = spec.child_call(
        formula,
        seed=seed,
        cpu_s=cpu_s,
        wall_s=wall_s if wall_s is not None else default_wall_s(cpu_s),
        memory_mb=memory_mb,
        conflicts=conflicts,
    )
    outcome = sandbox.run(call.function, call.kwargs, call.limits)
    if outcome.error_type == "SolverError":
        raise SolverError(outcome.detail)
    value: dict[str, Any] = outcome.value or {}
    counts = {name: int(value[name]) if name in spec.counters and name in value else None for name in _ALL}
    status, detail = value.get("status", outcome.status), value.get("detail", outcome.detail)
    if outcome.status in ("MEMOUT", "CRASHED") and "status" not in value:
        status = outcome.status
    elif outcome.status == "ERROR":
        status = "UNSUPPORTED" if outcome.error_type in ("NotImplementedError", "NoSuchSolverError") else "CRASHED"
        detail = f"{outcome.error_type}: {outcome.detail}"
    elif status == "TIMEOUT" and "detail" not in value and outcome.status != "TIMEOUT":
        detail = f"CPU limit of {cpu_s:g} s" if conflicts is None else f"{cpu_s:g} s CPU or {conflicts} conflicts"
    if value.get("verified") is False:
        status, detail = "CRASHED", "wrong answer: its model does not satisfy the formula"
    own_s = max(0.0, outcome.cpu_s - value.get("before_cpu_s", 0.0))
    return SolverRun(
        status=status,
        conflicts=counts["conflicts"],
        decisions=counts["decisions"],
        propagations=counts["propagations"],
        restarts=counts["restarts"],
        cpu_s=float(value.get("cpu_s", min(own_s, cpu_s) if status == "TIMEOUT" else own_s)),
        wall_s=float(value.get("wall_s", outcome.wall_s)),
        peak_memory_mb=float(value.get("peak_memory_mb", outcome.peak_memory_mb)),
        detail="" if status in ("SAT", "UNSAT") else detail,
        unread=outcome.detail if outcome.error_type in _UNREAD else "",
    )
