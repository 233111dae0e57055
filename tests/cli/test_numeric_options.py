"""Numbers on the command line that are none, not finite or out of range: wrong usage, before anything is done."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from every_command import ALL
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.cli.numbers import Number


def numeric_options() -> Iterator[tuple[str, str, Any]]:
    """Yield command, option and what reads its number, None if nothing of ours does."""
    for name, command in ALL.items():
        if command.callback is None:  # a group
            continue
        by_name = {param.name: param for param in command.params}
        for parameter in inspect.signature(command.callback).parameters.values():
            kind, *notes = get_args(parameter.annotation) or [parameter.annotation]
            kinds = {kind, *get_args(kind)}
            if kinds & {int, float}:
                yield name, by_name[parameter.name].opts[-1], notes[0].parser if notes else None


NUMERIC = list(numeric_options())


def usage(name: str, *more: str) -> tuple[int, str]:
    """Return exit code and output of a command with all that it requires, and more."""
    words = name.split()
    for param in ALL[name].params:
        if param.required and param.param_type_name == "argument":
            words.append("missing")
        elif param.required and param.opts[-1] not in more:
            words += [param.opts[-1], "1"]
    result = CliRunner().invoke(app, [*words, *more])
    return result.exit_code, " ".join(result.output.split())


def test_there_are_some() -> None:
    assert len(NUMERIC) > 30
    assert len({name for name, _, _ in NUMERIC}) >= 10


@pytest.mark.parametrize(("name", "option", "reader"), NUMERIC, ids=lambda value: str(value)[:24])
def test_wrong_numbers_are_wrong_usage(name: str, option: str, reader: Any) -> None:
    assert isinstance(reader, Number), f"{name} {option}: nothing checks its number"
    zero = reader.low > 0 or reader.above
    for value in ["nan", "-1", "inf", "-inf", "1e999", "much", *(["0"] if zero else [])]:
        code, text = usage(name, option, value)
        assert code == 2, f"{name} {option} {value}: exit code {code}: {text}"
        assert option in text and f"found {value}" in text.replace("'", "") and reader.expected in text, text


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [("collect", "--seeds", "0,-1"), ("collect", "--seeds", "0,x"), ("collect", "--solvers", ",")],
)
def test_lists_are_checked_too(name: str, option: str, value: str) -> None:
    code, text = usage(name, option, value)
    assert code == 2 and option in text and "expected" in text
