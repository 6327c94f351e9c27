"""How open options are closed: `settle` sets what the rules of this package chose, `describe` tells it.

A given flag always wins, the same rows give the same values, and each value has the reason that a run and `preview`
print.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from hf_seq2seq.configs import RunConfig
from hf_seq2seq.data.columns.conventions import OF_LABELS, OF_PAIRS
from hf_seq2seq.sections import Choice, options

C = TypeVar("C", bound=RunConfig)

ROWS_TO_HOLD_OUT = 100
"""The fewest training rows of which a share is held out for validation."""
MOST_HELD_OUT = 1_000
"""Rows that are enough to choose a checkpoint by."""
DERIVABLE = frozenset(
    {
        *("block_size", "tokenizer_type", "target_tokenizer_type", "vocab_size", "target_vocab_size"),
        "source_normalization",
        *("hidden_size", "embedding_size", "initializer_range", "dropout", "position_embedding_type", "d_model"),
        "attention",
        *(f"{side}_{name}" for side in ("encoder", "decoder") for name in ("layers", "ffn_dim", "attention_heads")),
        *("metrics", "metric_for_best_model", "max_source_length", "max_target_length", "max_tokens_per_batch"),
        *("max_steps", "num_train_epochs", "logging_steps", "warmup_steps", "warmup_ratio", "lr_scheduler_type"),
        *("learning_rate", "optim", "scale_parameter", "label_smoothing_factor", "num_beams", "eval_beams"),
        *("no_repeat_ngram_size", "eval_steps", "early_stopping_patience", "validation_split_percentage"),
        "max_eval_samples",
        *("length_penalty", "source_prefix", *OF_PAIRS, *OF_LABELS),
    }
)
"""The options that the rules of this module choose."""


def settle(config: C, choices: Iterable[Choice]) -> C:
    """The configuration with the choices whose options were left open, all of them noted as `derived`.

    A configuration that Python made of sections has no open options.
    """
    if config.given is None:
        return config
    places = options(type(config))
    closed = config.given | {choice.name for choice in config.derived}
    open_ones = (c for c in choices if c.name in places and not closed.intersection((c.name, *c.unless)))
    taken = [choice for choice in open_ones if _fits(config, choice)]
    sections: dict[str, dict[str, object]] = {}
    for choice in taken:
        sections.setdefault(places[choice.name][0], {})[choice.name] = choice.value
    changed = {name: replace(getattr(config, name), **values) for name, values in sections.items()}
    return replace(config, derived=(*config.derived, *taken), **changed)


def _fits(config: RunConfig, choice: Choice) -> bool:
    """Whether a value can stand beside what was given.

    Bytes have a vocabulary of their own size, a constant rate no warm-up, and rotary positions rotate pairs of the
    numbers of a head.
    """
    if choice.name in ("warmup_steps", "warmup_ratio"):
        return config.schedule.lr_scheduler_type != "constant"
    if choice.name in ("vocab_size", "target_vocab_size"):
        return not getattr(config.tokens, "is_bytes", False)
    if choice.value == "rotary":
        model: Any = config
        width, heads = model.model.d_model, (model.model.encoder_attention_heads, model.model.decoder_attention_heads)
        return all(width // count % 2 == 0 for count in heads)
    return True


def describe(choices: Sequence[Choice]) -> list[str]:
    """A line for each reason, with the values that it decided, in order."""
    return [f"{values}: {reason}" for reason, values in _by_reason(choices).items()]


def _by_reason(choices: Sequence[Choice]) -> dict[str, str]:
    reasons: dict[str, list[str]] = {}
    for choice in choices:
        value = ",".join(map(str, choice.value)) if isinstance(choice.value, tuple) else f"{choice.value}"
        reasons.setdefault(choice.reason, []).append(f"{choice.name} {value}")
    return {reason: ", ".join(values) for reason, values in reasons.items()}


def describe_briefly(config: RunConfig) -> list[str]:
    """A line for each section of options, of the values that differ from those that `--help` shows, with reasons."""
    places, sections = options(type(config)), dict[str, list[Choice]]()
    for choice in config.derived:
        section, item = places[choice.name]
        if choice.value != item.default:
            sections.setdefault(section, []).append(choice)
    told = [
        f"{section}: " + "; ".join(f"{values} ({reason})" for reason, values in _by_reason(choices).items())
        for section, choices in sections.items()
    ]
    same = len(config.derived) - sum(map(len, sections.values()))
    usual = f", beside {same} that {'is' if same == 1 else 'are'} as in --help" if same else ""
    return [f"chosen from the rows{usual}; `preview` tells each on its own:", *told] if config.derived else []


def validation_choices(rows: int, available: int) -> Iterator[Choice]:
    """A share of the training rows to validate on, where no validation set is given; none of very few rows.

    Args:
        rows: that are trained on; fewer than there are with `max_train_samples`.
        available: that the share is of.
    """
    if rows >= ROWS_TO_HOLD_OUT:
        part = min(10.0, 100 * MOST_HELD_OUT / rows)
        share = float(f"{part * rows / available:.3g}")
        trained = f"{rows:,} that are trained on" if rows < available else f"{rows:,} training rows"
        ratio = "a tenth" if part == 10 else f"{part:.3g} %"
        held_out = f"{round(available * share / 100):,} rows, {ratio} of the {trained}"
        reason = f"no validation set is given; these are {held_out}; 0 holds none out"
        yield Choice("validation_split_percentage", share, reason)
