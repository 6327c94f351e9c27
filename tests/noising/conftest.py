"""Ragged to noise: random ones of every length, and real prose cut by a tokenizer that was trained on it."""

import re
from collections.abc import Sequence
from pydoc_data.topics import topics
from typing import NamedTuple

import numpy as np
import pytest

from hf_seq2seq.data.tokenizers.special_tokens import SEQ2SEQ
from hf_seq2seq.data.tokenizers.training import Plan, train_tokenizer
from hf_seq2seq.noising.rows import offsets_of
from hf_seq2seq.ragged import Ragged

SENTINELS = tuple(range(90_000, 90_100))
MASK = 89_000


class Split(NamedTuple):
    """Ragged, and where their sentences and words start."""

    tokens: Ragged
    sentences: np.ndarray
    words: np.ndarray


def pack_rows(rows: Sequence[Sequence[int]]) -> Ragged:
    values = np.array([token for row in rows for token in row], dtype=np.int32)
    return Ragged(values, offsets_of(np.array([len(row) for row in rows], dtype=np.int64)))


def random_split(seed: int, rows: int = 600) -> Split:
    rng = np.random.default_rng(seed)
    lengths = np.concatenate([[0, 1, 2, 3, 0], rng.integers(0, 300, rows), [1, 0]])
    values = rng.integers(10, 1_000, lengths.sum(), dtype=np.int32)
    tokens = Ragged(values, offsets_of(lengths))
    return Split(tokens, rng.random(len(values)) < 0.08, rng.random(len(values)) < 0.6)


@pytest.fixture(scope="session")
def real() -> Split:
    """Paragraphs of the manual that comes with Python, tokenised by byte-level BPE sentence by sentence."""
    paragraphs = [" ".join(text.split()) for topic in topics.values() for text in topic.split("\n\n")]
    documents = [re.split(r"(?<=[.!?]) (?=[A-Z])", text) for text in paragraphs if 300 < len(text) < 2000]
    tokenizer = train_tokenizer([" ".join(sentences) for sentences in documents], Plan("bpe", 4_000, 1, False, SEQ2SEQ))
    encoded = [
        tokenizer.encode_batch([" " + sentence for sentence in sentences], add_special_tokens=False)
        for sentences in documents
    ]
    tokens = pack_rows([[token for sentence in row for token in sentence.ids] for row in encoded])
    starts = np.array([place == 0 for row in encoded for sentence in row for place in range(len(sentence.ids))])
    words = np.array([token.startswith("Ġ") for row in encoded for sentence in row for token in sentence.tokens])
    return Split(tokens, starts, words)


@pytest.fixture(params=["random", "real"])
def split(request: pytest.FixtureRequest) -> Split:
    """Random rows with all short lengths among them, then real ones."""
    return random_split(0) if request.param == "random" else request.getfixturevalue("real")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.fixture
def sentinels() -> tuple[int, ...]:
    return SENTINELS


@pytest.fixture
def mask() -> int:
    """An id that no row holds."""
    return MASK


@pytest.fixture
def make_rows():
    """Makes rows of lists of ids."""
    return pack_rows


@pytest.fixture
def equal_rows():
    """Makes many rows of the same length, each with the ids 0, 1, …"""

    def made(rows: int, length: int) -> Ragged:
        return Ragged(np.tile(np.arange(length, dtype=np.int32), rows), offsets_of(np.full(rows, length)))

    return made


@pytest.fixture
def by_place():
    """Makes rows like the given ones where every token's place in the split is its id."""

    def made(tokens: Ragged) -> Ragged:
        return Ragged(np.arange(len(tokens.values), dtype=np.int32), tokens.offsets)

    return made


@pytest.fixture
def lists():
    """Turns rows into lists of ids."""

    def made(tokens: Ragged) -> list[list[int]]:
        return [tokens[row].tolist() for row in range(len(tokens.offsets) - 1)]

    return made
