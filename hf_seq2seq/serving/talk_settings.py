"""Settings that can be changed while talking to a model, and what else follows from a change."""

from collections.abc import Mapping
from typing import Any

from hf_seq2seq.decoding.search_options import SAMPLING
from hf_seq2seq.errors import InputError, nearest, shorten
from hf_seq2seq.sections import build, canonical_names
from hf_seq2seq.serving.answer_options import ANSWER_OPTIONS, AnswerConfig

DEFAULT = "default"
BEAMS = ("num_beams", "num_beam_groups", "diversity_penalty", "coverage_penalty", "force_words", "early_stopping")
"""Settings that belong to beam search."""
NAMES = {alias: name for alias, name in canonical_names(AnswerConfig).items() if name in ANSWER_OPTIONS}


def setting_name(given: str) -> str:
    """The name of a setting.

    Raises:
        InputError: there is none of that name; names the nearest one.
    """
    name = given.strip("-").replace("-", "_")
    if name not in NAMES:
        close = nearest(name, NAMES) or "; /show settings lists them"
        raise InputError(f"{shorten(given)}: no such setting{close}")
    return NAMES[name]


def changed(values: Mapping[str, Any], given: str, text: str) -> dict[str, Any]:
    """The settings with a new value for one of them, and without those that it excludes.

    A temperature and other settings of sampling turn sampling on, and temperature 0 turns it off, as beams do.

    Args:
        values: the settings so far.
        given: its name.
        text: its value; "default" removes it.

    Raises:
        InputError: there is no such setting, or the value is invalid.
    """
    name, found = setting_name(given), dict(values)
    if text == DEFAULT:
        found.pop(name, None)
        return found if name != "do_sample" else _without(found, SAMPLING)
    if name == "temperature" and _is_zero(text):
        return _without(found, ("do_sample", *SAMPLING, *BEAMS)) | {"num_beams": 1}
    section = next(part for part in vars(build(AnswerConfig, {name: text})).values() if hasattr(part, name))
    value = found[name] = getattr(section, name)
    if name in SAMPLING or (name == "do_sample" and value):
        return _without(found, BEAMS) | {"do_sample": True}
    if name == "do_sample" or (name == "num_beams" and value > 1):
        return _without(found, ("do_sample", *SAMPLING))
    return found


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False


def _without(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def written(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return DEFAULT if value is None else str(value)
