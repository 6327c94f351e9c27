"""Options as fields with limits, sections of options, and a recipe's configuration from flat values.

A value is validated when its section is created, whether it comes from the command line, YAML or Python.
"""

import dataclasses
import inspect
import math
import os
import types
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hf_seq2seq.errors import InputError, nearest, shorten
from hf_seq2seq.settings_files import Setting

C = TypeVar("C")
S = TypeVar("S", bound="Section")
LARGEST = 2**31 - 1
"""Maximum of integers whose option sets no other."""
LARGEST_SEED = 2**32 - 1
"""numpy's maximum seed."""
PATHS = ("_dir", "_file", "_path")
"""Suffixes of options that are paths, which must not be empty."""
MOST_LAYERS = 10_000
"""Maximum number of layers: ten times what has been trained, and few enough to be built."""
MOST_WEIGHT = 1e7
"""Maximum weight of a part of the loss: beside a larger one, a part of weight 1 is lost in float32's rounding."""
MANY = 2**63 - 1
"""Maximum of counts of rows, steps or tokens, for which people write a large number to mean "all"."""


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    aliases: tuple[str, ...] = (),
    needs: tuple[str, Any] | None = None,
) -> Any:
    """A field with its help text, allowed values and aliases.

    Args:
        default: its value where none is given.
        help: one sentence.
        choices: allowed values.
        at_least: the least number.
        above: a number that is too small.
        at_most: the largest number.
        aliases: other names.
        needs: an option of the same section, and the value without which this one has no effect; `...` for any value
            but that option's default.
    """
    limits = {"choices": choices, "at_least": at_least, "above": above, "at_most": at_most, "aliases": aliases}
    return field(default=default, metadata={"help": help, "needs": needs, **limits})


def flag(name: str) -> str:
    """The command-line spelling of a field: `learning_rate` is `--learning-rate`."""
    return "--" + name.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class Section:
    """A group of options; a value of the wrong type or outside its limits raises `InputError` immediately."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for item in dataclasses.fields(self):
            given = getattr(self, item.name)
            object.__setattr__(self, item.name, checked(item.name, given, hints[item.name], item.metadata))
        self._check_needs()

    def changed(self) -> dict[str, Any]:
        """The options that are not at their defaults, with their values."""
        values = {item.name: (getattr(self, item.name), item.default) for item in dataclasses.fields(self)}
        return {name: value for name, (value, default) in values.items() if value != default}

    def _check_needs(self) -> None:
        """Rejects options that have no effect beside the others."""
        changed = self.changed()
        for item in dataclasses.fields(self):
            if (needs := item.metadata.get("needs")) and item.name in changed:
                name, wanted = needs
                if (name not in changed) if wanted is ... else (getattr(self, name) != wanted):
                    value = f" {wanted}" if isinstance(wanted, str) else ""
                    raise InputError(f"{flag(item.name)} needs {flag(name)}{value}")


def checked(name: str, given: Any, hint: Any, limits: Mapping[str, Any]) -> Any:
    """The value of an option, converted to its type.

    Raises:
        InputError: it has the wrong type, or is outside its limits.
    """
    given = _joined(given) if name.endswith("_file") else _pairs(given) if name.endswith("_args") else given
    value = _typed(name, given, hint)
    _check_limits(name, value, limits)
    return value


def _joined(value: Any) -> Any:
    """A mapping of names to files as text: `{"a": "x", "b": ["y", "z"]}` is `a=x,b=y,z`."""
    if not isinstance(value, Mapping):
        return value
    lists = {name: item if isinstance(item, list | tuple) else [item] for name, item in value.items()}
    return ",".join(f"{name}={','.join(map(str, items))}" for name, items in lists.items())


def _pairs(value: Any) -> Any:
    """A mapping as a list of texts: `{"samples": 16}` is `["samples=16"]`."""
    return [f"{name}={item}" for name, item in value.items()] if isinstance(value, Mapping) else value


def _typed(name: str, value: Any, hint: Any) -> Any:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None:
        if type(None) in kinds:
            return None
        raise InputError(f"{flag(name)}: needs a value")
    kind = next(k for k in kinds if k is not type(None))
    if typing.get_origin(kind) is tuple:
        if value == "" and typing.get_args(kind)[0] in (int, float):
            raise InputError(f"{flag(name)}: needs a value")
        items = (value.split(",") if value else []) if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise InputError(f"{flag(name)}: {shorten(repr(value))} is not a list")
        return tuple(_typed(name, i.strip() if isinstance(i, str) else i, typing.get_args(kind)[0]) for i in items)
    return _scalar(name, value, kind)


def _scalar(name: str, value: Any, kind: type) -> Any:
    if isinstance(value, str | int) and not isinstance(value, bool) and kind in (int, float):
        with suppress(ValueError, OverflowError):
            value = kind(value)
    if kind is int and isinstance(value, str):
        with suppress(ValueError):  # 1e3 is a thousand
            value = int(float(value)) if float(value).is_integer() else value
    if kind is float and isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{flag(name)}: {value} is not a finite number")
    if type(value) is kind:
        _check_path(name, value)
        return value
    if isinstance(value, float) and kind is int and value.is_integer():
        return int(value)
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if kind is bool and str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    words = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
    raise InputError(f"{flag(name)}: {shorten(repr(value))} is not {words[kind]}")


def _check_path(name: str, value: Any) -> None:
    if name.endswith(PATHS) and value == "":
        raise InputError(f"{flag(name)}: needs a value")
    if isinstance(value, str) and ("\0" in value or not _can_be_written(value)):
        raise InputError(
            f"{flag(name)}: {shorten(repr(value))} contains a character that no file or column name can have"
        )


def _can_be_written(text: str) -> bool:
    """Whether a text can be the name of a file; a lone surrogate, which YAML can spell, cannot."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _check_limits(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    for item in value if isinstance(value, tuple) else (value,):
        if item is None:
            continue
        if limits.get("choices") and item not in limits["choices"]:
            raise InputError(
                f"{flag(name)}: unknown value {shorten(repr(item))}{nearest(str(item), limits['choices'])}"
            )
        if limits.get("at_least") is not None and not item >= limits["at_least"]:
            raise InputError(f"{flag(name)}: {shorten(str(item))} is too small; the minimum is {limits['at_least']}")
        if limits.get("above") is not None and not item > limits["above"]:
            raise InputError(f"{flag(name)}: {item} must be above {limits['above']}")
        most = limits.get("at_most")
        most = LARGEST if most is None and type(item) is int else most
        if most is not None and not item <= most:
            raise InputError(f"{flag(name)}: {shorten(str(item))} is too large; the maximum is {most}")


