"""What a setting is tried with: a few values, or a range; and the text of `--search` that says so.

learning_rate=1e-4..1e-2:log,dropout=0.1,0.2,0.3
"""

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_seq2seq.errors import InputError, nearest, shorten
from hf_seq2seq.sections import canonical_names, checked, flag, options, section_types

SCALES = ("linear", "log")
NONE = "none"
FIXED_SECTIONS = ("run", "hub", "data", "evaluation")
"""Where the run goes, and what it is measured on, by which trials are compared."""
FIXED = ("metric_for_best_model", "max_time", "max_cpu_time")
MAY_VARY = ("seed", "source_prefix", "deduplicate", "max_train_samples")
"""Of these sections, what may vary all the same."""


@dataclass(frozen=True)
class Choices:
    """Values to choose among.

    Attributes:
        options: by its name what each sets: `{"0.1": {"dropout": 0.1}}`.
    """

    options: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, name: str, values: Sequence[Any]) -> "Choices":
        """The choices of one setting; a value that stands twice counts once."""
        return cls({NONE if value is None else str(value): {name: value} for value in values})

    def __len__(self) -> int:
        """How many there are."""
        return len(self.options)

    @property
    def names(self) -> set[str]:
        """The settings that vary."""
        return {name for settings in self.options.values() for name in settings}

    def draw(self, trial: Any, key: str) -> dict[str, Any]:
        """What an Optuna trial chooses; `key` is its name for it."""
        chosen: str = trial.suggest_categorical(key, list(self.options))
        return self.options[chosen]

    def __str__(self) -> str:
        return ", ".join(self.options)

    def key_of(self, settings: Mapping[str, Any]) -> str | None:
        """The choice that settings agree with, if one does."""
        return next((key for key, found in self.options.items() if found.items() <= settings.items()), None)


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, which belong to it.

    Attributes:
        name: of the setting.
        low: the least.
        high: the most.
        log: whether equal ratios, rather than equal differences, are equally likely.
        whole: whether the numbers are whole.
    """

    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def names(self) -> set[str]:
        """The setting that varies."""
        return {self.name}

    def draw(self, trial: Any, key: str) -> dict[str, Any]:
        """What an Optuna trial suggests; with three significant digits, which suffice."""
        if self.whole:
            return {self.name: trial.suggest_int(key, int(self.low), int(self.high), log=self.log)}
        drawn = float(f"{trial.suggest_float(key, self.low, self.high, log=self.log):.3g}")
        return {self.name: min(max(drawn, self.low), self.high)}

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}" + ":log" * self.log

    def key_of(self, settings: Mapping[str, Any]) -> float | None:
        """The value of the setting, if it lies within the range."""
        value = settings.get(self.name)
        return value if isinstance(value, int | float) and self.low <= value <= self.high else None


Domain = Choices | Range


def parse_space(text: str, config_class: type) -> dict[str, Domain]:
    """Reads the text of `--search`.

    Args:
        text: `NAME=VALUE,VALUE` or `NAME=LOW..HIGH[:log]`, separated by commas.
        config_class: the recipe's, which knows the names, types and limits of its flags.

    Raises:
        InputError: an unknown flag (with the nearest known one), one that is named twice or cannot vary, an empty
            range, or a value that the flag cannot have.
    """
    space: dict[str, Domain] = {}
    for given, values in _items(text):
        name = _known(given, config_class)
        if name in space:
            raise InputError(f"--search: {flag(name)} is named twice; list all its values behind one =")
        space[name] = _domain(name, values, config_class)
    return space


def _items(text: str) -> list[tuple[str, list[str]]]:
    """Names and the texts of their values: a comma separates both."""
    items: list[tuple[str, list[str]]] = []
    for piece in text.split(","):
        name, equals, value = (part.strip() for part in piece.partition("="))
        if equals and name:
            items.append((name, [value]))
        elif items:
            items[-1][1].append(piece.strip())
        else:
            raise InputError(
                f"--search: {shorten(repr(piece.strip()))} is not NAME=VALUES, as in "
                "learning_rate=1e-4..1e-2:log,dropout=0.1,0.2"
            )
    for name, values in items:
        if "" in values:
            raise InputError(f"--search: {name}= lacks a value; it takes a list, as 1,2, or a range, as 1..2")
    return items


def _known(given: str, config_class: type) -> str:
    names = canonical_names(config_class)
    key = given.lstrip("-").replace("-", "_")
    if key not in names:
        raise InputError(f"--search: unknown flag {shorten(repr(flag(key)))}{nearest(flag(key), map(flag, names))}")
    name = names[key]
    section = options(config_class)[name][0]
    if (section in FIXED_SECTIONS and name not in MAY_VARY) or name in FIXED:
        raise InputError(
            f"--search: {flag(name)} is the same for every trial, which are compared by it; give it beside --search"
        )
    return name


def _domain(name: str, values: list[str], config_class: type) -> Domain:
    section, item = options(config_class)[name]
    hint = typing.get_type_hints(section_types(config_class)[section])[name]
    if len(values) == 1 and ".." in values[0]:
        return _range(name, values[0], hint, item)
    found = [_value(name, value, hint, item) for value in values]
    if twice := [text for number, text in enumerate(values) if found[number] in found[:number]]:
        raise InputError(f"--search: {name}: {twice[0]} is listed twice; list each value once")
    return Choices.of(name, found)


def _value(name: str, text: str, hint: Any, item: "dataclasses.Field[Any]") -> Any:
    choices = item.metadata.get("choices", ())
    if text.lower() == NONE and type(None) in typing.get_args(hint) and NONE not in choices:
        return None
    try:
        return checked(name, text, hint, item.metadata)
    except InputError as error:
        raise InputError(f"--search: {error}") from None


def _range(name: str, text: str, hint: Any, item: "dataclasses.Field[Any]") -> Range:
    ends, colon, scale = text.partition(":")
    if colon and scale not in SCALES:
        raise InputError(f"--search: {name}={text}: unknown scale {scale!r}{nearest(scale, SCALES)}")
    kinds = set(typing.get_args(hint)) or {hint}
    if not kinds & {int, float}:
        raise InputError(f"--search: {name}={text}: {flag(name)} takes no numbers; list its values, with commas")
    low, high = (_end(name, text, end, hint, item) for end in ends.split("..", 1))
    if low >= high:
        swapped = f"; did you mean {name}={ends.split('..', 1)[1]}..{ends.split('..', 1)[0]}?" if low > high else ""
        raise InputError(f"--search: {name}={text} is an empty range: {low:g} is not below {high:g}{swapped}")
    if scale == "log" and low <= 0:
        raise InputError(f"--search: {name}={text}: a range on a log scale starts above 0")
    return Range(name, low, high, scale == "log", int in kinds)


def _end(name: str, text: str, end: str, hint: Any, item: "dataclasses.Field[Any]") -> float:
    if not end.strip():
        raise InputError(f"--search: {name}={text}: a range has two ends, as in {name}=1..2")
    value = _value(name, end.strip(), hint, item)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(
            f"--search: {name}={text}: {end!r} is not a number; a range is LOW..HIGH, for rates LOW..HIGH:log"
        )
    return value
