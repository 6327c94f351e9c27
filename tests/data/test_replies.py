"""Conversations as pairs: how turns are written for each kind of tokenizer, and which of a long history stay."""

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from hf_seq2seq.configs import NewTokenizer, PairTokenization
from hf_seq2seq.data.conversations import Conversations
from hf_seq2seq.data.messages import Messages
from hf_seq2seq.data.replies import encode_histories, encode_replies, prepare_turns
from hf_seq2seq.data.tokenizers.special_tokens import BART, PEGASUS, SEQ2SEQ, T5
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.errors import InputError

TALK: Messages = [
    {"role": "system", "content": "be short"},
    {"role": "user", "content": "hi there"},
    {"role": "assistant", "content": "hello"},
    {"role": "tool", "content": "a table: 2"},
    {"role": "user", "content": "a table for two <s> please </s>!"},
    {"role": "assistant", "content": "it is booked"},
    {"role": "user", "content": "thank you"},
    {"role": "assistant", "content": "bye"},
]
WRITTEN = "system: be short user: hi there assistant: hello tool: a table: 2 user: two"


def trained(kind: str, specials: object = SEQ2SEQ) -> PreTrainedTokenizerBase:
    options = NewTokenizer(tokenizer_type=kind, vocab_size=400, max_source_length=64)
    texts = [f"{message['role']}: {message['content']}" for message in TALK]
    return train_tokenizers(texts, texts, options, specials=specials).source  # type: ignore[arg-type]


def bart() -> PreTrainedTokenizerBase:
    """Facebook's own kind, with a token before a text and one behind."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import BartTokenizer

    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    return BartTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])


def mbart() -> PreTrainedTokenizerBase:
    """Two tokens behind a text."""
    from transformers import MBartTokenizer

    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz:2"]
    return MBartTokenizer(vocab=[(piece, -2.0) for piece in pieces], src_lang="en_XX", tgt_lang="de_DE")


KINDS: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
    "t5": lambda: trained("unigram", T5),
    "our bart": lambda: trained("bpe", BART),
    "pegasus": lambda: trained("unigram", PEGASUS),
    "char": lambda: trained("char"),
    "word": lambda: trained("word"),
    "wordpiece": lambda: trained("wordpiece"),
    "bart": bart,
    "mbart": mbart,
}


@pytest.mark.parametrize("kind", KINDS)
def test_turns_are_a_text_between_its_special_tokens(kind: str, tmp_path: Path) -> None:
    tokenizer = KINDS[kind]()
    plain = tokenizer(WRITTEN)["input_ids"]
    prepare_turns(tokenizer)
    history = [*TALK[:4], {"role": "user", "content": "two"}]
    ids, cut = encode_histories([history], tokenizer, 200)
    assert (ids[0].tolist(), cut) == (plain, 0)
    tokenizer.save_pretrained(tmp_path)
    for found in (tokenizer, type(tokenizer).from_pretrained(tmp_path)):
        asked = found.apply_chat_template(history, add_generation_prompt=True, return_dict=True)
        assert asked["input_ids"] == plain


def test_a_template_of_the_checkpoint_stays() -> None:
    tokenizer = trained("word")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} </s> {% endfor %}"
    prepare_turns(tokenizer)
    ids, _ = encode_histories([TALK[1:2]], tokenizer, None)
    assert tokenizer.convert_ids_to_tokens(ids[0].tolist()) == ["hi", "there", "</s>"]
    tokenizer.chat_template = "{{ raise_exception('no such role') }}"
    with pytest.raises(InputError, match="a place: the tokenizer's chat template rejects it: no such role"):
        encode_histories([TALK[1:2]], tokenizer, None, ["a place"])


@pytest.mark.parametrize("kind", ["word", "bart"])
@pytest.mark.parametrize("first", [0, 1])
def test_the_latest_exchanges_that_fit_stay(kind: str, first: int) -> None:
    tokenizer = KINDS[kind]()
    prepare_turns(tokenizer)
    history = TALK[first:7]
    parts = [TALK[first:1] + TALK[start:7] for start in (1, 3, 6)]
    whole = [encode_histories([part], tokenizer, None)[0][0].tolist() for part in parts]
    opening = [0] if kind == "bart" else []
    for limit in range(3, len(whole[0]) + 2):
        ids, cut = encode_histories([TALK[1:2], history], tokenizer, limit)
        fitting = next((row for row in whole if len(row) <= limit), None)
        assert ids[1].tolist() == (fitting or opening + whole[-1][len(opening) - limit :])
        short = len(encode_histories([TALK[1:2]], tokenizer, None)[0][0]) <= limit
        assert cut == (not short) + (limit < len(whole[0]))


def test_a_pair_for_every_reply() -> None:
    tokenizer = trained("word")
    prepare_turns(tokenizer)
    conversations = Conversations([TALK, TALK[1:3]], "messages", "a place")
    limits = PairTokenization(max_source_length=200, max_target_length=3)
    found = encode_replies(conversations, Tokenizers(tokenizer, tokenizer), limits)
    assert found.references == [["hello"], ["it is booked"], ["bye"], ["hello"]]
    assert found.texts[0] == "system: be short\nuser: hi there"
    assert found.texts[1].splitlines()[-1] == f"{TALK[4]['role']}: {TALK[4]['content']}"
    assert found.texts[3] == "user: hi there"
    assert found.truncated == (0, 1)
    assert found.target is not None
    assert tokenizer.convert_ids_to_tokens(found.target[1].tolist()) == ["it", "is", "</s>"]
    histories = [TALK[:2], TALK[:5], TALK[:7], TALK[1:2]]
    expected = encode_histories(histories, tokenizer, None)[0]
    assert [found.source[row].tolist() for row in range(4)] == [expected[row].tolist() for row in range(4)]
    with pytest.raises(InputError, match="--max-source-length: 1 leaves no room"):
        encode_replies(conversations, Tokenizers(tokenizer, tokenizer), _one())


def _one() -> PairTokenization:
    """As short as no flag can ask for."""
    limits = PairTokenization()
    object.__setattr__(limits, "max_source_length", 1)
    return limits
