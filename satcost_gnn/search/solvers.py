"""The registry of solvers: all that the package knows of a solver is in its one entry.

A new solver is one entry in :data:`SOLVERS`. :func:`~satcost_gnn.search.loading.open_solver` opens one,
:func:`~satcost_gnn.search.solver_run.run_solver` runs one under limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from satcost_gnn.errors import SolverError
from satcost_gnn.formula.sources import FormulaInChild
from satcost_gnn.runtime.sandbox import Limits

Counter = StrEnum("Counter", ["conflicts", "decisions", "propagations", "restarts"])
ALL_COUNTERS = frozenset(str(c) for c in Counter)
_NO_PROPAGATIONS = ALL_COUNTERS - {"propagations"}


class Stop(StrEnum):
    """How a running solver is brought to a halt from a signal handler so that its counters can still be read."""

    TERMINATE = "its engine's terminator(), which gives what the signal handler calls"
    SNAPSHOT = "its counters are read on the spot and the child ends"
    BUDGET = "it has a limit on CPU seconds of its own"
    KILL = "killed by the sandbox; its counters are lost"


class Budget(StrEnum):
    """When a solver looks at its limit on conflicts."""

    CONFLICT = "at every conflict, or a few later"
    RESTART = "when it restarts: it may go over the limit many times"
    NONE = "it takes none"


class Proof(StrEnum):
    """How a solver writes a proof of unsatisfiability."""

    BINARY = "binary DRAT"
    TEXT = "text (DRUP)"
    NONE = "it writes none"


class Watching(StrEnum):
    """How a running solver is watched by :class:`~satcost_gnn.decide.monitor.CostMonitor`."""

    THREAD = "it searches without Python's lock if asked to: its counters are read from outside"
    SLICES = "it keeps the lock and takes a limit on conflicts: it is run in slices"
    NONE = "not at all"


@dataclass(frozen=True)
class Probing:
    """How a solver is probed: it takes a listener, which is called at decisions, backtracks and assignments.

    Parameters
    ----------
    options
        What it is configured with.
    more_options
        Whether it takes further options of the caller's.
    merges_conflicts
        Whether it reports several conflicts in a row without a decision between them as one. Such a solver tells their
        number at any time; a CaDiCaL asked while it searches ends the process.
    """

    options: tuple[tuple[str, int | str], ...] = ()
    more_options: bool = False
    merges_conflicts: bool = False


@dataclass(frozen=True)
class ChildCall:
    """What a sandboxed child is to call (``module:function`` and its arguments), and the limits on it.

    They stand behind those that the function itself keeps.
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
    counters
        Which of the statistics it reports truthfully.
    stop
        How it is brought to a halt at its CPU limit.
    budget
        When it looks at a limit on conflicts. What a limited run has done is told by its counters, not by the limit.
    engine
        ``module:class`` of its engine, given ``pysat_name`` as ``name`` if there is one. It has ``add_clause``,
        ``append_formula``, ``solve`` (``solve_limited`` and ``conf_budget`` if it has a ``budget``), ``get_model`` and
        ``accum_stats`` as PySAT's solvers have them, ``terminator`` for :attr:`Stop.TERMINATE`, and ``time_budget`` for
        :attr:`Stop.BUDGET`.
    package
        Module of the package that it comes with, where that may be missing.
    extra
        Extra of this package that installs it.
    complete
        Whether it takes every formula. A run of one that doesn't ends as ``UNSUPPORTED`` on the others, at once.
    proof
        How it writes a proof.
    watching
        How it is watched while it runs.
    first_phase
        Value that it tries first of a variable by itself, 1 or -1; 0 where that is not known.
    probing
        How it is probed, None if it can't be.
    """

    name: str
    pysat_name: str
    summary: str
    options: Mapping[str, int | str] = field(default_factory=dict)
    counters: frozenset[str] = ALL_COUNTERS
    stop: Stop = Stop.SNAPSHOT
    budget: Budget = Budget.CONFLICT
    engine: str = "pysat.solvers:Solver"
    package: str = ""
    extra: str = ""
    complete: bool = True
    proof: Proof = Proof.NONE
    watching: Watching = Watching.NONE
    first_phase: int = 0
    probing: Probing | None = None

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
        if not self.pysat_name:
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
            "satcost_gnn.search.solver_run:solve_child",
            {"solver": self.name, "formula": formula, "seed": seed, "cpu_s": cpu_s, "conflicts": conflicts},
            Limits(outer_s, wall_s, memory_mb),
        )


# Chronological backtracking leaves literals of lower levels out of order on the trail, and conflicts can then be told
# from the solver's calls only nearly always. Without reusing the trail it happens only on jumps over more than a
# hundred levels, where it is needed: without it each conflict would cost up to hundreds of thousands of decisions.
_PROBED_CADICAL = Probing((("chronoreusetrail", 0),), more_options=True)


def _cadical(
    release: str, name: str, summary: str, options: Mapping[str, int] | None = None, **other: Any
) -> SolverSpec:
    """Return a configuration of a release of CaDiCaL."""
    return SolverSpec(
        name,
        release,
        summary,
        options or {},
        stop=Stop.TERMINATE,
        engine="satcost_gnn.search.cadical:Cadical",
        proof=Proof.BINARY,
        watching=Watching.SLICES,
        **other,
    )


def _minisat(name: str, summary: str, **other: Any) -> SolverSpec:
    """Return a solver of MiniSat's kin: its counters are plain fields, and it runs without Python's lock."""
    return SolverSpec(name, other.pop("pysat_name", name), summary, watching=Watching.THREAD, **other)


def _specs() -> dict[str, SolverSpec]:
    probed: dict[str, Any] = {"first_phase": 1, "probing": _PROBED_CADICAL}
    glucose: dict[str, Any] = {"budget": Budget.RESTART, "proof": Proof.TEXT}
    specs = [
        _cadical("cadical103", "cadical103", "CaDiCaL 1.0.3"),
        _cadical("cadical153", "cadical153", "CaDiCaL 1.5.3", first_phase=1),
        _cadical("cadical195", "cadical195", "CaDiCaL 1.9.5; the solver that is probed", **probed),
        _cadical("cadical300", "cadical300", "CaDiCaL 3.0.0", **probed),
        # CaDiCaL's own `--sat` and `--unsat` configurations.
        _cadical(
            "cadical195",
            "cadical195:sat",
            "CaDiCaL 1.9.5 tuned for satisfiable instances",
            {"elimreleff": 10, "stabilizeonly": 1, "subsumereleff": 60},
        ),
        _cadical(
            "cadical195",
            "cadical195:unsat",
            "CaDiCaL 1.9.5 tuned for unsatisfiable instances",
            {"stabilize": 0, "walk": 0},
        ),
        _minisat("glucose3", "Glucose 3", **glucose),
        _minisat("glucose4", "Glucose 4.1", **glucose, first_phase=-1),
        _minisat("glucose42", "Glucose 4.2.1", **glucose, first_phase=-1),
        _minisat("gluecard3", "Glucose 3 with native cardinality constraints", **glucose),
        _minisat("gluecard4", "Glucose 4.1 with native cardinality constraints", **glucose),
        _minisat("maplechrono", "MapleLCM with chronological backtracking, winner of 2018", proof=Proof.TEXT),
        _minisat("maplecm", "MapleCM", counters=_NO_PROPAGATIONS, proof=Proof.TEXT),
        _minisat("maplesat", "MapleCOMSPS with learning-rate branching", counters=_NO_PROPAGATIONS, proof=Proof.TEXT),
        _minisat("mergesat3", "MergeSat 3"),
        _minisat("minicard", "MiniSat with native cardinality constraints"),
        _minisat("minisat22", "MiniSat 2.2", first_phase=-1),
        # PySAT's own name of it, `minisatgh`, is not among those that it takes.
        _minisat("minisatgh", "MiniSat 2.2 as developed further on GitHub", pysat_name="minisat-gh"),
        _minisat("minisatep", "MiniSat with an external propagator interface", probing=Probing(merges_conflicts=True)),
        # PySAT reads no restarts of it: they are 0 whatever it did.
        SolverSpec(
            "lingeling",
            "lingeling",
            "Lingeling",
            counters=ALL_COUNTERS - {"restarts"},
            budget=Budget.NONE,
            proof=Proof.TEXT,
        ),
        SolverSpec(
            "ergo",
            "ergo",
            "Ergo tuned as MiniSat 2.0",
            # The one way to geometric restarts (100, 150, 225, ... conflicts) that PySAT offers.
            {"emulate": "m2.0"},
            probing=Probing(merges_conflicts=True),
        ),
        SolverSpec(
            "kissat404",
            "kissat404",
            "Kissat 4.0.4",
            counters=frozenset({"conflicts", "decisions"}),
            stop=Stop.TERMINATE,
            engine="satcost_gnn.search.kissat:Kissat",
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
    """Make a solver known by its name in this process; SolverError if the name already stands for another."""
    known = SOLVERS.get(spec.name) or _registered.setdefault(spec.name, spec)
    if known != spec:
        raise SolverError(
            f"solver {spec.name}: found {spec.summary!r}, but the name stands for {known.summary!r}; choose another"
        )


def solver_spec(name: str) -> SolverSpec:
    """Look a solver up by name; SolverError if it is neither in :data:`SOLVERS` nor registered."""
    spec = SOLVERS.get(name) or _registered.get(name)
    if spec is None:
        raise SolverError(
            f"unknown solver {name!r}; expected one of {', '.join([*SOLVERS, *_registered])}, or a program as "
            "NAME=COMMAND"
        )
    return spec


def spec_of_engine(engine: object) -> SolverSpec | None:
    """Return the entry of a solver object of PySAT, in its plain configuration; None for one of another origin.

    It is of one of the classes that :class:`pysat.solvers.Solver` holds, such as ``pysat.solvers.Minisat22``.
    """
    kind = type(engine).__name__.lower()
    return next((spec for spec in SOLVERS.values() if spec.pysat_name.replace("-", "") == kind), None)
