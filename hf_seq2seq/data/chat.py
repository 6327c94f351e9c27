"""Conversations as tokens, written by the tokenizer's chat template, with what the assistant is to learn.

A history is written and encoded as `tokenizer.apply_chat_template(messages, add_generation_prompt=True)` does it, so
that every other tool asks the model what it was trained to answer.
"""

from bisect import bisect
from collections.abc import Callable
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from jinja2 import TemplateError

from hf_seq2seq.data.conversations import ASSISTANT, Conversations, Messages
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.ragged import Ragged
from hf_seq2seq.errors import InputError, shorten

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hf_seq2seq.configs import PairTokenization

T = TypeVar("T")
PLAIN = (
    "{{ START }}{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% else %}{{ SEPARATOR }}{% endif %}{% endfor %}"
)
"""For a tokenizer without a template: an exchange is what a pair of source and target is in `data.prompts`."""
TEMPLATE_SECONDS = 10.0
"""A template is a program, which may never end; writing a conversation takes milliseconds."""
REWRITES = "the chat template changes earlier messages, so what was replied cannot be learnt"


def prepare_chat(tokenizer: "PreTrainedTokenizerBase", separator: str) -> None:
    """Gives a tokenizer a chat template if it has none, and lets it read the special tokens that templates write.

    Args:
        tokenizer: changed in place.
        separator: text after a message that is not the assistant's, for a tokenizer without a separator token.

    Raises:
        InputError: a tokenizer in Python code, or one without EOS.
    """
    if not tokenizer.is_fast:
        raise InputError(f"{tokenizer.name_or_path}: needs a fast tokenizer (tokenizer.json)")
    if tokenizer.eos_token is None:
        raise InputError(f"{tokenizer.name_or_path}: its tokenizer has no end-of-text token")
    if tokenizer.chat_template is None:
        start = "bos_token" if tokenizer.bos_token is not None else "eos_token"
        between = "sep_token" if tokenizer.sep_token is not None else repr(separator)
        tokenizer.chat_template = PLAIN.replace("START", start).replace("SEPARATOR", between)
    tokenizer.split_special_tokens = tokenizer.init_kwargs["split_special_tokens"] = False
    tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = "left"


