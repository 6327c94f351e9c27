"""Files of word vectors: word2vec's text format, whose first line says how many there are, and GloVe's, without it."""

import math
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from hf_seq2seq.data.files.text_files import lines, opened
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.errors import InputError, shorten

MOST_DIGITS = 12
"""Of a number in a first line of sizes."""


def read_vectors(file: str, wanted: Container[str] | None = None) -> tuple[list[str], np.ndarray]:
    """The words of a file and their vectors.

    Args:
        file: a word, then its numbers, on a line; all divided by single spaces. A word may hold spaces.
        wanted: words to read; None for all.

    Returns:
        Words in the order of the file, of several lines of one word the first, and `(words, width)` float32.

    Raises:
        InputError: the file cannot be read, is empty, has not as many vectors as its first line says, or a line has no
            number, or not as many as the first.
    """
    words: dict[str, int] = {}
    rows: list[np.ndarray] = []
    count, width, found = None, 0, 0
    with opened(Path(file).expanduser()) as stream:
        for number, line in enumerate(_without_blank_end(lines(stream.lines("utf-8"))), start=1):
            parts = line.rstrip(" ").split(" ")
            if number == 1 and (size := _size(parts)):
                count, width = size
                continue
            found, width = found + 1, width or len(parts) - 1
            split, checked = len(parts) - width, count is None or found == 1
            word = " ".join(parts[:split])
            if split < 1 or not width or (split > 1 and checked and _is_number(parts[split - 1])):
                detail = f"{len(parts) - 1} numbers, divided by spaces, after {shorten(repr(parts[0]))}"
                raise InputError(f"{file}:{number}: {detail}{f', not {width}' if width else ''}")
            if word not in words and (wanted is None or word in wanted):
                words[word] = len(rows)
                rows.append(_numbers(parts[split:], f"{file}:{number}"))
    if not width:
        raise InputError(f"{file}: has no vectors")
    if count not in (None, found):
        raise InputError(f"{file}: has {found:,} vectors, and its first line says {count:,}; is it complete?")
    return list(words), np.stack(rows) if rows else np.zeros((0, width), dtype=np.float32)


def vector_width(file: str) -> int:
    """The numbers of a vector, by the first line; 0 where the file is empty.

    Raises:
        InputError: the file cannot be read.
    """
    with opened(Path(file).expanduser()) as stream:
        parts = next(lines(stream.lines("utf-8")), "").rstrip(" ").split(" ")
    size = _size(parts)
    return size[1] if size else len(parts) - 1


def _size(parts: Sequence[str]) -> tuple[int, int] | None:
    """How many vectors there are and their width, if a first line says that."""
    is_size = len(parts) == 2 and all(part.isdecimal() and len(part) <= MOST_DIGITS for part in parts)
    return (int(parts[0]), int(parts[1])) if is_size else None


def _without_blank_end(found: Iterable[str]) -> Iterator[str]:
    blank = 0
    for line in found:
        if line.strip():
            yield from [""] * blank
            yield line
        blank = 0 if line.strip() else blank + 1


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _numbers(cells: Sequence[str], place: str) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            found = np.array(cells, dtype=np.float64).astype(np.float32)
    except ValueError:
        found = np.array([np.nan], dtype=np.float32)
    if not np.isfinite(found).all():
        raise InputError(f"{place}: {shorten(' '.join(cells))!r} is no vector of numbers")
    return found


def write_vectors(file: Path, words: Sequence[str], vectors: np.ndarray) -> None:
    """Writes word2vec's text format.

    Args:
        file: appears when all is written.
        words: none with a line end.
        vectors: `(words, width)`.
    """
    with open_draft(file) as stream:
        stream.write(f"{len(words)} {vectors.shape[1]}\n")
        for word, vector in zip(words, vectors, strict=True):
            stream.write(f"{word} {' '.join(f'{number:.6g}' for number in vector)}\n")
