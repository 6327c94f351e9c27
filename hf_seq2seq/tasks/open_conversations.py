"""Options that were left open for conversations, chosen by `hf_seq2seq.defaults` from their messages and replies."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import TYPE_CHECKING, TypeVar

from hf_seq2seq.configs import RunConfig, TextRunConfig
from hf_seq2seq.data.conversations import Conversations
from hf_seq2seq.data.encoding import encode_targets
from hf_seq2seq.data.evaluation_sets import rows_of, sets_of
from hf_seq2seq.data.messages import Messages, reply_numbers
from hf_seq2seq.data.replies import encode_histories, prepare_turns
from hf_seq2seq.data.text_kinds import Side, look_at
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.defaults.choosing import settle
from hf_seq2seq.defaults.conversations import (
    Exchanges,
    reply_metric_choices,
    turn_tokenizer_choices,
    validated_choices,
)
from hf_seq2seq.defaults.schedules import (
    Lengths,
    length_choices,
    schedule_choices,
    settle_given,
    shared_length_choices,
    usual_passes,
)
from hf_seq2seq.metrics import TEXT_METRICS, check_metrics
from hf_seq2seq.saved.run_settings import UNBOUNDED
from hf_seq2seq.sections import Choice
from hf_seq2seq.training.processes import shared_by

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

C = TypeVar("C", bound=RunConfig)
T = TypeVar("T", bound=TextRunConfig)
V = TypeVar("V")
MEASURED = 2_000
"""Rows of a sample, and rows with most characters, of which the longest in tokens is looked for."""


def settle_validated(config: C, rows: Mapping[str, Conversations]) -> tuple[C, Mapping[str, Conversations]]:
    """Chooses how many conversations of each validation set are read, and leaves out the others."""
    sets = sets_of(rows, "validation")
    replies = [[len(reply_numbers(messages)) for messages in rows[name].messages] for name in sets]
    chosen = settle(config, validated_choices(replies))
    if chosen.derived == config.derived:
        return config, rows
    most = chosen.derived[-1].value
    return chosen, {name: each.first(most) if name in sets else each for name, each in rows.items()}


def settle_conversations(
    config: C, train: Conversations, validated: bool, model: Callable[[Side, Side], Iterator[Choice]] | None
) -> C:
    """Chooses metrics, and for a model from scratch its vocabulary and size.

    Args:
        config: the recipe's.
        train: the training rows.
        validated: whether there are validation rows.
        model: the choices of a new model; None where a checkpoint is fine-tuned.
    """
    if config.given is None:
        return config
    found = exchanges(train)
    config = settle(config, giving(config, reply_metric_choices(found, validated)))
    if model is None:
        return config
    config = settle(config, turn_tokenizer_choices(found))
    return settle(config, model(found.replies, found.replies))


def giving(config: RunConfig, choices: Iterable[Choice]) -> list[Choice]:
    """The choices, without metrics that lack the score by which a flag selects the best checkpoint."""
    named = config.schedule.metric_for_best_model
    if "metric_for_best_model" not in (config.given or ()):
        return list(choices)
    return [c for c in choices if c.name != "metrics" or named.removeprefix("eval_") in _scores(c.value)]


def _scores(metrics: Iterable[str]) -> set[str]:
    return {"loss"}.union(*(metric.keys for metric in check_metrics(tuple(metrics), TEXT_METRICS).values()))


def exchanges(train: Conversations) -> Exchanges:
    """What the messages and the replies look like."""
    replies = train.targets
    return Exchanges.of(look_at(train.sources), look_at(replies), replies)


def settle_turns(
    config: T, conversations: Mapping[str, Conversations], tokenizers: Tokenizers, most: int | None, new: bool
) -> T:
    """Chooses lengths, and for a model from scratch batches, steps and evaluations; a reply is a row.

    Args:
        config: the recipe's.
        conversations: of every split.
        tokenizers: of the model; the source's gets a chat template if it has none.
        most: the model's positions; None where nothing limits them.
        new: whether the model starts from scratch.
    """
    prepare_turns(tokenizers.source)
    longest = longest_turns(conversations.values(), tokenizers)
    config = settle(config, length_choices(longest, most, most))
    if not new:
        return config
    train = conversations["train"].each_reply()
    step = -(-len(train) // MEASURED)
    histories, limits = train.histories[::step], config.tokens
    sources = encode_histories(histories, tokenizers.source, limits.max_source_length)[0].lengths
    replies = [references[0] for references in train.references[::step]]
    targets = encode_targets(replies, tokenizers.target, limits.max_target_length)[0].lengths
    lengths = Lengths(
        len(train),
        min(longest.source, limits.max_source_length),
        min(longest.target, limits.max_target_length),
        float(sources.mean() + targets.mean()),
    )
    rows = {name: each.each_reply() for name, each in conversations.items()}
    return settle_steps(config, (None, exchanges(conversations["train"]).replies), lengths, rows)


def settle_shared_turns(
    config: T, conversations: Mapping[str, Conversations], tokenizer: "PreTrainedTokenizerBase", most: int | None
) -> T:
    """Chooses the lengths of histories and replies that share one sequence, given a tokenizer with a chat template."""
    if config.given is None:
        return config
    longest = longest_turns(conversations.values(), Tokenizers(tokenizer, tokenizer))
    return settle(config, shared_length_choices(longest, most))


def settle_steps(config: T, sides: tuple[Side | None, Side], lengths: Lengths, splits: Mapping[str, Sized]) -> T:
    """Chooses batches, steps and evaluations of a model from scratch that writes targets.

    Args:
        config: the recipe's.
        sides: what the sources look like, if they are single texts, and the targets.
        lengths: tokens of the training rows.
        splits: all rows.
    """
    validation, timed = rows_of(splits, "validation"), bool(config.schedule.limits())
    passes = usual_passes(sides, lengths, shared_by(config.run), sampled=bool(config.subwords.asked_for))
    config = settle(config, schedule_choices(sides, lengths, passes, validation, timed))
    return settle_given(config, lengths, passes.epochs, passes.processes)


def longest_turns(conversations: Iterable[Conversations], tokenizers: Tokenizers) -> Lengths:
    """Tokens of the longest history and of the longest reply, and the number of training rows that have them."""
    every = list(conversations)
    histories = longest_rows([row for rows in every for row in rows.histories], characters)
    replies = longest_rows([text for rows in every for text in rows.targets], len)
    source = encode_histories(histories, tokenizers.source, None)[0].lengths.max()
    target = encode_targets(replies, tokenizers.target, UNBOUNDED)[0].lengths.max()
    return Lengths(len(every[0]), int(source), int(target), 0.0)


def characters(messages: Messages) -> int:
    """Characters of a history."""
    return sum(len(message["content"]) for message in messages)


def longest_rows(rows: Iterable[V], size: Callable[[V], int]) -> list[V]:
    """The `MEASURED` rows with most characters."""
    return sorted(rows, key=size)[-MEASURED:]
