"""The operations on rows of token ids that all noises are built from.

None of these loops over rows or tokens in Python.
"""

from collections.abc import Sequence

import numpy as np

from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Where rows of these lengths start, and the end, `(rows + 1,)` int64."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def counts_within(positions: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """How many of the sorted `positions` lie in each row, `(rows,)`."""
    return np.diff(np.searchsorted(positions, offsets))


def ranks(lengths: np.ndarray) -> np.ndarray:
    """0, 1, … within each row of these lengths, concatenated."""
    offsets = offsets_of(lengths)
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)


def keep(tokens: Ragged, kept: np.ndarray) -> Ragged:
    """The tokens where `kept`, `(tokens,)` bool, is true."""
    positions = np.flatnonzero(kept)
    return Ragged(tokens.values[positions], np.searchsorted(positions, tokens.offsets))


def gather(tokens: Ragged, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The ids of the runs of `lengths` tokens that begin at `starts`, concatenated."""
    shift = np.repeat(starts - offsets_of(lengths)[:-1], lengths)
    return tokens.values[np.arange(len(shift)) + shift]


def enclose(tokens: Ragged, before: Sequence[int] = (), after: Sequence[int] = ()) -> Ragged:
    """Every row with the ids `before` prepended and the ids `after` appended."""
    offsets = tokens.offsets + np.arange(len(tokens.offsets)) * (len(before) + len(after))
    values = np.empty(offsets[-1], dtype=np.int32)
    inner = np.ones(len(values), dtype=bool)
    places = [offsets[:-1] + i for i in range(len(before))] + [offsets[1:] - i for i in range(len(after), 0, -1)]
    for place, token in zip(places, [*before, *after], strict=True):
        values[place] = token
        inner[place] = False
    values[inner] = tokens.values
    return Ragged(values, offsets)


def same_lengths(values: np.ndarray, tokens: Ragged) -> Ragged:
    """New values for the same rows."""
    return Ragged(values.astype(np.int32, copy=False), tokens.offsets)


def runs_of(tokens: Ragged, starts: np.ndarray | None) -> Ragged:
    """The words or sentences of every row.

    Args:
        tokens: the rows.
        starts: `(tokens,)` bool, true where a word or sentence begins; the first token of a row always begins one.

    Returns:
        `values` (here int64) holds where each run begins in `tokens.values`, followed by the end of the last; `offsets`
        says which of them belong to which row.

    Raises:
        InputError: `starts` is missing or has the wrong length.
    """
    if starts is None or len(starts) != len(tokens.values):
        found = "none are given" if starts is None else f"{len(starts)} are given"
        raise InputError(f"this noise needs to know for every token whether a word or sentence starts there: {found}")
    begins = np.array(starts, dtype=bool)
    begins[tokens.offsets[:-1][tokens.lengths > 0]] = True
    positions = np.flatnonzero(begins)
    return Ragged(np.append(positions, len(begins)), np.searchsorted(positions, tokens.offsets))
