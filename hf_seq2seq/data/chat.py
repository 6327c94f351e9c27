"""Conversations as tokens, formatted by the tokenizer's chat template, with a mask of the tokens to learn.

A history is formatted and encoded as by `tokenizer.apply_chat_template(messages, add_generation_prompt=True)`, so that
every other tool prompts the model as in training.
"""

from bisect import bisect
from collections.abc import Callable
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from jinja2 import TemplateError

from hf_seq2seq.data.conversations import Conversations
from hf_seq2seq.data.examples import Dialogues, Examples
from hf_seq2seq.data.messages import ASSISTANT, Messages, reply_numbers
from hf_seq2seq.errors import InputError, shorten
from hf_seq2seq.ragged import Ragged

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hf_seq2seq.configs import PairTokenization

T = TypeVar("T")
PLAIN = (
    "{{ START }}{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% else %}{{ SEPARATOR }}{% endif %}{% endfor %}"
)
"""For a tokenizer without a template: an exchange has the format of a pair of source and target in `data.prompts`."""
TEMPLATE_SECONDS = 10.0
"""A template is a program, which may never end; formatting a conversation takes milliseconds."""
REWRITES = "the chat template changes earlier messages, so replies cannot be learned"


def prepare_chat(tokenizer: "PreTrainedTokenizerBase", separator: str) -> None:
    """Gives a tokenizer a chat template if it has none, and lets it parse the special tokens that templates contain.

    Args:
        tokenizer: modified in place.
        separator: text after messages other than the assistant's, for a tokenizer without a separator token.

    Raises:
        InputError: the tokenizer is not a fast one, or has no EOS.
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
    """The token that ends a reply: the one that the template adds after it, else EOS."""
    exchange = [{"role": role, "content": "a"} for role in ("user", ASSISTANT)]
    _, reply = _reply(tokenizer, exchange, 1, "the chat template")
    ids: list[int] = tokenizer(reply, add_special_tokens=False)["input_ids"]
    return ids[-1] if ids and ids[-1] in tokenizer.added_tokens_decoder else tokenizer.eos_token_id


class History(NamedTuple):
    """The input of a model before it replies.

    Attributes:
        ids: token ids.
        learned: whether each is to be learned: the assistant's own, including the ends of its turns.
        shortened: whether the oldest exchanges were dropped.
        cut: number of tokens truncated from the last exchange, if it was too long itself.
    """

    ids: np.ndarray
    learned: np.ndarray
    shortened: bool
    cut: int


class Window(NamedTuple):
    """A part of a conversation that makes one training row.

    Attributes:
        messages: as many messages as fit, up to a reply.
        first: index of the first message to learn; replies before it are learned in another window.
    """

    messages: Messages
    first: int


def encode_conversations(
    conversations: Conversations, tokenizer: "PreTrainedTokenizerBase", limits: "PairTokenization", learned: bool
) -> Examples:
    """Encodes conversations as sequences: the history is the source, the last reply the target.

    Args:
        conversations: the conversations of one split.
        tokenizer: a tokenizer with a chat template.
        limits: maximum history and reply lengths in tokens.
        learned: a conversation is one row, of which all replies are learned, or several if it is too long (`windows`);
            otherwise each reply is the target of a row, and the oldest exchanges before it are dropped.

    Raises:
        InputError: the template rejects a conversation, or changes earlier messages.
    """
    end, most = end_of_turn(tokenizer), limits.max_source_length
    rows, histories, replies, said = [], [], [], 0
    for number, messages in enumerate(conversations.messages, start=1):
        place = f"{conversations.place}: conversation {number}"
        if learned:
            parts = windows(messages, tokenizer, most, place)
            said += len(_tokens(tokenizer, write(tokenizer, messages[:-1], place, asks=True)))
        else:
            parts = [Window(messages[: index + 1], index) for index in reply_numbers(messages)]
        for part, first in parts:
            rows.append(part)
            histories.append(encode_history(part[:-1], tokenizer, most, place, first))
            replies.append(encode_reply(part, tokenizer, end, place))
    room = limits.max_target_length
    long = [max(0, len(ids) - room) for ids in replies]
    found = replace(conversations, messages=rows, replies=None) if learned else conversations.each_reply()
    counts = Dialogues(
        len(conversations), sum(len(reply_numbers(messages)) for messages in conversations.messages), len(rows),
        said + sum(map(len, replies)), sum(h.cut for h in histories) + sum(long), sum(map(bool, long)),
    )  # fmt: skip
    return Examples(
        source=Ragged.of(history.ids for history in histories),
        texts=found.transcripts,
        histories=found.histories,
        target=Ragged.of([*ids[:-1][: room - 1], end] for ids in replies),
        references=found.references,
        learned=Ragged.of(history.learned for history in histories),
        truncated=(sum(bool(h.cut) or (h.shortened and not learned) for h in histories), counts.cut),
        joined=True,
        made_of=counts if learned else None,
    )


def encode_reply(messages: Messages, tokenizer: "PreTrainedTokenizerBase", end: int, place: str) -> list[int]:
    """The tokens of the last message, a reply, including the one that ends it.

    Args:
        messages: a conversation.
        tokenizer: a tokenizer with a chat template.
        end: its `end_of_turn`.
        place: for errors.

    Raises:
        InputError: the template rejects it.
    """
    ids = _tokens(tokenizer, _reply(tokenizer, messages, len(messages) - 1, place)[1])
    return ids if ids[-1:] == [end] else [*ids, end]


def windows(messages: Messages, tokenizer: "PreTrainedTokenizerBase", limit: int | None, place: str) -> list[Window]:
    """Splits a conversation into overlapping parts that fit, so that each of its replies is learned exactly once.

    A part ends with a reply, and contains as many exchanges before it as fit. Only the replies in its second half are
    learned, because they have much context; the earlier ones are learned in the previous part. In the part at the
    beginning of the conversation all replies are learned.

    Args:
        messages: a conversation that ends with a reply.
        tokenizer: writes and encodes it.
        limit: tokens of a part before its last reply; None cuts nothing.
        place: for errors.

    Raises:
        InputError: the template refuses it.
    """
    found, waiting = [], reply_numbers(messages)
    while waiting:
        end = waiting[-1]
        part = latest_part(messages[:end], tokenizer, limit, place)
        left_out = end - len(part)
        first = _later_half(part) if left_out else 0
        found.append(Window([*part, messages[end]], first))
        waiting = [index for index in waiting if index < min(end, first + left_out)] if left_out else []
    return found[::-1]


def _later_half(messages: Messages) -> int:
    """The first message with more text before than after it."""
    ends = np.cumsum([len(message["content"]) for message in messages])
    return int(np.searchsorted(ends, ends[-1] / 2)) + 1


def _tokens(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def encode_history(
    messages: Messages,
    tokenizer: "PreTrainedTokenizerBase",
    limit: int | None,
    place: str = "the conversation",
    first: int = 0,
) -> History:
    """Encodes messages up to the assistant's next reply.

    If a history has more than `limit` tokens, the oldest exchanges are dropped, except for a system message; if the
    last exchange is too long itself, its oldest tokens.

    Args:
        messages: a history.
        tokenizer: writes and encodes it.
        limit: maximum number of tokens; None for no limit.
        place: for errors.
        first: index of the first message whose reply is learned.

    Raises:
        InputError: the template rejects it, or changes earlier messages.
    """
    part, (text, found) = messages, _encoded(messages, tokenizer, place)
    if limit is not None and len(found["input_ids"]) > limit:
        part = _shortened(messages, tokenizer, limit, place)
        text, found = _encoded(part, tokenizer, place)
    begins = np.array([begin for begin, _ in found["offset_mapping"]])
    learned = _learned(part, text, begins, tokenizer, place, first)
    ids = np.array(found["input_ids"], dtype=np.int32)
    start = 0 if limit is None else max(0, len(ids) - limit)
    return History(ids[start:], learned[start:], len(part) < len(messages), start)


def _encoded(messages: Messages, tokenizer: "PreTrainedTokenizerBase", place: str) -> tuple[str, Any]:
    """The text up to the assistant's next reply, and its tokens with their offsets."""
    text = write(tokenizer, messages, place, asks=True)
    return text, tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)


