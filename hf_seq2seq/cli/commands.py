"""Creates commands and groups of commands from functions, each on demand."""

import re
from collections.abc import Callable
from typing import Any

import typer
from typer.main import get_command

from hf_seq2seq.cli.help_page import Command, Group

Function = Callable[..., None]


def make_command(name: str, function: Function, help: str, kind: type[Command] = Command) -> Any:
    """A command that calls a function with Typer annotations."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=kind, help=_with_lines(help))(function)
    return get_command(app)


def _with_lines(help: str) -> str:
    """Help that preserves the lines of indented paragraphs, which are commands to copy."""
    return re.sub(r"\n\n(?= )", "\n\n\b\n", help)


def _show_help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def make_group(
    name: str, help: str, functions: dict[str, Function], kind: type[Group] = Group, usage: str = "COMMAND [ARGS]..."
) -> Any:
    """A group of commands, by name; a command's help is its function's docstring."""
    app = typer.Typer(
        name=name,
        cls=kind,
        help=help,
        callback=_show_help if functions else lambda: None,
        invoke_without_command=bool(functions),
        subcommand_metavar=usage,
        add_completion=False,
        rich_markup_mode=None,
    )
    for each, function in functions.items():
        app.command(each)(function)
    return get_command(app)
