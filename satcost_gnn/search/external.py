"""Solvers that are programs of their own: anything that reads DIMACS and prints ``s`` and ``v`` lines.

A program is named by a definition ``NAME=COMMAND``, for instance ``kissat=/opt/kissat/build/kissat {cnf}``. In the
command ``{cnf}`` stands for the formula's file (appended if it isn't named), ``{seed}`` for the seed of the run
(without it, seeds shuffle the formula as for any other solver), and ``{out}`` for a file that the program writes its
answer to as MiniSat does. No shell reads the command.

The program runs below a sandboxed child that measures it with all processes that it starts, and ends them at a limit:
by a signal first, upon which most solvers print what they have counted, and half a second later for good.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import resource
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from satcost_gnn.errors import SolverError
from satcost_gnn.formula.cnf import Formula, satisfies
from satcost_gnn.formula.dimacs import write_dimacs
from satcost_gnn.formula.renumbering import renumbered
from satcost_gnn.formula.shuffle import seeded, unseeded
from satcost_gnn.formula.sources import FormulaInChild, load
from satcost_gnn.runtime import process_limits
from satcost_gnn.runtime.process_tree import (
    Descendants,
    adopt_orphans,
    die_with_parent,
    end_all_below,
    proportional_mb,
    usage,
)
from satcost_gnn.runtime.sandbox import Limits, Sandbox, scratch
from satcost_gnn.search.solver_output import SolverOutput
from satcost_gnn.search.solvers import SOLVERS, ChildCall, SolverSpec, Stop, register_solver

# Seconds between the signal that asks a program to end and the one that ends it.
_GRACE_S = 0.5
_SHORTEST_LOOK_S, _LONGEST_LOOK_S = 0.02, 0.1
# What reading the formula, writing it out and checking a model may take beyond the program's own limits.
_MARGIN_S, _MARGIN_MB = 120.0, 4096

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]*")
_EXIT_CODES = {"SAT": (0, 10), "UNSAT": (0, 20)}


# How the names of programs begin that answer ``--version``, and of those that sum up upon SIGINT.
_WITH_VERSION = ("cadical", "kissat", "clasp", "picosat", "cryptominisat")
_INTERRUPTED = ("cryptominisat", "minisat", "glucose")


@dataclass(frozen=True)
class ExternalSpec(SolverSpec):
    """A program as a solver.

    Parameters
    ----------
    command
        Its arguments with placeholders; the first is an absolute path.
    installed
        Name, version where it tells, digest of the file, and command.
    """

    command: tuple[str, ...] = ()
    installed: str = ""

    @property
    def version(self) -> str:
        """Version string recorded with each run."""
        return self.installed

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
        """Return what is to be called in a sandboxed child, and the limits that stand behind the program's own."""
        return ChildCall(
            "satcost_gnn.search.external:solve_external_child",
            {
                "command": self.command,
                "formula": formula,
                "seed": seed,
                "cpu_s": cpu_s,
                "wall_s": wall_s,
                "memory_mb": memory_mb,
                "conflicts": conflicts,
            },
            Limits(1.1 * cpu_s + _MARGIN_S, wall_s + _MARGIN_S, memory_mb + _MARGIN_MB),
        )


def is_definition(text: str) -> bool:
    """Whether a solver on the command line is a definition ``NAME=COMMAND`` rather than a name."""
    return "=" in text


