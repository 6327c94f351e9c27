"""Dataclass fields become flags: every command's options are generated from `configs` sections."""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer

from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import canonical_names, flag, options, section_types

Values = dict[str, Any]
NO = "no_"


def with_flags(function: Callable[..., None], config_class: type) -> Callable[..., None]:
    """Turns `function(..., values)` into a Typer command that has a flag for every option of `config_class`.

    The command takes what `function` takes, except `values`, and the flags. `values` receives the flags that were
    given on the command line, by field name, for `build`.
    """

    def command(context: typer.Context, **given: Any) -> None:
        own = {name: given.pop(name) for name in list(given) if name in arguments}
        typed = {name: value for name, value in given.items() if _was_typed(context, name)}
        function(**own, values=_values(typed, names))

    names = canonical_names(config_class)

    signature = inspect.signature(function)
    arguments = {name: item for name, item in signature.parameters.items() if name != "values"}
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = [context, *(p.replace(kind=p.KEYWORD_ONLY) for p in arguments.values()), *_flags(config_class)]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = function.__doc__
    return command


def _values(typed: Mapping[str, Any], names: Mapping[str, str]) -> Values:
    """The values of the flags that were typed: a list's pieces joined, `--no-bf16` as bf16: False."""
    values: Values = {}
    spelled: dict[str, str] = {}
    for given, value in typed.items():
        name = names.get(given) or names[given.removeprefix(NO)]
        if name in values:
            raise InputError(f"{flag(spelled[name])} and {flag(given)} exclude each other")
        spelled[name] = given
        values[name] = False if given not in names else ",".join(value) if isinstance(value, list | tuple) else value
    return values


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
    """A flag with a value, which stays text, because `configs` checks values of the command line and of YAML alike."""
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
    """A flag without a value, and its negative, which the help names only where it changes something."""
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
    """`[adamw|adafactor]`; of a list, any number of them: `[score|tokens],…`."""
    return f"[{'|'.join(choices)}]" + ",…" * is_list


def _metavar(hint: Any) -> str:
    kinds = typing.get_args(hint) or (hint,)
    return "INTEGER" if int in kinds else "NUMBER" if float in kinds else "TEXT"


def switches(config_class: type) -> set[str]:
    """The flags that stand without a value, such as `--bf16`."""
    return {flag(name) for name, (_, item) in options(config_class).items() if isinstance(item.default, bool)}


def spell_out(args: Sequence[str], switches: set[str]) -> list[str]:
    """Rewrites `--bf16 True` and `--bf16=false`, as other training scripts take them, to `--bf16` and `--no-bf16`."""
    rest, spelled = list(args), []
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        known = name.replace("_", "-") in switches
        if known and not equals and rest and rest[0].lower() in ("true", "false"):
            value = rest.pop(0)
        elif not known or not equals:
            spelled.append(name + equals + value)
            continue
        if value.lower() not in ("true", "false"):
            raise InputError(f"{name}: {value!r} is not true or false")
        spelled.append(name if value.lower() == "true" else "--no-" + name[2:])
    return spelled


def as_arguments(values: Mapping[str, Any]) -> list[str]:
    """Writes the values of `with_flags` as a command line again."""
    return [
        (flag(name) if value else "--no-" + flag(name)[2:]) if isinstance(value, bool) else f"{flag(name)}={value}"
        for name, value in values.items()
    ]
