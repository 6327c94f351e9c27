"""Named evaluation sets: `english=en.tsv,italian=it.tsv` is two, each with its own scores.

As splits, an unnamed set is "validation" or "test", and a named one "test_english".
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import chain
from pathlib import Path
from typing import Any

from hf_seq2seq.configs import Sources
from hf_seq2seq.data.files.patterns import is_saved, shards
from hf_seq2seq.data.files.text_files import check_file
from hf_seq2seq.data.samples import resolve_sample
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag

RESULTS = {"validation": "eval", "test": "predict"}
"""The prefix of the results of each kind of set."""
_NAME = re.compile(r"([A-Za-z0-9][\w.-]*)=", re.ASCII)


def named_files(option: str, value: str) -> dict[str, str]:
    """The files of every set in an option; an unnamed set has the name "".

    A name precedes the first of its files; following files without a name are parallel to it. An existing path is a
    path, whatever it contains.

    Args:
        option: the field of the value, for messages.
        value: `test.tsv`, `test.de,test.en`, `a=a.tsv,b=b.tsv` or `a=a.de,a.en,b=b.de,b.en`.

    Raises:
        InputError: a name has no file, a name occurs twice, or the first of several sets has no name.
    """
    if _is_path(value):
        return {"": value}
    sets: dict[str, list[str]] = {}
    name = ""
    for piece in (part.strip() for part in value.split(",")):
        if value and not piece:
            raise InputError(f"{flag(option)}: {value!r} has an empty name of a file")
        named = None if _is_path(piece) else _NAME.match(piece)
        if named:
            name = named[1]
            if "" in sets:
                raise InputError(f"{flag(option)}: {sets[''][0]!r} has no name, but {name!r} does; name every set")
            if name in sets:
                raise InputError(f"{flag(option)}: the name {name!r} occurs twice; give each set its own")
            if not piece[named.end() :].strip():
                raise InputError(f"{flag(option)}: no file after {piece!r}; sets are NAME=FILE, such as english=en.tsv")
            piece = piece[named.end() :].strip()
        sets.setdefault(name, []).append(piece)
    return {name: ",".join(files) for name, files in sets.items()}


def check_files(sources: Sources | None) -> None:
    """Rejects files that are not there, before the libraries that read their rows are imported.

    Raises:
        InputError: names the file and the nearest one.
    """
    for path in data_files(sources):
        check_file(path)


def data_files(sources: Sources | None) -> Iterator[Path]:
    """The files of training, validation and test rows, as far as they are no saved data sets."""
    languages = getattr(sources, "source_lang", None), getattr(sources, "target_lang", None)
    for option in ("train_file", "validation_file", "test_file"):
        for files in map(resolve_sample, named_files(option, getattr(sources, option, None) or "").values()):
            if files and not is_saved(Path(files).expanduser()):
                yield from chain.from_iterable(shards(files, languages))


def files_of(option: str, value: str, name: str) -> str:
    """The files of a set; of a set of one direction, `english_de-en` or `de-en`, those that its rows are from."""
    sets = named_files(option, value)
    fitting = [known for known in sets if name == known or name.startswith(f"{known}_" if known else "")]
    return sets[max(fitting, key=len)] if fitting else value


def learned_by_heart(options: Mapping[str, Any]) -> list[str]:
    """Sentences about evaluation sets whose file is that of the training rows.

    Args:
        options: the options that name files; others do not matter.
    """
    train = options.get("train_file")
    files = {name: options.get(name) for name in ("validation_file", "test_file")}
    same = [name for name, value in files.items() if train and value and _is_among(train, named_files(name, value))]
    return [f"{flag(name)}: is the --train-file, too; scores on it say nothing of new rows" for name in same]


def _is_among(file: str, sets: Mapping[str, str]) -> bool:
    whole = Path(file).expanduser().resolve()
    return any(value == file or Path(value).expanduser().resolve() == whole for value in sets.values())


def _is_path(value: str) -> bool:
    """Whether a value is a path, or is in an existing folder with an equals sign in its name: `lang=de/x.csv`."""
    path = Path(value).expanduser()
    return path.exists() or ("," not in value and "=" in str(path.parent) and path.parent.is_dir())


def kind_of(split: str) -> str:
    """The kind of a split: "train", "validation" or "test"."""
    return split.split("_", 1)[0]


def split_of(kind: str, name: str) -> str:
    """The split of a set: "test", or "test_english" for a named one."""
    return f"{kind}_{name}" if name else kind


def name_of(split: str) -> str:
    """The name of a set, "" if it has none."""
    return split.partition("_")[2]


def sets_of(splits: Iterable[str], kind: str) -> list[str]:
    """The splits of a kind, in order."""
    return [split for split in splits if kind_of(split) == kind]


def rows_of(splits: Mapping[str, Sized], kind: str) -> int:
    """Rows of all splits of a kind."""
    return sum(len(splits[split]) for split in sets_of(splits, kind))


def title_of(split: str) -> str:
    """Display name of a split: "test english"."""
    return split.replace("_", " ", 1)
