"""The grid of an ablation: combinations of settings, of training and of decoding, and the seeds of each."""

import hashlib
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import canonical_names, flag
from hf_seq2seq.tuning.domains import NONE, Choices, Domain, parse_space

Settings = dict[str, Any]
OF_RUNS = ("seed", "per_device_eval_batch_size")
"""Flags of the search that mean a run's where they vary."""


@dataclass(frozen=True)
class DecodingOptions:
    """The settings of the search, which vary without training."""

    decoding: Search = field(default_factory=Search)


@dataclass(frozen=True)
class Grid:
    """What varies.

    Attributes:
        training: the choices of each setting that needs a training run.
        decoding: those of each setting of the search.
        seeds: of every combination.
    """

    training: dict[str, Choices]
    decoding: dict[str, Choices]
    seeds: tuple[int, ...]

    @property
    def choices(self) -> dict[str, Choices]:
        """What varies, of training and of decoding."""
        return self.training | self.decoding

    @property
    def runs(self) -> int:
        """How many runs are trained."""
        return math.prod(map(len, self.training.values())) * len(self.seeds)

    def __str__(self) -> str:
        """The number of runs and where it comes from: `12 runs: attention none|dot × 2 seeds`."""
        parts = [f"{name} {'|'.join(found.options)}" for name, found in self.training.items()]
        parts += [f"{len(self.seeds)} seeds"] if len(self.seeds) > 1 else []
        without = [f"{name} {'|'.join(found.options)}" for name, found in self.decoding.items()]
        more = f"; each decoded with {' × '.join(without)}" if without else ""
        return f"{self.runs:,} run{'s' * (self.runs > 1)}: {' × '.join(parts) or 'the base'}{more}"


def combinations(choices: Mapping[str, Choices]) -> Iterator[Settings]:
    """Every combination of some choices; one without settings where nothing varies."""
    for found in itertools.product(*(each.options.values() for each in choices.values())):
        yield {name: value for settings in found for name, value in settings.items()}


def parse_grid(texts: Sequence[str], config_class: type, seeds: Sequence[int], most: int) -> Grid:
    """Reads the texts of `--vary`.

    Args:
        texts: `NAME=VALUE` and further values of the same name, in pieces as a list of flags has them.
        config_class: of the recipe.
        seeds: of every combination.
        most: runs.

    Raises:
        InputError: nothing varies, an unknown flag, an empty list, or too many runs.
    """
    search = canonical_names(DecodingOptions)
    spaces: tuple[dict[str, Choices], dict[str, Choices]] = {}, {}
    for text in _items(texts):
        given = text.partition("=")[0].strip().lstrip("-").replace("-", "_")
        decoding = given in search and given not in OF_RUNS
        for name, domain in _parsed(text, DecodingOptions if decoding else config_class).items():
            if name in spaces[0] or name in spaces[1]:
                raise InputError(f"--vary: {flag(name)} is named twice; list all its values behind one =")
            if not isinstance(domain, Choices):
                raise InputError(f"--vary: {name}={domain} is a range; list the values, as in {name}=1,2")
            spaces[decoding][name] = domain
    if "seed" in spaces[0] and len(seeds) > 1:
        raise InputError("--vary: --seed varies, and so it does by --seeds; leave one of them out")
    grid = Grid(*spaces, tuple(seeds))
    if math.prod(map(len, grid.choices.values())) < 2:
        only = ", ".join(f"{name} is only {'|'.join(found.options)}" for name, found in grid.choices.items())
        raise InputError(
            f"--vary: nothing varies{f': {only}' if only else ''}; give a flag and two values or more, as in "
            "attention=none,dot"
        )
    if grid.runs > most:
        raise InputError(f"--vary: {grid}; that is more than --max-runs {most:,}: vary less, or raise it")
    return grid


def _items(texts: Sequence[str]) -> list[str]:
    """`NAME=VALUE,VALUE`, one per name; a value that is no `NAME=` belongs to the name before."""
    items: list[str] = []
    for text in texts:
        if "=" in text or not items:
            items.append(text)
        else:
            items[-1] += f",{text}"
    return items


def _parsed(text: str, config_class: type) -> dict[str, Domain]:
    try:
        return parse_space(text, config_class)
    except InputError as error:
        said = str(error).replace("give it beside --search", "give it in the file of -c")
        said = said.replace(", or a range, as 1..2", "").replace(
            "learning_rate=1e-4..1e-2:log,dropout=0.1,0.2", "attention=none,dot"
        )
        raise InputError(said.replace("--search", "--vary").replace("for every trial", "for every run")) from None


def describe(settings: Mapping[str, Any]) -> str:
    """The name of a combination: `attention=none, encoder_layers=2`."""
    return ", ".join(f"{name}={shown_value(value)}" for name, value in settings.items()) or "base"


def folder_name(settings: Mapping[str, Any]) -> str:
    """The name of a combination's folder: `attention-none_encoder_layers-2`.

    One that had to be changed or cut, as others may be to the same, ends in a digest of all.
    """
    whole = "_".join(f"{name}-{shown_value(value)}" for name, value in settings.items())
    name = re.sub(r"[^\w.+-]+", "-", whole)[:130]
    return f"{name}-{hashlib.blake2b(whole.encode(), digest_size=6).hexdigest()}" if name != whole else name or "base"


def shown_value(value: Any) -> str:
    """A value as `--vary` reads it."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