def parse_definition(text: str) -> ExternalSpec:
    """Return the solver of a definition ``NAME=COMMAND``, without having run the program.

    Raises
    ------
    SolverError
        If the text is no definition, the name is taken by a solver of :data:`~satcost_gnn.search.solvers.SOLVERS`, or
        there is no such program.
    """
    name, _, rest = text.partition("=")
    name = name.strip()
    try:
        parts = shlex.split(rest)
    except ValueError as error:
        raise SolverError(f"solver {text!r}: {error}; expected NAME=COMMAND such as kissat=kissat {{cnf}}") from None
    if not _NAME.fullmatch(name) or not parts:
        raise SolverError(f"found solver {text!r}, expected NAME=COMMAND such as kissat=kissat {{cnf}}")
    if name in SOLVERS:
        raise SolverError(f"solver {text!r}: {name} is a solver of this package; choose another name, my-{name} say")
    program = shutil.which(parts[0])
    if program is None:
        raise SolverError(f"solver {text!r}: found no program {parts[0]!r}; give its path, or put it on PATH")
    summary = rest.strip()
    if not any("{cnf}" in part for part in parts):
        parts.append("{cnf}")
        summary += " {cnf}"
    return ExternalSpec(
        name=name,
        pysat_name="",
        summary=summary,
        stop=Stop.KILL,
        command=(str(Path(program).resolve() if os.sep in parts[0] else program), *parts[1:]),
    )


def register_external(text: str) -> str:
    """Make the solver of a definition known by its name, and return the name.

    SolverError is raised as by :func:`parse_definition` and :func:`register_here`.
    """
    spec = parse_definition(text)
    register_here(spec)
    return spec.name


def register_here(spec: ExternalSpec) -> None:
    """Make a program known by its name, with the version that this machine has.

    Raises
    ------
    SolverError
        If this machine has no such program, or the name already stands for another command.
    """
    register_solver(replace(spec, installed=f"{describe_program(spec.command[0])}: {spec.summary}"))


def describe_program(program: str) -> str:
    """Return name, version (if it is a program that tells) and digest of a program's file."""
    try:
        with Path(program).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()[:12]
    except OSError as error:
        raise SolverError(f"{program}: cannot be read: {error.strerror}") from error
    version = ""
    if Path(program).name.lower().startswith(_WITH_VERSION):
        with Sandbox() as sandbox:
            outcome = sandbox.run(
                "satcost_gnn.search.external:version_child", {"program": program}, Limits(5.0, 5.0, 2048)
            )
        version = f" {outcome.value}" if outcome.value else ""
    return f"{Path(program).name}{version} (sha256 {digest})"


