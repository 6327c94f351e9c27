"""What of a conversation is read and what is learned, compared with the tokenizer's own formatting."""

from collections.abc import Callable

import numpy as np
import pytest
from tokenizers.pre_tokenizers import ByteLevel
from transformers import GPT2Tokenizer, LlamaTokenizer, PreTrainedTokenizerBase

from hf_seq2seq.configs import NewTokenizer, PairTokenization
from hf_seq2seq.data.chat import encode_conversations, encode_history, end_of_turn, prepare_chat, windows
from hf_seq2seq.data.collation import CausalCollator
from hf_seq2seq.data.conversations import Conversations
from hf_seq2seq.data.examples import Dialogues
from hf_seq2seq.data.messages import Messages
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
    examples = encode_conversations(Conversations([messages], "messages", "talk"), tokenizer, limits, True)
    assert examples.references == [[messages[-1]["content"]]]
    batch = CausalCollator(0)(examples, np.arange(1))
    return {name: tensor[0].tolist() for name, tensor in batch.items()} | {"cut": list(examples.truncated)}


@pytest.mark.parametrize("name", MAKERS)
def test_every_reply_and_its_end_is_learned_and_nothing_else(name: str) -> None:
    tokenizer = MAKERS[name]()
    prepare_chat(tokenizer, "\n")
    found = encode(tokenizer, conversation(*TALK))
    learned, replies = [], []
    for label in found["labels"]:
        if label >= 0:
            learned.append(label)
        elif learned:
            replies.append(learned)
            learned = []
    replies.append(learned)
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
        assert found.learned.tolist() == expected.learned[-limit:].tolist()
        assert found.shortened == (limit < fitting)
        assert found.cut == max(0, least - limit)
    assert 2 < least < fitting


def long_talk(exchanges: int) -> Messages:
    return conversation(
        *(turn for i in range(exchanges) for turn in (("user", f"ab {'c' * (i % 5)} {i}"), ("assistant", f"ba {i}")))
    )


OPENINGS = ([], [("system", "be a bee")], [("assistant", "hello")], [("system", "b"), ("assistant", "hello")])


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("limit", [15, 40, 70, 200, 5000])
def test_every_reply_of_a_long_conversation_is_learned_once(opening: list[tuple[str, str]], limit: int) -> None:
    tokenizer = chatml()
    prepare_chat(tokenizer, "\n")
    messages = conversation(*opening) + long_talk(20)
    limits = PairTokenization(max_source_length=limit, max_target_length=50)
    found = encode_conversations(Conversations([messages], "messages", "talk"), tokenizer, limits, learned=True)
    assert found.source.lengths.max() <= limit
    end, learned = tokenizer.convert_tokens_to_ids("<|im_end|>"), []
    for row in range(len(found)):
        ids, marks = found.source[row], found.learned[row].astype(bool)
        learned += tokenizer.decode(ids[marks]).split("<|im_end|>")[:-1]
        learned.append(tokenizer.decode(found.target[row][:-1]))
        assert found.target[row][-1] == end
    first = [messages[1]["content"]] if len(opening) == 2 else []  # which a system's message came before
    assert learned == [*first, *(f"ba {i}" for i in range(20))]
    assert (len(found) == 1) == (limit == 5000)
    assert isinstance(found.made_of, Dialogues)
    assert (found.made_of.replies, found.made_of.rows) == (len(learned), len(found))
    if limit >= 70:
        assert (found.truncated, found.made_of.left_out) == ((0, 0), 0)
    if limit == 15:
        assert found.made_of.left_out > 0


def test_windows_overlap() -> None:
    tokenizer = chatml()
    prepare_chat(tokenizer, "\n")
    messages, limit = long_talk(30), 120
    found = windows(messages, tokenizer, limit, "talk")
    assert found[0].first == 0
    for window in found[1:]:
        seen = [len(m["content"]) for m in window.messages[:-1]]
        assert sum(seen[: window.first]) >= sum(seen) / 2 - max(seen)
    assert [window.messages[-1]["content"] for window in found][-1] == "ba 29"


def test_every_reply_is_evaluated_after_what_fits_of_the_true_messages_before_it() -> None:
    tokenizer = chatml()
    prepare_chat(tokenizer, "\n")
    limits = PairTokenization(max_source_length=60, max_target_length=50)
    talks = [long_talk(9), long_talk(1)]
    found = encode_conversations(Conversations(talks, "messages", "talk"), tokenizer, limits, learned=False)
    rows = [talk[: 2 * reply + 2] for talk in talks for reply in range(len(talk) // 2)]
    asked = [tokenizer.apply_chat_template(row[:-1], add_generation_prompt=True)["input_ids"] for row in rows]
    assert found.references == [[row[-1]["content"]] for row in rows]
    for number, (row, whole) in enumerate(zip(rows, asked, strict=True)):
        assert tokenizer.decode(found.target[number]) == row[-1]["content"] + "<|im_end|>"
        assert not found.learned[number].any()  # else a reply counts once for each that comes after it
        kept = found.source[number].tolist()
        assert kept == whole if len(whole) <= 60 else kept[-20:] == whole[-20:]
    assert found.truncated == (sum(len(whole) > 60 for whole in asked), 0)
    assert found.made_of is None


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
            "the chat template: the tokenizer's chat template rejects it: no system",
        ),
    ],
)
def test_templates_that_cannot_be_learned_are_refused(template: str, message: str) -> None:
    tokenizer = gpt2()
    tokenizer.chat_template = template
    prepare_chat(tokenizer, "\n")
    with pytest.raises(InputError, match=message):
        encode(tokenizer, conversation(("user", "a"), ("assistant", "ba")))
