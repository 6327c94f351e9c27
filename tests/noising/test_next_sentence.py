import numpy as np
import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.next_sentence import NextSentence, truncated
from hf_seq2seq.noising.rows import offsets_of
from hf_seq2seq.ragged import Ragged

CLS, SEP = 1, 2


def sentences_of(split) -> tuple[Ragged, np.ndarray]:
    """The sentences of a split as rows, and the document of each."""
    begins = split.sentences.copy()
    begins[split.tokens.offsets[:-1][split.tokens.lengths > 0]] = True
    offsets = np.append(np.flatnonzero(begins), len(begins))
    documents = np.searchsorted(split.tokens.offsets, offsets[:-1], side="right") - 1
    return Ragged(split.tokens.values + 10, offsets), documents


def test_pairs_come_from_where_they_say(split, rng) -> None:
    sentences, documents = sentences_of(split)
    # Ids are places, so a sentence of the result tells where it is from.
    sentences = Ragged(np.arange(10, 10 + len(sentences.values), dtype=np.int32), sentences.offsets)
    found = NextSentence(CLS, SEP, 10_000)(sentences, documents, rng)
    firsts = np.flatnonzero(documents[1:] == documents[:-1]).tolist()
    assert len(firsts) == len(found.is_next) == len(found.tokens.offsets) - 1
    for row, first in enumerate(firsts):
        tokens = found.tokens[row].tolist()
        a = sentences[first].tolist()
        assert tokens[: len(a) + 2] == [CLS, *a, SEP]
        b = tokens[len(a) + 2 : -1]
        second = int(np.searchsorted(sentences.offsets, b[0] - 10, side="right")) - 1
        assert b == sentences[second].tolist()
        assert tokens[-1] == SEP
        assert second == first + 1 if found.is_next[row] else documents[second] != documents[first]
        types = found.token_types[found.tokens.offsets[row] : found.tokens.offsets[row + 1]]
        assert types.tolist() == [0] * (len(a) + 2) + [1] * (len(b) + 1)
    assert abs(found.is_next.mean() - 0.5) < 5 * 0.5 / len(firsts) ** 0.5


def test_others_are_equally_likely(make_rows, rng) -> None:
    draws = 20_000
    sentences = make_rows([[10], [11], [12], [13], [14], [15]])
    documents = np.array([0, 0, 1, 2, 2, 2])
    pair = NextSentence(CLS, SEP, next_share=0.0)
    found = np.array([pair(sentences, documents, rng).tokens.values.reshape(3, 5)[:, 3] for _ in range(draws // 10)])
    for column, others in enumerate(([12, 13, 14, 15], [10, 11, 12], [10, 11, 12])):
        values, counts = np.unique(found[:, column], return_counts=True)
        assert values.tolist() == others
        assert abs(counts - len(found) / len(others)).max() < 5 * (len(found) / len(others)) ** 0.5


def test_long_pairs_are_cut_where_they_are_longer(split, rng) -> None:
    sentences, documents = sentences_of(split)
    found = NextSentence(CLS, SEP, 32)(sentences, documents, rng)
    assert found.tokens.lengths.max() == 32
    assert (found.tokens.values == SEP).sum() == 2 * len(found.is_next)


def test_the_longer_of_two_gives_way() -> None:
    a, b = (grid.ravel() for grid in np.meshgrid(np.arange(12), np.arange(12)))
    for most in (2, 7, 10):
        for x, y, found_x, found_y in zip(a, b, *truncated(a, b, most), strict=True):
            x, y = int(x), int(y)
            while x + y > most:
                x, y = (x - 1, y) if x > y else (x, y - 1)
            assert sorted((x, y)) == sorted((int(found_x), int(found_y)))
            assert found_x + found_y <= most


def test_one_document_alone(make_rows, rng) -> None:
    with pytest.raises(InputError, match="needs two documents: one is given"):
        NextSentence(CLS, SEP)(make_rows([[5], [6]]), np.array([0, 0]), rng)
    with pytest.raises(InputError, match="max_tokens: 4 hold no two sentences"):
        NextSentence(CLS, SEP, 4)


def test_no_sentences(make_rows, rng) -> None:
    found = NextSentence(CLS, SEP)(make_rows([]), np.zeros(0, dtype=np.int64), rng)
    assert len(found.tokens.values) == len(found.is_next) == 0
    assert offsets_of(np.zeros(0)).tolist() == found.tokens.offsets.tolist()
