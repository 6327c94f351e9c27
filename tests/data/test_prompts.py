"""Start and separator are part of the tokenizer, also after it was saved."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer, GPT2Tokenizer, LlamaTokenizer, PreTrainedTokenizerBase

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.encoding import encode_continuations, encode_texts
from hf_seq2seq.data.prompts import wrap_texts
from hf_seq2seq.data.tokenizers.special_tokens import GPT
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.errors import InputError


def gpt2() -> PreTrainedTokenizerBase:
    """As GPT-2's: one special token, which is BOS and EOS, and none that pads."""
    vocabulary = {piece: number for number, piece in enumerate([*sorted(ByteLevel.alphabet()), "<|endoftext|>"])}
    tokenizer = GPT2Tokenizer(vocab=vocabulary, merges=[])
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def llama() -> PreTrainedTokenizerBase:
    pieces = ["<unk>", "<s>", "</s>", "\n", "▁", "a", "b"]
    tokenizer = LlamaTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def trained() -> PreTrainedTokenizerBase:
    return train_tokenizers(["ab", "ba"], [], NewTokenizer(tokenizer_type="char"), specials=GPT).source


MAKERS: dict[str, tuple[Callable[[], PreTrainedTokenizerBase], list[str]]] = {
    "gpt2": (gpt2, ["<|endoftext|>", "a", "b", "Ċ"]),
    "llama": (llama, ["<s>", "▁", "a", "b", "▁", "\n"]),
    "trained": (trained, ["<s>", "a", "b", "<sep>"]),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_saved_tokenizer_wraps_as_before(name: str, tmp_path: Path) -> None:
    make, expected = MAKERS[name]
    tokenizer = make()
    wrap_texts(tokenizer, "\n")
    Tokenizers(tokenizer, tokenizer).save(tmp_path)
    for one in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        assert one.convert_ids_to_tokens(one("ab")["input_ids"]) == expected
        # A text that is cut keeps its start and its separator.
        cut = one("a" * 20, truncation=True, max_length=6)["input_ids"]
        assert one.convert_ids_to_tokens(cut)[-1] == expected[-1]
        assert one.convert_ids_to_tokens(cut)[0] == expected[0]
        assert one(["ab", "a"], padding=True)["attention_mask"][1][0] == 0
    wrap_texts(tokenizer, None)
    cut = tokenizer("aaab", truncation=True, max_length=3)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(cut) == [expected[0], "a", "b"]
    assert tokenizer.convert_ids_to_tokens(tokenizer("ab")["input_ids"]) == expected[: expected.index("b") + 1]


def test_targets_are_closed_where_padding_is_eos_too() -> None:
    tokenizer = gpt2()
    wrap_texts(tokenizer, "\n")
    targets, cut = encode_continuations(["ab", "abab"], tokenizer, 4)
    assert [tokenizer.convert_ids_to_tokens(targets[row].tolist()) for row in range(2)] == [
        ["a", "b", "<|endoftext|>"],
        ["a", "b", "a", "<|endoftext|>"],
    ]
    assert cut == 1
    source = encode_texts(["abab"], tokenizer, 4)[0][0]
    assert tokenizer.convert_ids_to_tokens(source.tolist()) == ["<|endoftext|>", "a", "b", "Ċ"]


def test_what_cannot_wrap_is_refused() -> None:
    with pytest.raises(InputError, match=r"--separator: '' has no tokens"):
        wrap_texts(gpt2(), "")
    tokenizer = gpt2()
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="no end-of-text token"):
        wrap_texts(tokenizer, None)
