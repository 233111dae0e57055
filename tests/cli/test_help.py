"""The help of every command: complete, within the terminal, and with every default."""

import re

import pytest
from every_command import ALL
from typer.testing import CliRunner

from satcost_gnn.cli import COMMANDS, app
from satcost_gnn.cli.command import summary_of


def shown(name: str, flag: str, width: int) -> str:
    result = CliRunner().invoke(app, [*name.split(), flag], env={"COLUMNS": str(width)})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", ALL)
def test_every_option_and_every_default_is_shown(name: str) -> None:
    text = " ".join(shown(name, "--help", 80).split())
    for param in ALL[name].params:
        help_ = getattr(param, "help", None)
        assert help_ or getattr(param, "hidden", False), f"{name}: {param.opts}: no help; give typer.Option(help=...)"
        if param.name == "help" or getattr(param, "hidden", False):
            continue
        assert " ".join(help_.split()) in text, f"{name}: {param.opts}: {help_}"
        default = param.default
        if param.param_type_name == "option" and default not in (None, "", False, True, []) and not callable(default):
            assert re.search(rf"\[default: {re.escape(str(default))}[\];]", text), f"{name}: {param.opts}: {default}"


def test_defaults_that_are_told_in_words_are_shown() -> None:
    # Markup would take square brackets for tags and leave them out.
    assert "[default: the one shipped with the package]" in " ".join(shown("predict", "--help", 80).split())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("width", [80, 120])
def test_help_fits_the_terminal(name: str, width: int) -> None:
    assert max(map(len, shown(name, "--help", width).splitlines())) <= width


@pytest.mark.parametrize("name", ALL)
def test_short_flag_of_the_help(name: str) -> None:
    assert shown(name, "-h", 80) == shown(name, "--help", 80)


@pytest.mark.parametrize("name", COMMANDS)
def test_summary_in_the_list_is_that_of_the_command(name: str) -> None:
    assert summary_of(ALL[name].help).startswith(COMMANDS[name].rstrip("."))
