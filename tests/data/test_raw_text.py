"""Raw text as rows of tokens, with the starts of sentences where they are."""

from itertools import pairwise

import numpy as np
import pytest

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.raw_text import RawRows, encode_raw, keep_rows, sentences_of, stretches
from hf_seq2seq.data.sentences import sentence_starts
from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers
from hf_seq2seq.ragged import Ragged

TEXTS = ["One two. Three four! Five", "no end here", 'He said "go." Then\nwent.', ""]


def test_sentences_start_behind_marks_and_line_ends() -> None:
    places = [[*sentence_starts(text), None] for text in TEXTS[:3]]
    found = [[text[a:b] for a, b in pairwise(at)] for text, at in zip(TEXTS, places, strict=False)]
    assert found == [["One two. ", "Three four! ", "Five"], ["no end here"], ['He said "go." ', "Then\n", "went."]]
    assert sentence_starts("\u4eca\u65e5\u3002\u660e\u65e5\u3002") == [0, 3]


@pytest.mark.parametrize("kind", ["char", "word", "bpe", "unigram", "wordpiece"])
def test_marks_lie_on_the_first_tokens(kind: str) -> None:
    tokenizer = train_tokenizers(TEXTS[:3], [], NewTokenizer(tokenizer_type=kind, vocab_size=400)).source
    rows = encode_raw(TEXTS, tokenizer, 100)
    assert rows.documents.tolist() == [0, 1, 2]
    for row, text in zip(range(3), TEXTS, strict=False):
        inside = slice(*rows.tokens.offsets[row : row + 2])
        ids, marks = rows.tokens.values[inside], rows.starts[inside]
        cuts = [*np.flatnonzero(marks), len(ids)]
        pieces = [tokenizer.decode(ids[a:b]).strip() for a, b in pairwise(cuts)]
        at = [*sentence_starts(text), None]
        assert [" ".join(p.split()) for p in pieces] == [text[a:b].strip() for a, b in pairwise(at)]
    assert sentences_of(rows).tolist() == [3, 1, 3]


def test_long_texts_are_cut_and_nothing_is_lost() -> None:
    tokenizer = train_tokenizers(TEXTS[:3], [], NewTokenizer(tokenizer_type="char")).source
    whole, cut = encode_raw(TEXTS, tokenizer, 100), encode_raw(TEXTS, tokenizer, 7)
    assert np.array_equal(whole.tokens.values, cut.tokens.values)
    assert np.array_equal(whole.starts, cut.starts)
    assert cut.tokens.lengths.max() == 7
    assert cut.documents.tolist() == [0] * 4 + [1] * 2 + [2] * 4
    kept = keep_rows(cut, cut.documents == 1)
    assert tokenizer.decode(kept.tokens.values) == "no end here"
    assert len(kept.starts) == len(kept.tokens.values)


def test_stretches_are_whole_sentences_and_two_or_more_of_every_two() -> None:
    draw = np.random.default_rng(0)
    sentences = [draw.integers(1, 30, count).tolist() for count in draw.integers(1, 9, 200)]
    lengths = np.array([sum(row) for row in sentences])
    starts = np.concatenate([np.eye(1, length, dtype=bool)[0] for row in sentences for length in row])
    tokens = Ragged(np.arange(lengths.sum(), dtype=np.int32), np.append(0, np.cumsum(lengths)))
    found = stretches(RawRows(tokens, starts, np.zeros_like(starts), np.arange(200)), 40)
    assert np.array_equal(found.tokens.values, tokens.values)
    assert starts[found.tokens.offsets[:-1]].all()
    for row, counts in enumerate(sentences):
        cut = np.split(counts, np.flatnonzero(np.diff(_windows(counts, min(40, sum(counts) / 2)))) + 1)
        sizes = found.tokens.lengths[found.documents == row].tolist()
        assert sizes == [int(part.sum()) for part in cut]
        assert (len(sizes) > 1) == (len(counts) > 1)


def _windows(counts: list[int], size: float) -> list[int]:
    """The window that the middle of each sentence lies in."""
    ends = np.cumsum(counts)
    return [int((end - count / 2) // size) for end, count in zip(ends, counts, strict=True)]
