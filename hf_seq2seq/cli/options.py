"""Words and flags of a command line: annotations, and conversion back to words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag, options

Values = dict[str, Any]
NO = "no_"


@dataclass(frozen=True)
class Argument:
    """What help says of a word that is no flag; it annotates the parameter that takes it."""

    help: str
    metavar: str


def given_values(typed: Mapping[str, Any], names: Mapping[str, str]) -> Values:
    """The values of the given flags: items of a list joined, `--no-bf16` as bf16: False."""
    values: Values = {}
    spelled: dict[str, str] = {}
    for given, value in typed.items():
        name = names.get(given) or names[given.removeprefix(NO)]
        if name in values:
            raise InputError(f"{flag(spelled[name])} and {flag(given)} exclude each other")
        spelled[name] = given
        values[name] = False if given not in names else ",".join(value) if isinstance(value, list | tuple) else value
    return values


def switches_of(config_class: type) -> set[str]:
    """The options whose flags have no value, such as `bf16`."""
    return {name for name, (_, item) in options(config_class).items() if isinstance(item.default, bool)}


def spell_out(args: Sequence[str], switches: set[str]) -> list[str]:
    """Rewrites `--bf16 True` and `--bf16=false`, as accepted by other training scripts, to `--bf16` and `--no-bf16`."""
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
    """Converts the values of `with_flags` back to a command line."""
    return [
        (flag(name) if value else "--no-" + flag(name)[2:]) if isinstance(value, bool) else f"{flag(name)}={value}"
        for name, value in values.items()
    ]
