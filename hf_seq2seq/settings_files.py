"""Files of settings: YAML of flat `key: value` lines with line numbers, and JSON objects."""

import difflib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from hf_seq2seq.errors import InputError, nearest

MOST_VALUES = 1_000_000
"""Values in a YAML file, with those that its aliases repeat."""
AS_WRITTEN: dict[str, Any] = {"sort_keys": False, "allow_unicode": True}


class Setting(NamedTuple):
    """A value of a YAML file and its line number, counted from 1."""

    value: Any
    line: int


def yaml_text(values: dict[str, Any]) -> str:
    """Values as YAML, in their order; written by libyaml where that spells every character as it is."""
    import yaml

    text: str = yaml.dump(values, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), **AS_WRITTEN)
    return text if "\\U" not in text else yaml.dump(values, Dumper=yaml.SafeDumper, **AS_WRITTEN)


def read_settings(path: str) -> dict[str, Setting]:
    """Reads a YAML file of flat `key: value` lines; the value of a `..._file` may be a mapping.

    Raises:
        InputError: there is no such file, it is not YAML or not flat, or a key occurs twice.
    """
    root = read_tree(path)
    return {} if root is None else _settings(path, root)


def read_sections(path: str) -> dict[str, dict[str, Setting]]:
    """Reads a YAML file of sections, each with flat `key: value` lines.

    Raises:
        InputError: as for `read_settings`, or there is a value in place of a section.
    """
    import yaml

    root = read_tree(path)
    sections: dict[str, dict[str, Setting]] = {}
    for key_node, value_node in [] if root is None else root.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in sections:
            raise InputError(f"{path}:{line}: {key!r} occurs twice")
        if not isinstance(value_node, yaml.MappingNode):
            raise InputError(f"{path}:{line}: {key!r} needs lines below it, such as '  train_file: train.tsv'")
        sections[key] = _settings(path, value_node)
    return sections


def read_tree(path: str) -> Any:
    """The mapping in a YAML file as a node of PyYAML, which knows its lines; None for an empty file.

    Raises:
        InputError: there is no such file, it is not YAML, or not a mapping.
    """
    import yaml

    with _explained(path):
        text = _found(path).read_text(encoding="utf-8")
    with explained_yaml(path):
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is not None and not isinstance(root, yaml.MappingNode):
        raise InputError(f"{path}:1: needs lines such as 'learning_rate: 3e-4'")
    return root


def ready_made() -> dict[str, Path]:
    """The packaged files of `recipes/configs/`, by name without suffix: `inflection`, `studies/scores`."""
    folder = Path(str(files("hf_seq2seq.recipes") / "configs"))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}


def _found(path: str) -> Path:
    """The file, or where there is none a packaged one: `inflection` is `recipes/configs/inflection.yaml`."""
    given = Path(path)
    if given.exists() and not given.is_dir():
        return given
    packaged, name = ready_made(), path.removeprefix("recipes/configs/").removesuffix(".yaml")
    if name not in packaged and path == given.stem:
        raise InputError(f"{path}: no such file, and none of this name is ready-made{nearest(name, packaged)}")
    return packaged.get(name, given)


@contextmanager
def _explained(path: str | Path) -> Iterator[None]:
    """Turns errors of reading a file into one line."""
    try:
        yield
    except OSError as error:
        hint = nearest_file(Path(path)) if isinstance(error, FileNotFoundError) else ""
        raise InputError(f"{path}: {error.strerror or error}{hint}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text, at byte {error.start}") from None


def nearest_file(path: Path) -> str:
    """Names the file with the most similar name beside one that is not there, or the folder that is missing."""
    if not path.parent.is_dir():
        return f"; there is no folder {str(path.parent)!r} either"
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f"; did you mean {str(path.with_name(close[0]))!r}?" if close else ""