def version_child(program: str) -> str:
    """Ask a program for its version; executed in a sandboxed child."""
    done = subprocess.run(
        [program, "--version"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        preexec_fn=process_limits.lift_address_space,
    )
    # A number in whatever text, or the word that is all there is (CaDiCaL's "sc2021").
    found = re.search(rb"\d+\.\d+[\w.+-]*", done.stdout) or re.fullmatch(rb"\s*\S{1,40}\s*", done.stdout)
    return found.group(0).decode("ascii", "replace").strip() if found else ""


# ---------------------------------------------------------------------------------------------------------------------
# Watching the program; all of this happens in the sandboxed child.


@dataclass
class _Used:
    """What processes have used that were reaped, and the most memory seen."""

    cpu_s: float = 0.0
    largest_mb: float = 0.0
    sampled_mb: float = 0.0

    def reap(self, spent: resource.struct_rusage) -> None:
        self.cpu_s += spent.ru_utime + spent.ru_stime
        self.largest_mb = max(self.largest_mb, spent.ru_maxrss / 1024)


@dataclass
class _Watched:
    """How the program ended: ``code`` is negative for a signal; ``over`` the status of a limit and what it was."""

    code: int
    over: tuple[str, str] | None
    cpu_s: float
    wall_s: float
    peak_memory_mb: float


def _watch(arguments: list[str], output: SolverOutput, cpu_s: float, wall_s: float, memory_mb: int) -> _Watched:
    # Orphans of the program come to this process, so that they are found, counted and ended.
    adopt_orphans()

    def prepare() -> None:
        die_with_parent(signal.SIGKILL)
        process_limits.lift_address_space()
        process_limits.limit_cpu(cpu_s)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)

    own_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    processes = Descendants(os.getpid())
    start = time.monotonic()
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=prepare,
        )
    except OSError as error:
        raise SolverError(f"{arguments[0]}: cannot be started: {error.strerror}") from error
    assert process.stdout is not None and process.stderr is not None
    used = _Used()
    over: tuple[str, str] | None = None
    end = math.inf
    next_look = start
    cpu_seen = 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, output.feed)
        # Kept apart from the answers: what comes on standard error may come in the middle of a line.
        selector.register(process.stderr, selectors.EVENT_READ, output.note)

        def take(timeout: float) -> bool:
            ready = selector.select(timeout)
            for key, _ in ready:
                data = os.read(key.fd, 1 << 18)
                if data:
                    key.data(data if key.data == output.feed else data[-2000:])
                else:
                    selector.unregister(key.fileobj)
            return bool(ready)

        while True:
            open_ = bool(selector.get_map())
            take(_SHORTEST_LOOK_S if open_ else 0.002)
            pid, status, spent = os.wait4(process.pid, os.WNOHANG)
            if pid:
                used.reap(spent)
                process.returncode = os.waitstatus_to_exitcode(status)
                break
            now = time.monotonic()
            if now >= end:
                break
            if over is not None:
                continue
            if now - start > wall_s:
                over = ("TIMEOUT", f"wall-clock limit of {wall_s:g} s")
            elif now >= next_look:
                pids = processes.look()
                cpu_seen, resident_mb = usage(pids)
                used.sampled_mb = max(used.sampled_mb, resident_mb)
                if cpu_seen > cpu_s:
                    over = ("TIMEOUT", f"CPU limit of {cpu_s:g} s")
                elif resident_mb > memory_mb and proportional_mb(pids) > memory_mb:
                    over, end = ("MEMOUT", f"memory limit of {memory_mb} MiB"), now
                next_look = now + min(_LONGEST_LOOK_S, max(_SHORTEST_LOOK_S, 0.02 * (now - start)))
            if over is not None and over[0] == "TIMEOUT":
                interrupted = Path(arguments[0]).name.lower().startswith(_INTERRUPTED)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGINT if interrupted else signal.SIGTERM)
                end = now + _GRACE_S
        wall = time.monotonic() - start
        end_all_below(used.reap)
        if process.returncode is None:
            process.returncode = -signal.SIGKILL
        # Nobody is left to write: what is in the pipes is the end of it.
        while selector.get_map() and take(0.2):
            pass
    output.close()
    process.stdout.close()
    process.stderr.close()
    # The kernel's maximum holds what this process held when it forked; below that only the samples tell.
    peak = used.largest_mb if used.largest_mb > 1.1 * own_mb or not used.sampled_mb else 0.0
    return _Watched(process.returncode, over, max(used.cpu_s, cpu_seen), wall, max(peak, used.sampled_mb))


def _conclude(
    watched: _Watched, output: SolverOutput, formula: Formula, cpu_s: float, memory_mb: int, with_model: bool
) -> Any:
    """Return status, detail and, for a model, whether it was verified, and the model itself if it is wanted."""
    told = f" ({output.last_line})" if output.last_line else ""
    full = watched.peak_memory_mb > 0.8 * memory_mb
    if watched.over is not None:
        return {"status": watched.over[0], "detail": watched.over[1]}
    if watched.code == -signal.SIGXCPU or watched.cpu_s > 1.05 * cpu_s + 0.05:
        return {"status": "TIMEOUT", "detail": f"CPU limit of {cpu_s:g} s"}
    answers = output.answers
    if watched.code < 0 or not answers or answers == ["UNKNOWN"]:
        inherited_mb = process_limits.inherited_address_space_mb()
        if full or (output.memory_mark and inherited_mb < math.inf):
            reason = output.memory_mark or output.last_line or "no message"
            limit = (
                f"memory limit of {memory_mb}" if full else f"address space limit (`ulimit -v`) of {inherited_mb:.0f}"
            )
            return {"status": "MEMOUT", "detail": f"{limit} MiB ({reason})"}
        if output.memory_mark:
            # Not at our limit: at one of its own, or it asks for what no machine has.
            used = f"having used {watched.peak_memory_mb:.0f} of {memory_mb} MiB"
            return {"status": "CRASHED", "detail": f"says that it has no memory, {used} ({output.memory_mark})"}
        if watched.code == -signal.SIGKILL:
            return {"status": "MEMOUT", "detail": "killed from outside, most likely by the kernel for want of memory"}
    if watched.code < 0:
        return {"status": "CRASHED", "detail": f"died by signal {signal.Signals(-watched.code).name}{told}"}
    if len(answers) > 1:
        return {"status": "CRASHED", "detail": f"contradicts itself: it answered {' and '.join(answers)}"}
    if not answers:
        return {"status": "CRASHED", "detail": f"printed no answer and exited with code {watched.code}{told}"}
    (answer,) = answers
    if answer == "UNKNOWN":
        return {"status": "CRASHED", "detail": f"gave up within its limits, with code {watched.code}{told}"}
    if watched.code not in _EXIT_CODES[answer]:
        return {"status": "CRASHED", "detail": f"answered {answer} but exited with code {watched.code}{told}"}
    if answer == "UNSAT":
        return {"status": "UNSAT"}
    if output.malformed:
        return {"status": "CRASHED", "detail": f"answered SAT, but {output.malformed}"}
    model = output.model()
    verified = satisfies(formula, model)
    if not len(model) and not verified:
        return {
            "status": "CRASHED",
            "detail": "answered SAT without a model; have it print `v` lines, or name {out} in its command",
        }
    return {"status": "SAT", "verified": verified, **({"model": model.astype(np.int32)} if with_model else {})}