def section_of_pairs(section: type[S], pairs: Sequence[str], place: str) -> S:
    """A section from texts such as `samples=16`; `place` names the option in the error.

    Raises:
        InputError: the equals sign is missing, a name is given twice or unknown (names the nearest one), or a value is
            invalid.
    """
    known = [item.name for item in dataclasses.fields(section)]
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        name = name.replace("-", "_")
        if not equals or not name:
            raise InputError(f"{place}: {shorten(repr(pair))} is not NAME=VALUE")
        if name not in known:
            raise InputError(f"{place}: no option {shorten(repr(name))}{nearest(name, known)}")
        if name in values:
            raise InputError(f"{place}: {name} is given twice; give it once")
        values[name] = value
    try:
        return section(**values)
    except InputError as error:
        raise InputError(f"{place}: {str(error).removeprefix('--')}") from None


@dataclass(frozen=True)
class Choice:
    """A value that was derived for an option that was left open.

    Attributes:
        name: of the option.
        value: what it is set to.
        reason: what in the data decided it, for people.
        unless: other options that keep this one unchanged when given.
    """

    name: str
    value: Any
    reason: str
    unless: tuple[str, ...] = ()


def both_sides(**fields: int) -> dict[str, int]:
    """`layers=2` as `encoder_layers=2` and `decoder_layers=2`."""
    return {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in fields.items()}


def section_types(config_class: type) -> dict[str, Any]:
    """The sections of a recipe's `Config` and their classes: its own in order, then those shared by all recipes."""
    hints = typing.get_type_hints(config_class)
    own = inspect.get_annotations(config_class)
    names = [*own, *(name for name in hints if name not in own)]
    return {name: hints[name] for name in names if inspect.isclass(hints[name]) and issubclass(hints[name], Section)}


def options(config_class: type) -> dict[str, tuple[str, dataclasses.Field[Any]]]:
    """Every option of a recipe's `Config`, by its flat name: its section and field."""
    found = {}
    for section, section_class in section_types(config_class).items():
        for item in dataclasses.fields(section_class):
            found[item.name] = (section, item)
    return found


def canonical_names(config_class: type) -> dict[str, str]:
    """The name of every option by all its aliases, including its own name."""
    found: dict[str, str] = {}
    for name, (_, item) in options(config_class).items():
        found |= dict.fromkeys((name, *item.metadata.get("aliases", ())), name)
    return found


def build(config_class: type[C], values: Mapping[str, Any], origin: str = "configuration") -> C:
    """Builds a recipe's `Config` from flat values; `origin` names the file or command in the error.

    Raises:
        InputError: a key is unknown (names the nearest one), a value is invalid, or an option is given under two names.
    """
    known = options(config_class)
    names = {alias: name for name, (_, item) in known.items() for alias in item.metadata.get("aliases", ())}
    names |= {name: name for name in known}
    sections: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        name = names.get(key.replace("-", "_"))
        if name is None:
            raise InputError(f"{origin}: unknown option {key!r}{nearest(key.replace('-', '_'), names)}")
        section = sections.setdefault(known[name][0], {})
        if name in section:
            raise InputError(f"{origin}: {name!r} is given twice, once under another name; give only one of them")
        section[name] = value
    hints = section_types(config_class)
    found: dict[str, Any] = {section: hints[section](**sections.get(section, {})) for section in hints}
    if "given" in typing.get_type_hints(config_class):
        found["given"] = frozenset(name for section in sections.values() for name in section)
    return config_class(**found)


def build_from_lines(config_class: type[C], settings: Mapping[str, Setting], path: str) -> C:
    """`build` from the settings of a YAML file; the error names the first line that is invalid on its own.

    Raises:
        InputError: as for `build`.
    """
    try:
        return build(config_class, {key: setting.value for key, setting in settings.items()}, origin=path)
    except InputError:
        for key, (value, line) in settings.items():
            _build_line(config_class, key, value, f"{path}:{line}")
        raise


def _build_line(config_class: type[C], key: str, value: Any, place: str) -> None:
    try:
        build(config_class, {key: value}, origin=place)
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(place) else f"{place}: {message}") from None


def section_of(config: object, kind: type[S]) -> S | None:
    """The section of a given class in a recipe's `Config`; None if it has none."""
    return next((value for value in vars(config).values() if isinstance(value, kind)), None)


def flatten(config: object) -> dict[str, Any]:
    """The flat values of a `Config`, tuples as lists: what is written as YAML and read back by `build`."""
    flat: dict[str, Any] = {}
    for section in section_types(type(config)):
        for name, value in dataclasses.asdict(getattr(config, section)).items():
            flat[name] = list(value) if isinstance(value, tuple) else value
    return flat