@contextmanager
def explained_yaml(place: str | Path) -> Iterator[None]:
    """Turns PyYAML's errors about invalid text into one line that begins with the place.

    Raises:
        InputError: in place of PyYAML's errors.
    """
    import yaml

    try:
        yield
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{place}:{line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:  # such as an invalid date
        raise InputError(f"{place}: not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise InputError(f"{place}: nested too deep") from None


def check_size(value: Any, place: str) -> None:
    """Rejects YAML whose aliases stand for very many values, of which a message alone would fill the memory.

    Raises:
        InputError: there are more than `MOST_VALUES`, each counted as often as it is referred to.
    """
    waiting, count = [value], 0
    while waiting:
        item = waiting.pop()
        inner = [*item.values()] if isinstance(item, dict) else item if isinstance(item, list) else []
        waiting += inner
        count += len(inner)
        if count > MOST_VALUES:
            raise InputError(f"{place}: expands to more than {MOST_VALUES:,} values")


def read_yaml_object(path: str | Path) -> dict[str, Any]:
    """Reads a YAML file with a mapping, keeping its values unchanged.

    Raises:
        InputError: there is no such file, it is not YAML, or it is not a mapping.
    """
    import yaml

    with _explained(path):
        text = Path(path).read_text(encoding="utf-8")
    with explained_yaml(path):
        found = yaml.safe_load(text)
    check_size(found, str(path))
    if not isinstance(found, dict):
        raise InputError(f"{path}: needs lines such as 'learning_rate: 3e-4'")
    return found


def read_json_object(path: str | Path) -> dict[str, Any]:
    """Reads a JSON file with an object.

    Raises:
        InputError: there is no such file, it is not JSON, or it is not an object.
    """
    try:
        with _explained(path):
            found = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: not a JSON object")
    return found


def _settings(path: str, root: Any, inner: bool = False) -> dict[str, Setting]:
    import yaml

    settings: dict[str, Setting] = {}
    for key_node, value_node in root.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise InputError(f"{path}:{line}: a list or a section in place of a name")
        if key in settings:
            raise InputError(f"{path}:{line}: {key!r} is already on line {settings[key].line}")
        if isinstance(value_node, yaml.MappingNode) and key.endswith(("_file", "_args", "-args")) and not inner:
            named = _settings(path, value_node, inner=True)
            settings[key] = Setting({name: setting.value for name, setting in named.items()}, line)
        elif isinstance(value_node, yaml.MappingNode):
            raise InputError(
                f"{path}:{line}: {key!r} contains a section; write its options flat, 'learning_rate: 3e-4'"
            )
        else:
            settings[key] = Setting(_value(path, key, value_node), line)
    return settings


@cache
def _as_typed() -> Any:
    """A loader that gives as text what PyYAML, by YAML 1.1, takes for something else than it looks like.

    `source_lang: no` is Norwegian, `seed: 010` ten and not eight, `hub_revision: 1.10` a name and `1:30` no ninety.
    Options make numbers of text themselves.
    """
    import yaml

    class AsTyped(yaml.SafeLoader):
        pass

    def scalar(loader: Any, node: Any) -> Any:
        tag, text = node.tag.rpartition(":")[2], node.value.lower()
        if tag == "bool" and text in ("true", "false"):
            return text == "true"
        if tag == "int":
            number = loader.construct_yaml_int(node)
            return number if str(number) == text or text.lstrip("+-").startswith(("0x", "0b")) else node.value
        if tag == "float":
            number = loader.construct_yaml_float(node)
            return number if str(number) == text or text.lstrip("+-").startswith((".inf", ".nan")) else node.value
        return node.value

    for tag in ("bool", "int", "float", "timestamp"):
        AsTyped.add_constructor(f"tag:yaml.org,2002:{tag}", scalar)
    return AsTyped


def _value(path: str, key: str, node: Any) -> Any:
    import yaml

    line = node.start_mark.line + 1
    try:
        value = _as_typed()("").construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path}:{line}: {key!r} is not a plain value ({str(error).splitlines()[0]})") from None
    check_size(value, f"{path}:{line}: {key!r}")
    return value