def latest_part(messages: Messages, tokenizer: "PreTrainedTokenizerBase", limit: int | None, place: str) -> Messages:
    """The messages without as many of the oldest exchanges as necessary to fit; a system message is kept.

    Args:
        messages: a history.
        tokenizer: writes and encodes it.
        limit: maximum number of tokens; if even the last exchange has more, it is returned alone.
        place: for errors.

    Raises:
        InputError: the template refuses it.
    """
    return messages if _fits(messages, tokenizer, limit, place) else _shortened(messages, tokenizer, limit, place)


def _fits(messages: Messages, tokenizer: "PreTrainedTokenizerBase", limit: int | None, place: str) -> bool:
    text = write(tokenizer, messages, place, asks=True)
    return limit is None or len(_tokens(tokenizer, text)) <= limit


def _shortened(messages: Messages, tokenizer: "PreTrainedTokenizerBase", limit: int | None, place: str) -> Messages:
    """The latest part of messages that do not fit as a whole."""
    first = 1 if messages[0]["role"] == "system" else 0
    starts = [i for i in range(first + 1, len(messages)) if messages[i - 1]["role"] == ASSISTANT]
    parts = [messages[:first] + messages[start:] for start in starts]
    # Each part is shorter than the previous one.
    fitting = bisect(parts, False, key=lambda part: _fits(part, tokenizer, limit, place))
    return parts[min(fitting, len(parts) - 1)] if parts else messages