def end_of_turn(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The token that ends a reply: the one that the template writes behind it, else EOS."""
    exchange = [{"role": role, "content": "a"} for role in ("user", ASSISTANT)]
    _, reply = _reply(tokenizer, exchange, 1, "the chat template")
    ids: list[int] = tokenizer(reply, add_special_tokens=False)["input_ids"]
    return ids[-1] if ids and ids[-1] in tokenizer.added_tokens_decoder else tokenizer.eos_token_id


class History(NamedTuple):
    """What a model reads before it replies.

    Attributes:
        ids: tokens.
        learnt: whether each is the assistant's own, the ends of its turns among them.
        cut: whether the beginning was left out.
    """

    ids: np.ndarray
    learnt: np.ndarray
    cut: bool


def encode_conversations(
    conversations: Conversations, tokenizer: "PreTrainedTokenizerBase", limits: "PairTokenization"
) -> Examples:
    """Encodes every conversation as one sequence: the history is the source, the last reply the target.

    Raises:
        InputError: the template refuses a conversation, or rewrites what was said.
    """
    end = end_of_turn(tokenizer)
    histories, replies, cut = [], [], 0
    for number, messages in enumerate(conversations.messages, start=1):
        place = f"{conversations.place}: conversation {number}"
        histories.append(encode_history(messages[:-1], tokenizer, limits.max_source_length, place))
        reply = _reply(tokenizer, messages, len(messages) - 1, place)[1]
        ids = tokenizer(reply, add_special_tokens=False, verbose=False)["input_ids"]
        ids = ids[:-1] if ids[-1:] == [end] else ids
        cut += len(ids) >= limits.max_target_length
        replies.append([*ids[: limits.max_target_length - 1], end])
    return Examples(
        source=Ragged.of(history.ids for history in histories),
        texts=[messages[-2]["content"] if len(messages) > 1 else "" for messages in conversations.messages],
        target=Ragged.of(replies),
        references=conversations.references,
        learnt=Ragged.of(history.learnt for history in histories),
        truncated=(sum(history.cut for history in histories), cut),
        joined=True,
    )


def encode_history(
    messages: Messages, tokenizer: "PreTrainedTokenizerBase", limit: int | None, place: str = "the conversation"
) -> History:
    """Encodes messages up to where the assistant is to reply.

    Of a history of more than `limit` tokens the oldest exchanges are left out, but for a system's message; of a last
    exchange that is too long itself, the oldest tokens.

    Raises:
        InputError: the template refuses it, or rewrites what was said.
    """
    part = latest_part(messages, tokenizer, limit, place)
    text = write(tokenizer, part, place, asks=True)
    found: Any = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    learnt = _learnt(part, np.array([begin for begin, _ in found["offset_mapping"]]), tokenizer, place)
    ids = np.array(found["input_ids"], dtype=np.int32)
    start = 0 if limit is None else max(0, len(ids) - limit)
    return History(ids[start:], learnt[start:], bool(start) or len(part) < len(messages))


def latest_part(messages: Messages, tokenizer: "PreTrainedTokenizerBase", limit: int | None, place: str) -> Messages:
    """The messages without the fewest of the oldest exchanges that make them fit; a system's message stays.

    Args:
        messages: a history.
        tokenizer: writes and encodes it.
        limit: tokens that it may have; if even the last exchange has more, it is returned alone.
        place: for errors.

    Raises:
        InputError: the template refuses it.
    """
    first = 1 if messages[0]["role"] == "system" else 0
    starts = [i for i in range(first + 1, len(messages)) if messages[i - 1]["role"] == ASSISTANT]
    parts = [messages, *(messages[:first] + messages[start:] for start in starts)]

    def fits(part: Messages) -> bool:
        text = write(tokenizer, part, place, asks=True)
        return limit is None or len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) <= limit

    # Each part is shorter than the one before.
    return parts[min(bisect(parts, False, key=fits), len(parts) - 1)]


def _learnt(messages: Messages, begins: np.ndarray, tokenizer: "PreTrainedTokenizerBase", place: str) -> np.ndarray:
    """Whether the tokens of a history, which begin at these characters, lie in a reply."""
    text = write(tokenizer, messages, place, asks=True)
    learnt = np.zeros(len(begins), dtype=np.int32)
    for index, message in enumerate(messages):
        if message["role"] == ASSISTANT:
            start, reply = _reply(tokenizer, messages, index, place)
            if text[start : start + len(reply)] != reply:
                raise InputError(f"{place}: {REWRITES}")
            learnt[(begins >= start) & (begins < start + len(reply))] = 1
    return learnt


def _reply(tokenizer: "PreTrainedTokenizerBase", messages: Messages, index: int, place: str) -> tuple[int, str]:
    """Where a reply begins in what the template writes, and its text with the end of its turn."""
    before = write(tokenizer, messages[:index], place, asks=True)
    whole = write(tokenizer, messages[: index + 1], place, asks=False)
    if not whole.startswith(before):
        raise InputError(f"{place}: {REWRITES}")
    return len(before), whole[len(before) :].rstrip()


def write(tokenizer: "PreTrainedTokenizerBase", messages: Messages, place: str, asks: bool) -> str:
    """What the chat template writes; where it `asks`, up to where the assistant is to reply.

    Raises:
        InputError: the template refuses the messages.
    """

    def apply() -> Any:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=asks)

    try:
        text = within(TEMPLATE_SECONDS, apply)
    except TemplateError as error:
        raise InputError(f"{place}: the tokenizer's chat template refuses it: {error}") from error
    except TimeoutError:
        raise InputError(f"{place}: the tokenizer's chat template does not end") from None
    except Exception as error:  # a template is a program of its own
        what = shorten(f"{type(error).__name__}: {error}")
        raise InputError(f"{place}: the tokenizer's chat template fails on it ({what})") from error
    assert isinstance(text, str)
    return text


def within(seconds: float, work: Callable[[], T]) -> T:
    """Does work in a thread of its own, which is left behind when the time is over.

    Raises:
        TimeoutError: it takes longer.
        Exception: what the work raises.
    """
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:
            errors.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]
