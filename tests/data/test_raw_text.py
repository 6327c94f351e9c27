"""Raw text as rows of tokens, with the starts of sentences where they are."""

from itertools import pairwise

import numpy as np
import pytest

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.raw_text import encode_raw, keep_rows, sentence_starts, sentences_of
from hf_seq2seq.data.vocabulary import train_tokenizers

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