def _learned(
    messages: Messages, text: str, begins: np.ndarray, tokenizer: "PreTrainedTokenizerBase", place: str, first: int
) -> np.ndarray:
    """Whether each token of a history's text, given its first character, is part of a reply from message `first` on."""
    learned = np.zeros(len(begins), dtype=np.int32)
    for index in reply_numbers(messages):
        if index >= first:
            start, reply = _reply(tokenizer, messages, index, place)
            if text[start : start + len(reply)] != reply:
                raise InputError(f"{place}: {REWRITES}")
            learned[(begins >= start) & (begins < start + len(reply))] = 1
    return learned


def _reply(tokenizer: "PreTrainedTokenizerBase", messages: Messages, index: int, place: str) -> tuple[int, str]:
    """Where a reply begins in the formatted text, and its text including the end of its turn."""
    before = write(tokenizer, messages[:index], place, asks=True)
    whole = write(tokenizer, messages[: index + 1], place, asks=False)
    if not whole.startswith(before):
        raise InputError(f"{place}: {REWRITES}")
    return len(before), whole[len(before) :].rstrip()


def write(tokenizer: "PreTrainedTokenizerBase", messages: Messages, place: str, asks: bool) -> str:
    """The formatted text; if it `asks`, up to the assistant's next reply.

    Raises:
        InputError: the template rejects the messages.
    """

    def apply() -> Any:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=asks)

    try:
        text = within(TEMPLATE_SECONDS, apply)
    except TemplateError as error:
        raise InputError(f"{place}: the tokenizer's chat template rejects it: {error}") from error
    except TimeoutError:
        raise InputError(f"{place}: the tokenizer's chat template does not terminate") from None
    except Exception as error:  # a template is an arbitrary program
        what = shorten(f"{type(error).__name__}: {error}")
        raise InputError(f"{place}: the tokenizer's chat template fails on it ({what})") from error
    assert isinstance(text, str)
    return text


def within(seconds: float, work: Callable[[], T]) -> T:
    """Runs work in a separate thread, which is abandoned on timeout.

    Raises:
        TimeoutError: it takes longer.
        Exception: raised by the work.
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
