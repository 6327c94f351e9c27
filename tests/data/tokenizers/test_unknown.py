"""Unknown tokens are counted; texts without spaces are known."""

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Metaspace
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.tokenizers.special_tokens import BERT, SEQ2SEQ, SpecialTokens
from hf_seq2seq.data.tokenizers.unknown import (
    Unknown,
    count_unknown,
    lacks_spaces,
    lost_characters,
    percent,
    reads_words,
    vanishing,
)
from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers

ENGLISH = ["the dog runs home", "a cat sees the dog", "a house"]
CHINESE = ["我们今天去学校看书学习。", "老师说明天要早点来这里工作。"]


def trained(kind: str, specials: SpecialTokens = SEQ2SEQ):
    options = NewTokenizer(tokenizer_type=kind, vocab_size=300, min_frequency=1)
    return train_tokenizers(ENGLISH, [], options, specials=specials).source


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("word", "the wolf runs", (1, 3)),
        ("word", "the dog", (0, 2)),
        ("char", "dăg", (1, 3)),
        ("wordpiece", "dăg the", (1, 2)),
        ("unigram", "ș", (1, 2)),
        ("bpe", "dăg {}", (0, None)),
    ],
)
def test_the_closing_token_is_no_text(kind: str, text: str, expected: tuple[int, int | None]) -> None:
    tokenizer = trained(kind)
    ids = tokenizer(text)["input_ids"]
    found = count_unknown(np.array(ids), tokenizer)
    assert (found.tokens, found.of) == (expected[0], len(ids) - 1)
    assert expected[1] in (None, found.of)


def test_what_an_encoder_wraps_a_text_in_is_no_text() -> None:
    tokenizer = trained("wordpiece", BERT)
    assert count_unknown(np.array(tokenizer("the wolf", "ä")["input_ids"]), tokenizer).tokens == 2


def test_an_end_of_text_that_is_also_named_unknown_is_not_unknown() -> None:
    """As GPT-2's is."""
    tokenizer = trained("bpe")
    tokenizer.unk_token = tokenizer.eos_token
    assert count_unknown(np.array(tokenizer("the dog")["input_ids"]), tokenizer).tokens == 0


def test_counts_add_up_to_a_share_in_percent() -> None:
    both = Unknown(1, 3) + Unknown(0, 5)
    assert (both, both.share, str(both)) == (Unknown(1, 8), 12.5, "12.5%")
    assert Unknown().share == 0


@pytest.mark.parametrize(("share", "text"), [(0.0, "0.0%"), (100.0, "100.0%"), (0.004, "0.004%"), (0.06, "0.1%")])
def test_what_is_there_is_not_shown_as_nothing(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (ENGLISH, False),
        (["Donaudampfschifffahrtsgesellschaft sucht den Kapitän von gestern"], False),
        (CHINESE, True),
        (["我们 今天 去 学校 看书 学习 。", "老师 说 明天 要 早点 来 这里 工作 。"], False),
        (["今日は学校で本を読みました。"], True),
        (["สวัสดีตอนเช้าวันนี้อากาศดีมาก"], True),
        (["สวัสดี ตอนเช้า วันนี้ อากาศ ดี มาก"], False),
        (["ACGTACGTGGTTAACC"], True),
        (["abc", "d e f", ""], False),
        (["한국어는 띄어쓰기를 합니다"], False),
        ([], False),
    ],
)
def test_texts_without_spaces(texts: list[str], expected: bool) -> None:
    assert lacks_spaces(texts) is expected


def test_only_a_word_tokenizer_reads_words() -> None:
    assert [kind for kind in ("char", "word", "bpe", "unigram", "wordpiece") if reads_words(trained(kind))] == ["word"]


def test_characters_that_have_not_even_an_unknown_token_are_found() -> None:
    pieces = {"<pad>": 0, "</s>": 1, "▁": 2, "a": 3, "ă": 4}
    rust = Tokenizer(BPE(pieces, []))
    rust.pre_tokenizer = Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=rust, pad_token="<pad>", eos_token="</s>")
    assert tokenizer("a{ă}b")["input_ids"] == [2, 3, 4]
    assert lost_characters(["a ă", "▁ \u0301 \x01"], tokenizer) == []
    assert lost_characters(["a{ă}b", "\ud800"], tokenizer) == ["b", "{", "}", "\ufffd"]
    assert "4 characters of the source texts vanish, such as b" in vanishing("source", ["b", "{", "}", "x"])


@pytest.mark.parametrize("kind", ["char", "word", "bpe", "unigram", "wordpiece"])
def test_an_unknown_token_is_one(kind: str) -> None:
    assert lost_characters(["ș{ 字"], trained(kind)) == []


def test_a_tokenizer_in_python_code_is_asked_too() -> None:
    assert lost_characters(["ș{ 字"], ByT5Tokenizer()) == []
