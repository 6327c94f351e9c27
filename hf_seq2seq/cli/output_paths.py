"""Files that a command may write to: none of those that it reads, and each by one flag."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from hf_seq2seq.data.files.lines import rejoined
from hf_seq2seq.data.files.patterns import shards
from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import check_is_folder
from hf_seq2seq.sections import flag

INPUT = "input_file"


def check_outputs(
    outputs: Iterable[tuple[str, Path]],
    inputs: Mapping[str, str | tuple[str, ...] | None],
    languages: tuple[str | None, ...] = (),
) -> None:
    """Rejects an output that is read by some flag, or written by another, or whose folder cannot be written.

    Args:
        outputs: options and their files, which need not exist.
        inputs: options and the files that they name: one value as of `--train-file`, or several.
        languages: suffixes of parallel files.

    Raises:
        InputError: names the flag, the file and its other use.
    """
    taken: dict[object, str] = {}
    for name, value in inputs.items():
        told = "is the input file" if name == INPUT else f"is read by {flag(name)}"
        for part in rejoined(value) if isinstance(value, tuple) else [value or ""]:
            taken |= {_identity(path): told for paths in (shards(part, languages) if part else ()) for path in paths}
    for name, path in outputs:
        if path.is_dir():
            raise InputError(f"{flag(name)} {path}: is a folder")
        if path.exists() and not path.is_file():
            continue  # a pipe or a device
        if not path.absolute().parent.is_dir():
            raise InputError(f"{flag(name)} {path}: there is no folder {str(path.parent)!r}")
        check_is_folder(path.absolute().parent, flag(name))
        if told := taken.get(_identity(path), ""):
            raise InputError(f"{flag(name)} {path}: {told}")
        taken[_identity(path)] = "is written by another flag"


def _identity(path: Path) -> object:
    """What two names of one file have in common, links included."""
    try:
        found = path.stat()
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino
