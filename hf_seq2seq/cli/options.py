"""Dataclass fields become flags: every command's options are generated from `configs` sections."""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer

from hf_seq2seq.configs import flag, options
from hf_seq2seq.errors import InputError

Values = dict[str, Any]


def with_flags(function: Callable[..., None], config_class: type) -> Callable[..., None]:
    """Turns `function(..., values)` into a Typer command that has a flag for every option of `config_class`.

    The command takes what `function` takes, except `values`, and the flags. `values` receives the flags that were
    given on the command line, by field name, for `configs.build`; a list given in several pieces is joined.
    """
    lists = {name for name, item in options(config_class).items() if _is_list(config_class, *item)}

    def command(context: typer.Context, **given: Any) -> None:
        own = {name: given.pop(name) for name in list(given) if name in arguments}
        typed = {name: value for name, value in given.items() if _was_typed(context, name)}
        values = {name: ",".join(value) if name in lists else value for name, value in typed.items()}
        function(**own, values=values)

    signature = inspect.signature(function)
    arguments = {name: item for name, item in signature.parameters.items() if name != "values"}
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = [context, *(p.replace(kind=p.KEYWORD_ONLY) for p in arguments.values()), *_flags(config_class)]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = function.__doc__
    return command


def _was_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _is_list(config_class: type, section: str, item: dataclasses.Field[Any]) -> bool:
    section_class = typing.get_type_hints(config_class)[section]
    return typing.get_origin(typing.get_type_hints(section_class)[item.name]) is tuple


def _flags(config_class: type) -> list[inspect.Parameter]:
    sections = typing.get_type_hints(config_class)
    hints = {name: typing.get_type_hints(section) for name, section in sections.items()}
    return [
        _flag(name, item, hints[section][name], _panel(sections[section]))
        for name, (section, item) in options(config_class).items()
    ]


def _panel(section: type) -> str:
    """The heading of a section's flags: the first line of its docstring, up to a colon."""
    return (section.__doc__ or section.__name__).strip().splitlines()[0].split(":")[0].rstrip(".")


def _flag(name: str, item: dataclasses.Field[Any], hint: Any, panel: str) -> inspect.Parameter:
    """One flag; values stay text, because `configs` checks those of the command line and of YAML alike."""
    is_switch, is_list = hint is bool, typing.get_origin(hint) is tuple
    spellings = [flag(alias) for alias in (name, *item.metadata.get("aliases", ()))]
    if is_switch:
        spellings[0] += "/--no-" + name.replace("_", "-")
    choices = item.metadata.get("choices", ())
    default = item.default if is_switch or item.default is None else str(item.default)
    setting = typer.Option(
        list(item.default) if is_list else default,
        *spellings,
        help=plain(item.metadata.get("help", "")),
        metavar=None if is_switch else _metavar(hint, choices),
        autocompletion=(lambda: list(choices)) if choices else None,
        rich_help_panel=panel,
    )
    annotation: Any = bool if is_switch else list[str] | None if is_list else str | None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=setting, annotation=annotation)


def _metavar(hint: Any, choices: Sequence[str]) -> str:
    if choices:
        return "|".join(choices)
    kinds = typing.get_args(hint) or (hint,)
    return "INTEGER" if int in kinds else "NUMBER" if float in kinds else "TEXT"


def plain(text: str) -> str:
    """Help text in which square brackets are shown as they are, not read as colours."""
    return text.replace("[", "\\[")


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
