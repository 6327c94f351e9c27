"""The command line as Typer sees it: its commands, their flags, their help, and what is wrong with a line."""

from importlib import import_module
from typing import Annotated, Any

import typer

from hf_seq2seq import __version__
from hf_seq2seq.cli.command_table import COMMANDS, module_of
from hf_seq2seq.cli.help_page import Group


class _Commands(Group):
    """Lists commands with only their name and help, and creates the one that is called."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] in COMMANDS:
            self.params = []  # there is no `--install-completion`, which would take Typer 50 milliseconds to check
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, stub, rest = super().resolve_command(ctx, args)
        if name is None:
            return name, stub, rest
        return name, import_module(module_of(name)).build_command(name, COMMANDS[name]), rest


app = typer.Typer(
    cls=_Commands,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
)
for _name, _help in COMMANDS.items():
    app.command(_name, help=_help)(lambda: None)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]


@app.callback(invoke_without_command=True)
def _root(context: typer.Context, version: Version = False) -> None:
    """Sequence-to-sequence learning on Hugging Face: one command from text pairs to a model that others can load."""
    if context.invoked_subcommand is None:
        print(context.get_help())
