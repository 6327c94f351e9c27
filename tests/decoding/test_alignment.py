"""Words from tokens, alignments from attention, and unknown words from alignments."""

import numpy as np

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.decoding.alignment import align, pharaoh, replace_unknown, words_of


def test_tokens_belong_to_words_between_spaces() -> None:
    tokenizer = train_tokenizers(["the dogs sat"], [], NewTokenizer(tokenizer_type="char")).source
    ids = tokenizer("the dogs sat")["input_ids"]
    found = words_of(ids, tokenizer)
    assert found[-1] == -1  # EOS
    letters = [word for token, word in zip(tokenizer.convert_ids_to_tokens(ids), found, strict=True) if token.isalpha()]
    assert letters == [0] * 3 + [1] * 4 + [2] * 3


def test_an_output_word_goes_to_the_source_word_that_gets_most_of_its_tokens_attention() -> None:
    attention = np.array([[0.5, 0.3, 0.1, 0.1], [0.4, 0.1, 0.1, 0.4], [0.2, 0.2, 0.5, 0.1]])
    # Source words: two tokens, one, and an end that counts for nothing; output words: two tokens, one.
    assert align(attention, [0, 0, 1, -1], [0, 0, 1]) == [(0, 0), (1, 1)]
    assert align(attention, [0, 1, 1, -1], [0, 1, -1]) == [(0, 0), (0, 1)]
    assert align(attention, [-1] * 4, [0, 0, 1]) == []
    assert pharaoh([(3, 0), (1, 2)]) == "1-2 3-0"


def test_unknown_words_come_from_the_source(tokenizers: Tokenizers) -> None:
    tokenizer = tokenizers.target
    dog, unknown, runs = (tokenizer.convert_tokens_to_ids(word) for word in ("dog", tokenizer.unk_token, "runs"))
    attention = np.array([[0.9, 0.1, 0, 0], [0.1, 0.2, 0.3, 0.4], [0.8, 0.2, 0, 0], [0.2, 0.7, 0.1, 0]])
    ids = [dog, unknown, runs, unknown]
    found = replace_unknown(ids, attention, [0, 1, 2, -1], ["Hund", "Zebra", "Uhu"], tokenizer)
    assert found == "dog Uhu runs Zebra"  # the fourth source token is no word
