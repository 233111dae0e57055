"""The command line: one module a command, imported when it is called.

``satcost --help`` must stay fast: nothing at the top of this module loads numpy, torch or a solver.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand

from satcost_gnn.cli.colour import Color, choose
from satcost_gnn.cli.command import Group, new_app

#: Command -> what it does; the module of its name has it as ``app``.
COMMANDS = {
    "predict": "Predict what CNFs cost each solver: one row an instance and solver.",
    "select": "Choose the solver to run on each CNF, with the ranking and the reason.",
    "explain": "Say which groups of features moved a prediction, and by how many decades.",
    "export": "Write predictions as features by hash: into a GBD database, or as CSV.",
    "cubes": "Predict the cost of each cube of a cube-and-conquer split, and of all of them together.",
    "schedule": "Say which solvers to run for how long, in turn or on several cores.",
    "solve": "Solve a CNF with the portfolio: probe, schedule, limited child processes, a checked answer.",
    "batch-solve": "Solve many CNFs in an order and with limits made from the predictions: one row a file.",
    "collect": "Measure what instances cost: instances x solvers x seeds, resumable at any point.",
    "generate": "Generate instances, the same bytes every time.",
    "train": "Train a checkpoint: preprocess a data set, fit every estimator, calibrate, measure on the test side.",
    "train-phases": "Train the network of `predict --phases`: label satisfiable instances, learn from them.",
    "fit-portfolio": "Choose from a data set's runs who is run on several cores, and write it into a checkpoint.",
    "fit-monitor": "Fit the model of `CostMonitor`: record runs of the calibration side, learn from them.",
    "evaluate": "Compare estimators on a data set: one table, one run, one protocol, with a report.",
    "dataset": "Look at, check and split data sets of measured costs.",
    "estimators": "List the estimators: what each needs of an instance, what it costs, and what it predicts from.",
    "cache": "What predictions keep for the next time: where, how much; remove it.",
    "calibrate-machine": "Time a fixed set of small solver runs, so that seconds are predicted for this machine.",
    "bench": "Measure how fast predictions are on this machine, beside reference figures; under a minute.",
    "solvers": "List the solvers that can be run.",
    "config": "Print every setting and where it comes from: the environment's, and those of a training.",
}


@contextmanager
def _without_collection() -> Iterator[None]:
    """Within the block no garbage is looked for: modules make many objects, and all of them stay."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


class _Lazy(MutableMapping[str, Any]):
    """Commands by name; each is imported when it is looked up."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            if name not in COMMANDS:
                raise KeyError(name)
            with _without_collection():
                module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
            self._loaded[name] = typer.main.get_command(module.app)
            self._loaded[name].name = name
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _LazyGroup(Group):
    """The commands, listed without importing them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Lazy()

    def summaries(self) -> dict[str, str]:
        """Return command -> what it does."""
        return COMMANDS

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Complete the name of a command: by stand-ins, since none has to be imported for its name."""
        lazy, self.commands = self.commands, {n: TyperCommand(n, help=text) for n, text in COMMANDS.items()}
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self.commands = lazy


app = new_app(
    name="satcost",
    cls=_LazyGroup,
    add_completion=True,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="How long will this SAT instance take, and which solver should I run?",
    epilog="Environment variables such as SATCOST_CHECKPOINTS, and all other settings: `satcost config`.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from satcost_gnn import __version__

        typer.echo(f"satcost {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    color: Annotated[
        Color,
        typer.Option("--color", help="Colours: auto means on terminals, unless NO_COLOR is set. Before the command."),
    ] = Color.auto,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Warnings and errors only, no progress.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say what explains a result, too.")] = False,
    log_file: Annotated[Path | None, typer.Option(help="Append all messages to this file, with their times.")] = None,
) -> None:
    choose(color)
    from satcost_gnn.cli.messages import start_messages

    start_messages(quiet=quiet, verbose=verbose, log_file=log_file)


def main() -> None:
    """Run the command line; errors of ours become a message and exit code 2."""
    from satcost_gnn.cli.beginning import process_of_the_command
    from satcost_gnn.cli.cpu_limit import interrupted_before_cpu_limit
    from satcost_gnn.cli.standard_streams import with_standard_streams
    from satcost_gnn.runtime.helper_process import may_be_forked
    from satcost_gnn.runtime.threads import one_by_default

    # Torch's threads would wait for each other by spinning, which on a busy machine costs several times the work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    one_by_default()
    with process_of_the_command(), may_be_forked(), interrupted_before_cpu_limit() as interrupted:
        code = with_standard_streams(_run)
    if interrupted.is_set():
        # Taking an interpreter with torch in it down would cost more than is left.
        os._exit(code)
    sys.exit(code)


def _run() -> int:
    from satcost_gnn.errors import SatcostError

    try:
        app()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1 if ended.code else 0
    except SatcostError as error:
        _failed(str(error))
        return 2
    except KeyboardInterrupt:
        # Between the steps of a command, or in one that has nothing to keep.
        _failed("interrupted")
        return 130
    return 0


def _failed(text: str) -> None:
    from satcost_gnn.cli.messages import start_messages, started
    from satcost_gnn.runtime.logs import log

    if not started():
        start_messages()
    log.error(text)
