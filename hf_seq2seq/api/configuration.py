"""A run's configuration: defaults, then the YAML file, then the flags; errors name the line or the flag."""

from collections.abc import Mapping
from typing import Any, TypeVar

from hf_seq2seq.sections import build, build_from_lines, canonical_names
from hf_seq2seq.settings_files import read_settings

C = TypeVar("C")


def resolve(config_class: type[C], flags: Mapping[str, Any], path: str | None = None) -> C:
    """Builds the configuration from a YAML file, if given, and the flags, which take precedence.

    The key `recipe` of the file is handled by the command and is skipped here.

    Raises:
        InputError: a key is unknown, a value is invalid, or an option is given under two names; names file and line, or
            the flag.
    """
    settings = read_settings(path) if path else {}
    settings = {key: setting for key, setting in settings.items() if key != "recipe"}
    build_from_lines(config_class, settings, str(path))
    names = canonical_names(config_class)
    merged = {names[key.replace("-", "_")]: setting.value for key, setting in settings.items()} | dict(flags)
    return build(config_class, merged, origin="command line")
