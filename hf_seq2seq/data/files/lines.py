"""Plain text, one row per line: one file, or several parallel files."""

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from hf_seq2seq.data.files.compression import NAMES, bare_name
from hf_seq2seq.data.files.text_files import lines, opened
from hf_seq2seq.errors import InputError


def split_paths(value: str, languages: tuple[str | None, ...] = ()) -> tuple[Path, ...]:
    """The files named by an option.

    Args:
        value: one path, paths joined by commas, or the common stem of parallel files: "train" for train.de, train.en.
        languages: suffixes to try with a stem, source first.

    Returns:
        One path, or the paths of parallel files.
    """
    path = Path(value).expanduser()
    if path.exists():
        return (path,)
    if "," in value:
        return tuple(Path(part).expanduser() for part in rejoined(value.split(",")))
    for ending in ("", *NAMES):
        named = tuple(Path(f"{path}.{language}{ending}") for language in languages if language)
        if len(named) > 1 and all(p.exists() for p in named):
            return named
    return (path,)


def rejoined(parts: Sequence[str]) -> tuple[str, ...]:
    """Paths split at commas, rejoined where a comma is part of a path: the longest that exist."""
    names, at = [], 0
    while at < len(parts):
        ends = range(len(parts), at + 1, -1)
        joined = (end for end in ends if Path(",".join(parts[at:end]).strip()).expanduser().exists())
        end = next(joined, at + 1)
        names.append(",".join(parts[at:end]).strip())
        at = end
    return tuple(name for name in names if name)


def column_names(paths: tuple[Path, ...]) -> list[str]:
    """Names for the columns of line files: "text" for one file, for several the distinct parts of their names.

    train.de and train.en give "de" and "en"; train_text.txt and train_labels.txt give "text" and "labels".
    """
    if len(paths) == 1:
        return ["text"]
    parts = [re.split(r"[/\\._-]+", str(path.with_name(bare_name(path)))) for path in paths]
    while all(parts) and len({p[0] for p in parts}) == 1:
        parts = [p[1:] for p in parts]
    while all(parts) and len({p[-1] for p in parts}) == 1:
        parts = [p[:-1] for p in parts]
    names = ["_".join(p) for p in parts]
    if all(names) and len(set(names)) == len(names):
        return names
    return ["source", "target"] if len(paths) == 2 else [str(number) for number in range(1, len(paths) + 1)]


def one_line(text: str) -> str:
    """A text as one line of a file: its line breaks, which would end a row, become spaces."""
    return re.sub(r"\r\n?|\n", " ", text)


def line_rows(paths: tuple[Path, ...], encoding: str) -> Iterator[tuple[str, ...]]:
    """Reads the files in parallel.

    Yields:
        The next line of each file, without its line break.

    Raises:
        InputError: one file has more lines than another.
    """
    files = [_file_lines(path, encoding) for path in paths]
    for row, cells in enumerate(zip_longest(*files)):
        if None in cells:
            counts = [row + (cell is not None) + sum(1 for _ in rest) for cell, rest in zip(cells, files, strict=True)]
            detail = ", ".join(f"{path} has {count}" for path, count in zip(paths, counts, strict=True))
            raise InputError(f"parallel files need the same number of lines: {detail}")
        yield cells


def _file_lines(path: Path, encoding: str) -> Iterator[str]:
    with opened(path) as file:
        yield from lines(file.lines(encoding))
