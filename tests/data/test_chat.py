"""What of a conversation is read and what is learnt, beside the tokenizer's own way to write it."""

from collections.abc import Callable

import numpy as np
import pytest
from tokenizers.pre_tokenizers import ByteLevel
from transformers import GPT2Tokenizer, LlamaTokenizer, PreTrainedTokenizerBase

from hf_seq2seq.configs import NewTokenizer, PairTokenization
from hf_seq2seq.data.chat import encode_conversations, encode_history, end_of_turn, prepare_chat
from hf_seq2seq.data.collation import CausalCollator
from hf_seq2seq.data.conversations import Conversations, Messages
from hf_seq2seq.data.tokenizers.special_tokens import GPT
from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers
from hf_seq2seq.errors import InputError

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TALK = [("system", "be a bee"), ("user", "ab"), ("assistant", "ba ba"), ("user", "cab"), ("assistant", "bac")]


def conversation(*turns: tuple[str, str]) -> Messages:
    return [{"role": role, "content": content} for role, content in turns]


def gpt2() -> PreTrainedTokenizerBase:
    vocabulary = {piece: number for number, piece in enumerate([*sorted(ByteLevel.alphabet()), "<|endoftext|>"])}
    return GPT2Tokenizer(vocab=vocabulary, merges=[], pad_token="<|endoftext|>")


def chatml() -> PreTrainedTokenizerBase:
    tokenizer = gpt2()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML
    return tokenizer


def llama() -> PreTrainedTokenizerBase:
    pieces = ["<unk>", "<s>", "</s>", "\n", "▁", *"abce"]
    return LlamaTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[], pad_token="</s>")


def trained() -> PreTrainedTokenizerBase:
    return train_tokenizers(["ab c", "e"], [], NewTokenizer(tokenizer_type="char"), specials=GPT).source


MAKERS: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
    "gpt2": gpt2, "chatml": chatml, "llama": llama, "trained": trained,
}  # fmt: skip
ENDS = {"gpt2": "<|endoftext|>", "chatml": "<|im_end|>", "llama": "</s>", "trained": "</s>"}


def encode(
    tokenizer: PreTrainedTokenizerBase, messages: Messages, source: int = 200, target: int = 50
) -> dict[str, list]:
    limits = PairTokenization(max_source_length=source, max_target_length=target)
    examples = encode_conversations(Conversations([messages], "messages", "talk"), tokenizer, limits)
    assert examples.references == [[messages[-1]["content"]]]
    batch = CausalCollator(0)(examples, np.arange(1))
    return {name: tensor[0].tolist() for name, tensor in batch.items()} | {"cut": list(examples.truncated)}


@pytest.mark.parametrize("name", MAKERS)
def test_every_reply_and_its_end_is_learnt_and_nothing_else(name: str) -> None:
    tokenizer = MAKERS[name]()
    prepare_chat(tokenizer, "\n")
    found = encode(tokenizer, conversation(*TALK))
    learnt, replies = [], []
    for label in found["labels"]:
        if label >= 0:
            learnt.append(label)
        elif learnt:
            replies.append(learnt)
            learnt = []
    replies.append(learnt)
    end = tokenizer.convert_tokens_to_ids(ENDS[name])
    assert end_of_turn(tokenizer) == end
    assert [reply[-1] for reply in replies] == [end, end]
    texts = [tokenizer.decode(reply[:-1]).strip() for reply in replies]
    assert texts == ["ba ba", "bac"]
    # A label is the token after its input.
    ids = [*found["input_ids"], end]
    assert all(label in (-100, after) for label, after in zip(found["labels"], ids[1:], strict=True))


@pytest.mark.parametrize("name", MAKERS)
def test_a_history_is_what_every_other_tool_asks(name: str) -> None:
    tokenizer = MAKERS[name]()
    prepare_chat(tokenizer, "\n")
    messages = conversation(*TALK[:-1])
    asked = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert encode_history(messages, tokenizer, None).ids.tolist() == asked
    assert encode(tokenizer, conversation(*TALK))["input_ids"][: len(asked)] == asked


def test_an_exchange_is_a_pair() -> None:
    from hf_seq2seq.data.prompts import wrap_texts

    for make in (gpt2, trained):
        tokenizer = make()
        prepare_chat(tokenizer, "\n")
        ids = encode_history(conversation(("user", "ab")), tokenizer, None).ids.tolist()
        tokenizer = make()
        wrap_texts(tokenizer, "\n")
        assert ids == tokenizer("ab")["input_ids"]


@pytest.mark.parametrize("name", ["gpt2", "chatml"])
def test_the_oldest_exchanges_are_left_out(name: str) -> None:
    tokenizer = MAKERS[name]()
    prepare_chat(tokenizer, "\n")
    whole = conversation(*TALK)
    short = [whole[0], *whole[3:]]
    fitting = len(encode_history(whole[:-1], tokenizer, None).ids)
    least = len(encode_history(short[:-1], tokenizer, None).ids)
    for limit in range(2, fitting + 1):
        found = encode_history(whole[:-1], tokenizer, limit)
        expected = encode_history((whole if limit == fitting else short)[:-1], tokenizer, None)
        # What the last exchange alone has too much goes from its beginning.
        assert found.ids.tolist() == expected.ids[-limit:].tolist()
        assert found.learnt.tolist() == expected.learnt[-limit:].tolist()
        assert found.cut == (limit < fitting)
        assert encode(tokenizer, whole, source=limit)["cut"] == [int(limit < fitting), 0]
    assert 2 < least < fitting


def test_a_long_reply_ends_all_the_same() -> None:
    tokenizer = chatml()
    prepare_chat(tokenizer, "\n")
    messages = conversation(("user", "a"), ("assistant", "bacabe"))
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    for limit, kept, cut in ((6, "bacab", 1), (7, "bacabe", 0)):
        found = encode(tokenizer, messages, target=limit)
        labels = [label for label in found["labels"] if label >= 0]
        assert labels == [*tokenizer(kept)["input_ids"], end]
        assert found["cut"] == [0, cut]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[-1]['content'] }}", "conversation 1: the chat template changes earlier messages"),
        (
            "{{ raise_exception('no system') }}",
            "the chat template: the tokenizer's chat template refuses it: no system",
        ),
    ],
)
def test_templates_that_cannot_be_learnt_are_refused(template: str, message: str) -> None:
    tokenizer = gpt2()
    tokenizer.chat_template = template
    prepare_chat(tokenizer, "\n")
    with pytest.raises(InputError, match=message):
        encode(tokenizer, conversation(("user", "a"), ("assistant", "ba")))
