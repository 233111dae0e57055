"""A command of ``satcost``: its options, declared once as the fields of a record, and the function that takes them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from copy import copy
from typing import Annotated, Any, Optional, TypeVar, get_args, get_origin, get_type_hints

import typer
import typer.core

from satcost_gnn.cli.numbers import Commas
from satcost_gnn.runtime.logs import log

Options = TypeVar("Options")


class Command(typer.core.TyperCommand):
    """A command that still takes options under their old names, with a warning that names the new one."""

    renamed: Mapping[str, str] = {}
    #: Old name -> new one, of options that took a value under a name that is a flag now.
    renamed_with_value: Mapping[str, str] = {}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, old names replaced."""
        args = [self._renewed(word) for word in args]
        for old, new in self.renamed_with_value.items():
            changed = _with_value(args, old, new)
            if changed is None:
                continue
            try:
                rest = super().parse_args(ctx, changed)
            except typer.BadParameter:
                # It was meant as the flag that it is now.
                ctx.params.clear()
                continue
            if self._lacks_input(ctx):
                ctx.params.clear()
                continue
            self._warn(old, new)
            return rest
        return super().parse_args(ctx, args)

    def _lacks_input(self, ctx: Any) -> bool:
        """Whether no input is left: the old name was always given beside one, so that its value was the input."""
        first = next((param.name for param in self.params if param.param_type_name == "argument"), None)
        # By its name: Typer has a copy of Click's enumeration.
        return first is not None and ctx.get_parameter_source(first).name == "DEFAULT"

    def _renewed(self, word: str) -> str:
        name, equals, value = word.partition("=")
        new = self.renamed.get(name)
        if new is None:
            return word
        self._warn(name, new)
        return new + equals + value

    def _warn(self, old: str, new: str) -> None:
        log.warning(f"{old} is now called {new}; the old name will go")


def _with_value(args: list[str], old: str, new: str) -> list[str] | None:
    """Return the arguments with an old option and its value under the new name; None if it is not there with one."""
    for k, word in enumerate(args):
        if word.startswith(old + "="):
            return [*args[:k], new + word[len(old) :], *args[k + 1 :]]
        if word == old and k + 1 < len(args) and not args[k + 1].startswith("-"):
            return [*args[:k], new, *args[k + 1 :]]
    return None


class Group(typer.core.TyperGroup):
    """Commands, each listed with the whole first sentence of its help."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands with what they do."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries().items()))

    def summaries(self) -> dict[str, str]:
        """Return command -> what it does."""
        return {name: summary_of(command.help or "") for name, command in self.commands.items()}


def summary_of(text: str) -> str:
    """Return the first paragraph of a help text on one line."""
    return " ".join(text.split("\n\n")[0].split())


def new_app(**settings: Any) -> typer.Typer:
    """Return an application whose help is plain text, square brackets included, and fits the terminal."""
    settings = {"cls": Group, "add_completion": False, **settings}
    return typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, **settings)


def signature_of(options: type[Any]) -> inspect.Signature:
    """Return the signature that Typer reads the options from: a parameter for each field of the record."""
    hints = get_type_hints(options, include_extras=True)
    parameters = []
    for field in dataclasses.fields(options):
        hint, default = hints[field.name], field.default
        if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if get_origin(hint) is Annotated:
            kind, *notes = get_args(hint)
            commas = next((note for note in notes if isinstance(note, Commas)), None)
            option = next(note for note in notes if not isinstance(note, Commas))
            if commas is not None:
                kind = Optional[str] if default is None else str  # noqa: UP045
                option = copy(option)
                option.parser = commas
                default = ",".join(map(str, default)) if isinstance(default, list) else default
            hint = Annotated[kind, option]
        empty = inspect.Parameter.empty if default is dataclasses.MISSING else default
        parameters.append(inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=empty, annotation=hint))
    return inspect.Signature(parameters)


def add_command(
    app: typer.Typer,
    name: str,
    options: type[Options],
    run: Callable[[Options], int],
    renamed: Mapping[str, str] | None = None,
    renamed_with_value: Mapping[str, str] | None = None,
) -> None:
    """Add a command to an application.

    Parameters
    ----------
    options
        Dataclass whose fields are annotated as Typer's parameters are; one that is also annotated with
        :class:`~satcost_gnn.cli.numbers.Commas` is a text with commas on the command line and a list in the record.
    run
        Takes the record and returns the exit code; its docstring is the command's help.
    renamed
        Old names of options and their new ones.
    renamed_with_value
        The same of options that took a value under a name that is a flag now.
    """

    def call(**values: Any) -> None:
        raise typer.Exit(run(options(**values)))

    call.__signature__ = signature_of(options)  # type: ignore[attr-defined]
    call.__annotations__ = {field: one.annotation for field, one in signature_of(options).parameters.items()}
    call.__doc__ = run.__doc__
    old = {"renamed": dict(renamed or {}), "renamed_with_value": dict(renamed_with_value or {})}
    app.command(name, cls=type("Command", (Command,), old))(call)


def command_app(
    name: str,
    options: type[Options],
    run: Callable[[Options], int],
    renamed: Mapping[str, str] | None = None,
    renamed_with_value: Mapping[str, str] | None = None,
) -> typer.Typer:
    """Return an application of one command; see :func:`add_command`."""
    app = new_app()
    add_command(app, name, options, run, renamed, renamed_with_value)
    return app
