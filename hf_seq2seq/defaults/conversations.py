"""Metrics, vocabulary and amount of conversations, from their messages and replies."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hf_seq2seq.data.text_kinds import SENTENCES, UNSPACED, Side
from hf_seq2seq.defaults.pairs import TOKENIZERS, size_reason, subword_size
from hf_seq2seq.sections import Choice

MOST_REPLIES = 2_000
"""Replies of validation, all generated in every evaluation: the standard error of an accuracy is about one point."""


@dataclass(frozen=True)
class Exchanges:
    """What conversations look like.

    Attributes:
        messages: all messages.
        replies: the assistant's, which are learned.
        different: replies that are not repetitions.
    """

    messages: Side
    replies: Side
    different: int

    @classmethod
    def of(cls, messages: Side, replies: Side, texts: Sequence[str]) -> "Exchanges":
        """Conversations are prose, however short their messages are: nobody knows what a user will say."""
        kinds = [SENTENCES if side.kind != UNSPACED else UNSPACED for side in (messages, replies)]
        return cls(replace(messages, kind=kinds[0]), replace(replies, kind=kinds[1]), len(set(texts)))


def validated_choices(sets: Sequence[Sequence[int]]) -> Iterator[Choice]:
    """The first conversations of each validation set, enough to choose a checkpoint by, where there are many.

    Args:
        sets: of every set the replies of each conversation.
    """
    replies = sum(map(sum, sets))
    if replies > MOST_REPLIES:
        sizes = range(1, max(map(len, sets)) + 1)
        fitting = bisect_right(sizes, MOST_REPLIES, key=lambda most: sum(sum(found[:most]) for found in sets))
        reason = f"about {MOST_REPLIES:,} of {replies:,} replies are enough to choose a checkpoint by"
        yield Choice("max_eval_samples", max(1, fitting), reason)


def reply_metric_choices(found: Exchanges, validated: bool) -> Iterator[Choice]:
    """Per-response accuracy where replies repeat, as of systems for tasks, and BLEU and chrF where they are free.

    BLEU counts runs of four words: where few replies have as many, it would be 0.

    Paper: Bordes, Boureau and Weston, 2017, section 4, https://arxiv.org/abs/1605.07683
    """
    repeated = 2 * found.different <= found.replies.rows
    reason = f"{found.different:,} different replies of {found.replies.rows:,}"
    of_words = ("bleu",) if found.replies.words >= 4 else ()
    yield Choice("metrics", ("exact_match", *(of_words or ("chrf",))) if repeated else (*of_words, "chrf"), reason)
    if validated:
        free = "chrf" if found.replies.kind == UNSPACED or not of_words else "bleu"
        yield Choice("metric_for_best_model", "exact_match" if repeated else free, reason, ("metrics",))


def turn_tokenizer_choices(found: Exchanges) -> Iterator[Choice]:
    """One vocabulary of subwords for all messages, of a size as for pairs (`pairs.tokenizer_choices`)."""
    side = found.messages
    size = max(subword_size(side), 2 * side.alphabet + 64)
    if side.kind == UNSPACED:
        yield Choice("tokenizer_type", TOKENIZERS[UNSPACED], f"messages: {side}", ("tokenizer_name",))
    yield Choice("vocab_size", min(32_000, size), size_reason(side), ("tokenizer_name", "tokenizer_type"))
