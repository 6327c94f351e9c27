"""Marks in a text, such as the tag of back-translation: one token in every kind of tokenizer."""

from pathlib import Path

import pytest

from hf_seq2seq.configs import TOKENIZERS, NewTokenizer
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.errors import InputError

PLAIN = ["Ein Hund schläft.", "Die Katze frisst Fisch.", "ein Vogel singt", "Das <b> Haus"] * 3
MARKED = [f"<BT> {text}" for text in PLAIN[:4]] + PLAIN[4:]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("separate", [False, True])
def test_a_mark_is_one_token_before_the_tokens_of_the_plain_text(kind: str, separate: bool, tmp_path: Path) -> None:
    size = {} if kind == "byte" else {"vocab_size": 320}
    options = {"tokenizer_type": kind, "separate_vocabularies": separate} | size
    plain = train_tokenizers(PLAIN, PLAIN, NewTokenizer(**options))
    train_tokenizers(MARKED, PLAIN, NewTokenizer(added_tokens=("<BT>", "<blank>"), **options)).save(tmp_path)
    tokenizers = Tokenizers.load(tmp_path)
    for tokenizer, before in ((tokenizers.source, plain.source), (tokenizers.target, plain.target)):
        mark, blank = len(before), len(before) + 1
        assert len(tokenizer) == len(before) + 2
        for text in PLAIN[:4]:
            assert tokenizer(text)["input_ids"] == before(text)["input_ids"]
            assert tokenizer(f"<BT> {text}")["input_ids"] == [mark, *before(text)["input_ids"]]
        assert tokenizer("ein <blank> singt")["input_ids"].count(blank) == 1
        # What ends a sequence is still text where a text spells it.
        assert tokenizer("<BT> </s>")["input_ids"].count(tokenizer.eos_token_id) == 1


@pytest.mark.parametrize("token", ["", "a b"])
def test_a_mark_without_letters_or_with_spaces_is_refused(token: str) -> None:
    with pytest.raises(InputError, match=r"--added-tokens: .* is empty or contains white space"):
        train_tokenizers(PLAIN, PLAIN, NewTokenizer(tokenizer_type="char", added_tokens=(token,)))
