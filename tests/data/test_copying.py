"""Words outside a vocabulary get ids of their own in each row, and are spelled from them."""

import numpy as np
import pytest

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.copying import name_copies, spell
from hf_seq2seq.data.encoding import encode_pairs
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers

SOURCES = ["the Zebra saw the Yak and the Zebra", "the cat saw", "Ibex saw the Yak Emu Gnu"]
TARGETS = ["Zebra saw Yak near Owl", "cat saw Owl", "Emu and Ibex and Gnu"]


@pytest.fixture
def tokenizers() -> Tokenizers:
    options = NewTokenizer(tokenizer_type="word", vocab_size=100, lowercase=True)
    return train_tokenizers(["the cat saw and near"], ["the cat saw and near"], options)


def test_words_of_the_source_are_named_and_spelled(tokenizers: Tokenizers) -> None:
    options = NewTokenizer()
    pairs = Pairs(SOURCES, [[text] for text in TARGETS], ("source", "target"))
    plain = encode_pairs(pairs, tokenizers, options, prefix="the ")
    named = name_copies(plain, tokenizers, room=3, prefix="the ")
    unk = tokenizers.source.unk_token_id
    assert named.unknown == [("zebra", "yak"), (), ("ibex", "yak", "emu")]
    rows = [spell(ids, words, tokenizers.source) for ids, words in zip(named.source, named.unknown, strict=True)]
    assert rows == ["the " + text.lower() for text in SOURCES[:2]] + ["the ibex saw the yak emu"]  # no room for a gnu
    assert named.target is not None
    targets = [spell(ids, words, tokenizers.target) for ids, words in zip(named.target, named.unknown, strict=True)]
    assert targets == ["zebra saw yak near", "cat saw", "emu and ibex and"]  # owls are nowhere in the source
    changed = named.source.values != plain.source.values
    assert (plain.source.values[changed] == unk).all()
    assert np.array_equal(named.source.offsets, plain.source.offsets)


def test_a_cut_source_names_what_is_left(tokenizers: Tokenizers) -> None:
    options = NewTokenizer(max_source_length=4)
    pairs = Pairs(SOURCES, [[text] for text in TARGETS], ("source", "target"))
    named = name_copies(encode_pairs(pairs, tokenizers, options), tokenizers, room=3)
    assert named.unknown == [("zebra",), (), ("ibex",)]
    assert int(named.source[0][-1]) == tokenizers.source.eos_token_id
