"""Generates Typer flags for every command from the fields of configuration sections."""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from hf_seq2seq.cli.options import NO, Argument, given_values
from hf_seq2seq.sections import canonical_names, flag, options, section_types


def with_flags(function: Callable[..., None], config_class: type) -> Callable[..., None]:
    """Turns `function(..., values)` into a Typer command with a flag for every option of `config_class`.

    The command has the parameters of `function`, except `values`, and the flags. `values` receives the flags given on
    the command line, by field name, for `build`.
    """

    def command(context: typer.Context, **given: Any) -> None:
        own = {name: given.pop(name) for name in list(given) if name in arguments}
        typed = {name: value for name, value in given.items() if _was_typed(context, name)}
        function(**own, values=given_values(typed, names))

    names = canonical_names(config_class)

    signature = inspect.signature(function)
    arguments = {name: item for name, item in signature.parameters.items() if name != "values"}
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = [context, *map(_word, arguments.values()), *_flags(config_class)]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = function.__doc__
    return command


def _word(parameter: inspect.Parameter) -> inspect.Parameter:
    """A parameter with Typer's annotation; `Argument` has its help."""
    kind, *about = typing.get_args(parameter.annotation)
    found = parameter.replace(kind=parameter.KEYWORD_ONLY)
    if not about or not isinstance(about[0], Argument):
        return found
    shown = typer.Argument(metavar=about[0].metavar, help=about[0].help)
    return found.replace(annotation=Annotated[kind, shown])


def _was_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _flags(config_class: type) -> list[inspect.Parameter]:
    sections = section_types(config_class)
    hints = {name: typing.get_type_hints(section) for name, section in sections.items()}
    found = []
    for name, (section, item) in options(config_class).items():
        hint, panel = hints[section][name], _panel(sections[section])
        found += _switch(name, item, panel) if hint is bool else _flag(name, item, hint, panel)
    return found


def _panel(section: type) -> str:
    """The heading of a section's flags: the first line of its docstring, up to a colon."""
    return (section.__doc__ or section.__name__).strip().splitlines()[0].split(":")[0].rstrip(".")


def _flag(name: str, item: dataclasses.Field[Any], hint: Any, panel: str) -> list[inspect.Parameter]:
    """A flag with a value, kept as text, because sections validate values from both the command line and YAML."""
    is_list = typing.get_origin(hint) is tuple
    choices = item.metadata.get("choices", ())
    aliases = item.metadata.get("aliases", ())
    help = [item.metadata["help"]]
    help += [f"Also {', '.join(map(flag, aliases))}."] if aliases else []
    default: Any = item.default
    shown = typer.Option(
        list(default) if is_list else None if default is None else str(default),
        flag(name),
        help=" ".join(filter(None, help)),
        metavar=_choices(choices, is_list) if choices else _metavar(hint),
        autocompletion=(lambda: list(choices)) if choices else None,
        rich_help_panel=panel,
    )
    kind: Any = list[str] | None if is_list else str | None
    return [_parameter(name, kind, shown), *(_parameter(a, kind, _hidden(None, a)) for a in aliases)]


def _switch(name: str, item: dataclasses.Field[Any], panel: str) -> list[inspect.Parameter]:
    """A flag without a value, and its negation, which the help names only if it has an effect."""
    negative = NO + name
    help = item.metadata["help"] + (f" On unless {flag(negative)}." if item.default else "")
    aliases = item.metadata.get("aliases", ())
    help += f" Also {', '.join(map(flag, aliases))}." if aliases else ""
    shown = typer.Option(False, flag(name), help=help, show_default=False, metavar="", rich_help_panel=panel)
    others = (negative, *aliases)
    return [_parameter(name, bool, shown), *(_parameter(o, bool, _hidden(False, o)) for o in others)]


def _hidden(default: Any, name: str) -> Any:
    return typer.Option(default, flag(name), hidden=True)


def _parameter(name: str, annotation: Any, option: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=annotation)


def _choices(choices: Sequence[str], is_list: bool) -> str:
    """`[adamw|adafactor]`; for a list, any number of them: `[score|tokens],…`."""
    return f"[{'|'.join(choices)}]" + ",…" * is_list


def _metavar(hint: Any) -> str:
    kinds = typing.get_args(hint) or (hint,)
    return "INTEGER" if int in kinds else "NUMBER" if float in kinds else "TEXT"
