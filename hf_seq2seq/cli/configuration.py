"""A run's configuration: defaults, then the YAML file, then the flags; errors name the line or the flag."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hf_seq2seq.cli.options import canonical_names
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import build

C = TypeVar("C")


class Setting(NamedTuple):
    """A value of a YAML file and the line where it stands, counted from 1."""

    value: Any
    line: int


def read_settings(path: str) -> dict[str, Setting]:
    """Reads a YAML file of flat `key: value` lines.

    Raises:
        InputError: no such file, not YAML, not flat, or a key that stands twice.
    """
    import yaml

    try:
        root = yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text, at byte {error.start}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {str(error).splitlines()[0]}") from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{path}:1: needs lines such as 'learning_rate: 3e-4'")
    return _settings(path, root)


def _settings(path: str, root: Any) -> dict[str, Setting]:
    import yaml

    loader, settings = yaml.SafeLoader(""), dict[str, Setting]()
    for key_node, value_node in root.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if isinstance(value_node, yaml.MappingNode):
            raise InputError(f"{path}:{line}: {key!r} holds a section; write its options flat, 'learning_rate: 3e-4'")
        if key in settings:
            raise InputError(f"{path}:{line}: {key!r} stands already on line {settings[key].line}")
        try:
            word = value_node.tag.endswith(":bool") and value_node.value.lower() not in ("true", "false")
            # `source_lang: no` is Norwegian: YAML 1.2 has no other words for true and false, PyYAML has ten.
            value = value_node.value if word else loader.construct_object(value_node, deep=True)
            settings[key] = Setting(value, line)
        except (yaml.YAMLError, ValueError) as error:
            raise InputError(f"{path}:{line}: {key!r} is not a plain value ({str(error).splitlines()[0]})") from None
    return settings


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