def solve_external_child(
    command: tuple[str, ...],
    formula: FormulaInChild,
    seed: int,
    cpu_s: float,
    wall_s: float,
    memory_mb: int,
    conflicts: int | None = None,
    with_model: bool = False,
) -> dict[str, Any]:
    """Run a program to its end or limit; executed in a sandboxed child.

    Parameters
    ----------
    seed
        Handed to the program if its command names ``{seed}``, else that of
        :func:`~satcost_gnn.formula.shuffle.seeded`.
    cpu_s, wall_s, memory_mb
        Limits of the program with all processes that it starts; memory is what is resident, however much address space
        is reserved. An inherited limit counts if it is lower.
    conflicts
        Must be None.

    Returns
    -------
    dict
        ``status``, ``detail``, the counters that were printed, ``cpu_s``, ``wall_s``, ``peak_memory_mb`` and for SAT
        whether the model was ``verified``, and with ``with_model`` the ``model``.

    Raises
    ------
    NotImplementedError
        If a limit on conflicts is asked for.
    SolverError
        If the program cannot be started, or the formula cannot be handed over.
    """
    if conflicts is not None:
        raise NotImplementedError("a program takes no limit on conflicts")
    formula, numbering = renumbered(load(formula))
    # A program that takes a seed has the formula as it is.
    shuffle = 0 if any("{seed}" in part for part in command) else seed
    plain, formula = formula, seeded(formula, shuffle)
    # Before the kernel's own limit strikes: the program is asked to end first, and told apart from one that was killed.
    cpu_s = process_limits.before_kernels_limit(cpu_s)
    directory = scratch()
    file, result = directory / "formula.cnf", directory / "result"
    try:
        write_dimacs(formula, file)
    except OSError as error:
        raise SolverError(f"{file}: cannot write the formula for {command[0]}: {error.strerror}") from error
    arguments = [
        part.replace("{cnf}", str(file)).replace("{out}", str(result)).replace("{seed}", str(seed)) for part in command
    ]
    output = SolverOutput(formula.n_vars)
    watched = _watch(arguments, output, cpu_s, wall_s, memory_mb)
    output.feed_result(result)
    concluded = _conclude(watched, output, formula, cpu_s, memory_mb, with_model)
    if "model" in concluded:
        concluded["model"] = numbering.original(unseeded(concluded["model"], plain, shuffle))
    return {
        **concluded,
        **output.counts,
        "cpu_s": watched.cpu_s,
        "wall_s": watched.wall_s,
        "peak_memory_mb": watched.peak_memory_mb,
    }
