"""Conversations for encoder-decoders: each reply is a target, and the previous turns are its source.

A source is formatted and encoded as by `tokenizer.apply_chat_template(messages, add_generation_prompt=True)`. A
tokenizer without a chat template gets one that names the speaker of each turn, between the special tokens of any text:
`user: hi assistant: hello user: a table for two</s>`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hf_seq2seq.data.chat import latest_part, write
from hf_seq2seq.data.conversations import Conversations
from hf_seq2seq.data.encoding import check_room, encode_targets, encode_written
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.messages import Messages, reply_numbers
from hf_seq2seq.ragged import Ragged

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hf_seq2seq.configs import PairTokenization
    from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers

NAMED_TURNS = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}"
    "{% if not loop.last %} {% endif %}{% endfor %}"
)


def prepare_turns(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Gives a tokenizer a chat template if it has none, and lets it parse the special tokens that templates contain."""
    if tokenizer.chat_template is None:
        parts = [tokenizer.convert_ids_to_tokens(ids) for ids in _wrapping(tokenizer)]
        before, after = [f"{{{{ {''.join(tokens)!r} }}}}" if tokens else "" for tokens in parts]
        tokenizer.chat_template = before + NAMED_TURNS + after
    tokenizer.split_special_tokens = tokenizer.init_kwargs["split_special_tokens"] = False


def _wrapping(tokenizer: "PreTrainedTokenizerBase") -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer adds before and after a text."""
    alone: list[int] = tokenizer("a", add_special_tokens=False)["input_ids"]
    wrapped: list[int] = tokenizer("a")["input_ids"]
    start = next(i for i in range(len(wrapped)) if wrapped[i : i + len(alone)] == alone)
    return wrapped[:start], wrapped[start + len(alone) :]


def encode_replies(
    conversations: Conversations, tokenizers: "Tokenizers", limits: "PairTokenization", start: int | None = None
) -> Examples:
    """Encodes one pair per reply of every conversation.

    Args:
        conversations: the conversations of one split.
        tokenizers: the source's has a chat template.
        limits: maximum source and target lengths in tokens.
        start: as for `encode_targets`.

    Raises:
        InputError: the template rejects a conversation, or a limit leaves no room for text.
    """
    check_room(limits.max_source_length, tokenizers.source.num_special_tokens_to_add(), "max_source_length")
    rows = conversations.each_reply()
    places = [
        f"{conversations.place}: conversation {number}"
        for number, messages in enumerate(conversations.messages, start=1)
        for _ in reply_numbers(messages)
    ]
    source, cut_sources = encode_histories(rows.histories, tokenizers.source, limits.max_source_length, places)
    replies = [references[0] for references in rows.references]
    target, cut_targets = encode_targets(replies, tokenizers.target, limits.max_target_length, start)
    return Examples(
        source=source,
        texts=rows.transcripts,
        histories=rows.histories,
        target=target,
        references=rows.references,
        truncated=(cut_sources, cut_targets),
    )


def encode_histories(
    histories: Sequence[Messages],
    tokenizer: "PreTrainedTokenizerBase",
    limit: int | None,
    places: Sequence[str] | None = None,
) -> tuple[Ragged, int]:
    """Encodes the history of each reply; returns the ids, and how many histories were truncated.

    If a history has more than `limit` tokens, the oldest exchanges are dropped, except for a system message; if the
    last exchange is too long itself, its oldest tokens.

    Args:
        histories: histories of at least one message.
        tokenizer: a tokenizer with a chat template.
        limit: maximum number of tokens, including special tokens; None for no limit.
        places: place of each history, for errors.

    Raises:
        InputError: the template rejects a history.
    """
    places = places or ["the conversation"] * len(histories)
    texts = [write(tokenizer, *row, asks=True) for row in zip(histories, places, strict=True)]
    whole = encode_written(texts, tokenizer)
    if limit is None or whole.lengths.max(initial=0) <= limit:
        return whole, 0
    rows = [whole[row] for row in range(len(whole))]
    long = np.flatnonzero(whole.lengths > limit).tolist()
    for row in long:
        part = latest_part(histories[row], tokenizer, limit, places[row])
        ids = encode_written([write(tokenizer, part, places[row], asks=True)], tokenizer)[0]
        rows[row] = _latest_tokens(ids, limit, [i for i in tokenizer.all_special_ids if i != tokenizer.unk_token_id])
    return Ragged.of(rows), len(long)


def _latest_tokens(ids: np.ndarray, limit: int, special: Sequence[int]) -> np.ndarray:
    """The special tokens at the beginning of the ids, and as many of the last tokens as fit."""
    start = int(np.argmin(np.isin(ids, special)))
    return np.concatenate([ids[:start], ids[start + max(0, len(ids) - limit) :]])
