"""Raw text as rows of tokens without special tokens, for objectives that create their own pairs."""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hf_seq2seq.data.encoding import CHUNK
from hf_seq2seq.data.sentences import sentence_starts
from hf_seq2seq.data.tokenizers.unicode_text import valid_text
from hf_seq2seq.data.word_boundaries import unspaced_starts
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class RawRows(NamedTuple):
    """Tokens of raw text.

    Attributes:
        tokens: ids; no row is longer than the limit.
        starts: whether a sentence starts at each token, `(tokens,)` bool.
        unspaced: whether a word starts at each token because its script has no spaces, `(tokens,)` bool.
        documents: index of the text of each row, `(rows,)`.
    """

    tokens: Ragged
    starts: np.ndarray
    unspaced: np.ndarray
    documents: np.ndarray


def encode_raw(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", limit: int, language: str = "en") -> RawRows:
    """Encodes texts; one with more than `limit` tokens is split into several rows.

    Args:
        texts: documents; one without tokens gives no row.
        tokenizer: a fast one.
        limit: maximum tokens per row.
        language: as for `sentence_starts`.

    Raises:
        InputError: the tokenizer cannot map tokens to characters.
    """
    if not tokenizer.is_fast:
        raise InputError(f"a {type(tokenizer).__name__} cannot map tokens to characters; use a fast tokenizer")
    ids: list[np.ndarray] = []
    starts: list[np.ndarray] = []
    unspaced: list[np.ndarray] = []
    for first in range(0, len(texts), CHUNK):
        part = [valid_text(text) for text in texts[first : first + CHUNK]]
        options = {"return_offsets_mapping": True, "split_special_tokens": True, "verbose": False}
        found = tokenizer(part, add_special_tokens=False, **options)
        for text, row, offsets in zip(part, found["input_ids"], found["offset_mapping"], strict=True):
            ids.append(np.array(row, dtype=np.int32))
            ends = np.fromiter((end for _, end in offsets), dtype=np.int64, count=len(row))
            begins = np.searchsorted(ends, sentence_starts(text, language), side="right")
            marks = np.zeros(len(row) + 1, dtype=bool)
            marks[begins] = True
            starts.append(marks[:-1])
            places = np.fromiter((begin for begin, _ in offsets), dtype=np.int64, count=len(row))
            unspaced.append(unspaced_starts(text, places))
    pieces = [[row[at : at + limit] for at in range(0, len(row), limit)] for row in ids]
    documents = np.repeat(np.arange(len(pieces)), [len(rows) for rows in pieces])
    none = np.zeros(0, dtype=bool)
    marks, words = np.concatenate([none, *starts]), np.concatenate([none, *unspaced])
    return RawRows(Ragged.of(chain.from_iterable(pieces)), marks, words, documents)


def keep_rows(rows: RawRows, kept: np.ndarray) -> RawRows:
    """The rows where `kept`, `(rows,)` bool, is true."""
    inside = np.repeat(kept, rows.tokens.lengths)
    offsets = np.append(0, np.cumsum(rows.tokens.lengths[kept])).astype(np.int64)
    return RawRows(
        Ragged(rows.tokens.values[inside], offsets), rows.starts[inside], rows.unspaced[inside], rows.documents[kept]
    )


def stretches(rows: RawRows, most: int) -> RawRows:
    """Splits every row at sentence ends into spans of about `most` tokens, or half the row's if that is less.

    Sentences whose middles are in the same window of that many tokens stay together, so that a row of two sentences or
    more gives at least two stretches. `documents` of the result still says where each comes from.
    """
    marks = rows.starts.copy()
    marks[rows.tokens.offsets[:-1][rows.tokens.lengths > 0]] = True
    bounds = np.append(np.flatnonzero(marks), len(marks))
    row = np.searchsorted(rows.tokens.offsets, bounds[:-1], side="right") - 1
    middles = (bounds[:-1] + bounds[1:]) / 2 - rows.tokens.offsets[row]
    windows = middles // np.minimum(most, rows.tokens.lengths[row] / 2)
    first = np.ones(len(row), dtype=bool)
    first[1:] = (row[1:] != row[:-1]) | (windows[1:] != windows[:-1])
    offsets = np.append(bounds[:-1][first], len(marks)).astype(np.int64)
    return rows._replace(tokens=Ragged(rows.tokens.values, offsets), documents=rows.documents[row[first]])


def sentences_of(rows: RawRows) -> np.ndarray:
    """Number of sentences in each row, including partial ones, `(rows,)`."""
    marks = rows.starts.copy()
    marks[rows.tokens.offsets[:-1][rows.tokens.lengths > 0]] = True
    return np.diff(np.append(0, np.cumsum(marks))[rows.tokens.offsets])
