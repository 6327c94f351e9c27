"""Rows that are kept in several files: named by a pattern, by their folder, or one after the other."""

import glob
import re
from collections import Counter
from difflib import get_close_matches
from pathlib import Path

from hf_seq2seq.data.files.forms import FORMS, named_form
from hf_seq2seq.data.files.lines import rejoined, split_paths
from hf_seq2seq.errors import InputError

Paths = tuple[Path, ...]
WILDCARD = re.compile(r"\*|\?|\[[^]]+\]")
SPLITS = {"train": "train", "training": "train", "test": "test"} | dict.fromkeys(
    ("validation", "valid", "val", "dev"), "validation"
)
"""Words of files' names that name a split."""
SAVED = ("state.json", "dataset_dict.json")
"""Files that mark a folder that `save_to_disk` wrote."""


def is_saved(folder: Path) -> bool:
    """Whether the `datasets` library's `save_to_disk` wrote a folder."""
    return any((folder / marker).exists() for marker in SAVED)


def shards(value: str, languages: tuple[str | None, ...] = ()) -> tuple[Paths, ...]:
    """The files named by an option, in the order of their rows; each as of `split_paths`: one, or parallel ones.

    Args:
        value: what `split_paths` reads; or a folder or a pattern such as 'data/*.tsv', whose files are in the order of
            their names; or tables joined by commas. Patterns joined by commas, such as '*.de,*.en', are parallel.
        languages: suffixes to try with a stem, source first.

    Raises:
        InputError: a pattern or a folder has no files, parallel patterns do not match alike, or a folder has files of
            several splits.
    """
    path = Path(value).expanduser()
    if path.is_file() or not (path.is_dir() or "," in value or WILDCARD.search(value)):
        return (split_paths(value, languages),)
    parts = (value,) if path.is_dir() else rejoined(value.split(","))
    if not parts:
        raise InputError(f"{value!r}: names no file")
    found = [_files(part) for part in parts]
    if len(parts) == 1 or all(_is_table(file) for files in found for file in files):
        return tuple((file,) for files in found for file in files)
    for part, files in zip(parts, found, strict=True):
        if len(files) != len(found[0]):
            detail = f"{parts[0]!r} matches {len(found[0])}, {part!r} matches {len(files)}"
            raise InputError(f"{value}: parallel patterns need the same number of files: {detail}")
        for file, first in zip(files, found[0], strict=True):
            if _matched(part, file) != _matched(parts[0], first) and WILDCARD.search(part):
                raise InputError(f"{value}: parallel patterns must match alike; {first} is not parallel to {file}")
    return tuple(zip(*found, strict=True))


def existing(value: str) -> Paths:
    """The files of an option, or the folder it names; empty if one of them is not there."""
    path = Path(value).expanduser()
    if value and path.is_dir():
        return (path,)
    try:
        files = tuple(file for paths in shards(value) for file in paths) if value else ()
    except InputError:
        return ()
    return files if all(file.exists() for file in files) else ()


def _files(part: str) -> Paths:
    path = Path(part).expanduser()
    if path.is_dir():
        return _of_folder(path)
    if path.exists() or not WILDCARD.search(part):
        return (path,)
    # Not `Path.glob`, which finds hidden files.
    found = [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207
    if files := tuple(sorted(file for file in found if not file.is_dir())):
        return files
    raise InputError(f"{part}: no file matches{_nearest(path)}")


def _nearest(pattern: Path) -> str:
    """The file whose name is most like a pattern, in its folder."""
    if WILDCARD.search(str(pattern.parent)):
        return ""
    if not pattern.parent.is_dir():
        return f"; there is no folder {str(pattern.parent)!r}"
    names = sorted(entry.name for entry in pattern.parent.iterdir() if entry.is_file())
    close = get_close_matches(pattern.name, names, n=1, cutoff=0)
    return f"; the nearest name is {str(pattern.with_name(close[0]))!r}" if close else "; the folder has no files"


def _of_folder(folder: Path) -> Paths:
    """The data files below a folder, in the order of their paths: tables, or plain text if there are none."""
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    seen = [name for name in sorted(names) if not any(part.startswith((".", "_")) for part in name.parts)]
    tables = [name for name in seen if _is_table(name)]
    chosen = tables or [name for name in seen if named_form(name) == "txt"]
    if not chosen:
        raise InputError(f"{folder}: is a folder without data files; they end in {', '.join(FORMS)}")
    splits = Counter(split for name in chosen if (split := _split_of(name)))
    if len(splits) > 1:
        counts = ", ".join(f"{count} of {split}" for split, count in splits.items())
        example = next(name for name in chosen if _split_of(name)).parts[0]
        pattern = f"{re.split('[-_.]', example)[0]}*"
        raise InputError(
            f"{folder}: has files of several splits: {counts}; name those of one, for example {str(folder / pattern)!r}"
        )
    return tuple(folder / name for name in chosen)


def _split_of(name: Path) -> str | None:
    words = re.split(r"[\W_]+", str(name).lower())
    return next((SPLITS[word] for word in words if word in SPLITS), None)


def _is_table(path: Path) -> bool:
    return named_form(path) not in (None, "txt")


def _matched(pattern: str, path: Path) -> tuple[str, ...]:
    """What the wildcards of a pattern stand for in a path."""
    parts = WILDCARD.split(str(Path(pattern).expanduser()))
    wild = re.fullmatch("(.*?)".join(map(re.escape, parts)), str(path), re.DOTALL)
    return wild.groups() if wild else ()


def check_same_columns(paths: Paths, columns: list[str], first: list[str]) -> None:
    """Rejects a file of several whose columns are not those of the first one; a key of JSON rows may be missing.

    Raises:
        InputError: names the file and the columns.
    """
    if len(paths) > 1 or named_form(paths[0]) in ("json", "jsonl") or set(columns) == set(first):
        return
    theirs, ours = ", ".join(first), ", ".join(columns)
    raise InputError(f"{paths[0]}: has the columns {ours}, but the first file has {theirs}; files of a set must agree")
