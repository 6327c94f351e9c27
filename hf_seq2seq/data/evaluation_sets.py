"""Named sets of rows to evaluate on: `english=en.tsv,italian=it.tsv` is two, each with its own figures.

Among the splits a set without a name is "validation" or "test", and a named one "test_english".
"""

import re
from collections.abc import Iterable
from pathlib import Path

from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag

RESULTS = {"validation": "eval", "test": "predict"}
"""How the results of each kind of set begin."""
_NAME = re.compile(r"([A-Za-z0-9][\w.-]*)=", re.ASCII)


def named_files(option: str, value: str) -> dict[str, str]:
    """The files of every set that an option names; a set that is not named has the name "".

    A name stands before the first of its files; files that follow without one line up with it. A path that exists is
    a path, whatever is in it.

    Args:
        option: the field that holds the value, for messages.
        value: `test.tsv`, `test.de,test.en`, `a=a.tsv,b=b.tsv` or `a=a.de,a.en,b=b.de,b.en`.

    Raises:
        InputError: a name without a file, a name that stands twice, or sets of which the first has no name.
    """
    if _is_path(value):
        return {"": value}
    sets: dict[str, list[str]] = {}
    name = ""
    for piece in (part.strip() for part in value.split(",")):
        named = None if _is_path(piece) else _NAME.match(piece)
        if named:
            name = named[1]
            if "" in sets:
                raise InputError(f"{flag(option)}: {sets[''][0]!r} has no name, but {name!r} is one; name every set")
            if name in sets:
                raise InputError(f"{flag(option)}: the name {name!r} stands twice; give each set its own")
            if not piece[named.end() :].strip():
                raise InputError(f"{flag(option)}: no file after {piece!r}; sets are NAME=FILE, such as english=en.tsv")
            piece = piece[named.end() :].strip()
        sets.setdefault(name, []).append(piece)
    return {name: ",".join(files) for name, files in sets.items()}


def _is_path(value: str) -> bool:
    """Whether a value is a path, or lies in a folder with an equals sign that exists: `lang=de/x.csv`."""
    path = Path(value).expanduser()
    return path.exists() or ("," not in value and "=" in str(path.parent) and path.parent.is_dir())


def kind_of(split: str) -> str:
    """What a split is for: "train", "validation" or "test"."""
    return split.split("_", 1)[0]


def split_of(kind: str, name: str) -> str:
    """The split of a set: "test", or "test_english" for one with a name."""
    return f"{kind}_{name}" if name else kind


def name_of(split: str) -> str:
    """The name of a set, "" where it has none."""
    return split.partition("_")[2]


def sets_of(splits: Iterable[str], kind: str) -> list[str]:
    """The splits of a kind, in their order."""
    return [split for split in splits if kind_of(split) == kind]


def title_of(split: str) -> str:
    """A split for people: "test english"."""
    return split.replace("_", " ", 1)
