"""A run's configuration: defaults, then the YAML file, then the flags; errors name the line or the flag."""

from collections.abc import Mapping
from typing import Any, TypeVar

from hf_seq2seq.cli.options import canonical_names
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import build
from hf_seq2seq.settings_files import Setting, read_settings

C = TypeVar("C")


def resolve(config_class: type[C], flags: Mapping[str, Any], path: str | None = None) -> C:
    """Builds the configuration from a YAML file, if one is given, and the flags, which win.

    The key `recipe` of the file is the command's affair and is skipped here.

    Raises:
        InputError: an unknown key, a bad value, or one option given by two names; with file and line, or the flag.
    """
    settings = read_settings(path) if path else {}
    settings = {key: setting for key, setting in settings.items() if key != "recipe"}
    values = {key: setting.value for key, setting in settings.items()}
    try:
        build(config_class, values, origin=str(path))
    except InputError:
        _blame_line(config_class, settings, str(path))
        raise
    names = canonical_names(config_class)
    merged = {names[key.replace("-", "_")]: value for key, value in values.items()} | dict(flags)
    return build(config_class, merged, origin="command line")


def _blame_line(config_class: type, settings: Mapping[str, Setting], path: str) -> None:
    """Raises the error of the first line that is wrong by itself."""
    for key, (value, line) in settings.items():
        place = f"{path}:{line}"
        try:
            build(config_class, {key: value}, origin=place)
        except InputError as error:
            message = str(error)
            raise InputError(message if message.startswith(place) else f"{place}: {message}") from None
