"""Lengths, batches, steps and evaluations, from the tokens of the training rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from hf_seq2seq.configs import Optimization, RunConfig, Schedule
from hf_seq2seq.data.text_kinds import Side
from hf_seq2seq.defaults.choosing import settle
from hf_seq2seq.defaults.pairs import CHARACTER_MODELS, are_summaries, summaries_reason
from hf_seq2seq.sections import Choice

C = TypeVar("C", bound=RunConfig)

LONGEST_SOURCE, LONGEST_TARGET = 1024, 512
"""Tokens; what is longer is cut, unless a flag allows more."""
EVALUATIONS, FEWEST_EVALUATIONS = 20, 5
FEWEST_EPOCHS = 4.0
MOST_STEPS = 12_000
"""Optimizer steps that are enough, if they are `FEWEST_EPOCHS`: rows of hundreds of tokens fill many batches."""
FEWEST_WARMED = 100
"""The fewest steps of a given length that begin with a warm-up."""
SUMMARY_SHARE = 1 / 8
"""Summaries are learned from scratch in this share of the epochs of other sentences: on 1,992 abstracts the validation
loss was lowest after 6 of 60 epochs, and rose from then on."""


@dataclass(frozen=True)
class Lengths:
    """Tokens of the training rows.

    Attributes:
        rows: training rows.
        source: longest source.
        target: longest target.
        mean: of source and target together.
    """

    rows: int
    source: int
    target: int
    mean: float


def length_choices(lengths: Lengths, source: int | None = None, target: int | None = None) -> Iterator[Choice]:
    """Limits under which nothing is cut, as far as memory and the model's positions for source and target allow.

    Texts that come later may be a little longer than those of training.
    """
    for name, longest, most, positions in (
        ("max_source_length", lengths.source, LONGEST_SOURCE, source),
        ("max_target_length", lengths.target, LONGEST_TARGET, target),
    ):
        limit = min(longest + max(8, longest // 5), most, positions or most)
        more = ", plus a fifth or at least 8 for longer texts" if limit > longest else ""
        yield Choice(name, max(limit, 8), f"the longest row has {longest:,} tokens{more}")


def shared_length_choices(lengths: Lengths, positions: int | None = None) -> Iterator[Choice]:
    """`length_choices` for a model that has source and target in one sequence: both fit into its positions together."""
    if positions is None:
        yield from length_choices(lengths)
        return
    target = next(
        choice for choice in length_choices(lengths, target=positions // 2) if choice.name == "max_target_length"
    )
    source = next(iter(length_choices(lengths, positions - target.value)))
    yield from (source, target)


@dataclass(frozen=True)
class Passes:
    """How often the rows are read, and in which batches.

    Attributes:
        epochs: passes over the rows.
        budget: padded tokens of an optimizer step, all processes together.
        processes: that share a step, so that it has as many tokens on several as on one.
    """

    epochs: float
    budget: int
    processes: int = 1


def usual_passes(
    sides: tuple[Side | None, Side], lengths: Lengths, processes: int = 1, sampled: bool = False
) -> Passes:
    """The passes of a model from scratch that writes targets, by its rows; see `enough_epochs`."""
    return Passes(enough_epochs(*sides, sampled), token_budget(sides[1], lengths), processes)


def schedule_choices(
    sides: tuple[Side | None, Side], lengths: Lengths, passes: Passes, validation: int, timed: bool = False
) -> Iterator[Choice]:
    """Token budget, optimizer steps, warm-up and evaluations of a model from scratch that writes targets.

    Summaries do not repeat three words (Paulus, Xiong and Socher, 2018, section 2.5, https://arxiv.org/abs/1705.04304).

    Args:
        sides: the sources, if they are single texts, and the targets.
        lengths: tokens of the rows.
        passes: over the rows, and their batches.
        validation: rows of validation.
        timed: whether a time limit settles the steps, which are a maximum then.
    """
    source, target = sides
    yield from step_choices(lengths, passes, validation, timed)
    if source is not None and are_summaries(source, target):
        yield Choice("no_repeat_ngram_size", 3, summaries_reason(source, target), ("do_sample",))
    yield Choice("label_smoothing_factor", 0.1, "a model from scratch", ("loss_type",))
    yield Choice("num_beams", 5, "final scores by beam search", ("do_sample",))
    yield Choice("eval_beams", 1, "evaluations during training are greedy", ("num_beams",))


def step_choices(lengths: Lengths, passes: Passes, validation: int, timed: bool = False) -> Iterator[Choice]:
    """Token budget of a process, optimizer steps, warm-up and evaluations.

    Steps, and all that goes by them, are the same for any number of processes: each takes its share of a batch, but
    never less than the longest row.
    """
    per_epoch = max(1.0, lengths.rows * lengths.mean * 1.1 / passes.budget)
    epochs = min(passes.epochs, max(FEWEST_EPOCHS, MOST_STEPS / per_epoch))
    steps = max(1, round(per_epoch * epochs))
    why = f"{lengths.rows:,} rows of {lengths.mean:.0f} tokens"
    why += f"; {passes.budget:,} shared by {passes.processes} processes" if passes.processes > 1 else ""
    share = max(-(-passes.budget // passes.processes), lengths.source + lengths.target)
    yield Choice("max_tokens_per_batch", share, why, ("per_device_train_batch_size",))
    batches = ("per_device_train_batch_size", "gradient_accumulation_steps", "max_tokens_per_batch")
    chosen = ("num_train_epochs", "max_steps", *batches)
    reason = f"{epochs:.0f} epochs of about {per_epoch:.0f} steps"
    reason = "at most: the time limit settles the steps" if timed else reason
    yield Choice("max_steps", steps, reason, chosen)
    yield Choice("logging_steps", max(1, min(50, steps // 40)), reason, chosen)
    if not timed:  # else see `warmup_choices`
        yield Choice("warmup_steps", max(1, min(800, steps // 8)), reason, (*chosen, "warmup_ratio"))
    yield Choice("lr_scheduler_type", "cosine", "the learning rate falls to 0 by the last step", chosen)
    if validation and not timed:
        count = evaluations(lengths.rows * epochs, validation)
        every, reason = max(1, round(steps / count)), f"{count} evaluations"
        yield Choice("eval_steps", every, reason, chosen)
        yield Choice("early_stopping_patience", round(0.4 * count), reason, (*chosen, "eval_steps"))


def evaluations(trained: float, validation: int) -> int:
    """Evaluations during a training: 20, or fewer if they read more than twice as many rows as the training does.

    Args:
        trained: training rows times epochs.
        validation: rows of validation.
    """
    return min(EVALUATIONS, max(FEWEST_EVALUATIONS, round(2 * trained / validation)))


def settle_given(config: C, lengths: Lengths, epochs: float, processes: int) -> C:
    """Closes what is left open where steps, epochs or the size of batches are given: a warm-up, and for batches epochs.

    Args:
        config: whose steps are chosen unless one of these is given.
        lengths: tokens of the rows.
        epochs: passes over them that are enough.
        processes: that share a step.
    """
    if not config.schedule.limits():
        passes = Choice("num_train_epochs", float(round(epochs)), f"{lengths.rows:,} rows", ("max_steps",))
        config = settle(config, [passes])
    return settle(config, warmup_choices(config.schedule, config.optimization, lengths, processes))


def warmup_choices(
    schedule: Schedule, optimization: Optimization, lengths: Lengths, processes: int = 1
) -> Iterator[Choice]:
    """A warm-up for a run whose length is given, or settled by a time limit.

    The rates of models from scratch are too high for a sudden start: on 2,000 pairs of Multi30k, a Transformer of
    1,000 steps has a BLEU of 12.2 without a warm-up and of 17.8 with it (test2016, greedy, one seed).
    """
    budget = optimization.max_tokens_per_batch
    size = budget / (1.1 * lengths.mean) if budget else optimization.per_device_train_batch_size
    size *= optimization.gradient_accumulation_steps * processes
    steps = schedule.max_steps or schedule.num_train_epochs * lengths.rows / size
    if schedule.limits():
        yield Choice("warmup_ratio", 0.1, "the time limit settles the steps", ("warmup_steps",))
    elif steps >= FEWEST_WARMED:
        yield Choice("warmup_ratio", 0.1, "a model from scratch", ("warmup_steps", "lr_scheduler_type"))


def enough_epochs(source: Side | None, target: Side, sampled: bool = False) -> float:
    """Passes over the rows until small models have converged: fewer the more rows there are, and for summaries.

    Args:
        source: what the sources look like, if they are single texts.
        target: what the targets look like.
        sampled: whether their subwords are sampled, which show each word in many ways and need twice the passes.
    """
    if target.kind in CHARACTER_MODELS:
        epochs = min(100.0, max(8.0, 40 * (8_000 / target.rows) ** 0.4))
    else:
        epochs = min(60.0, max(FEWEST_EPOCHS, 16 * (29_000 / target.rows) ** 0.5))
        if source is not None and are_summaries(source, target):
            epochs = max(FEWEST_EPOCHS, epochs * SUMMARY_SHARE)
    return 2 * epochs if sampled else epochs


def token_budget(side: Side, lengths: Lengths) -> int:
    """Padded tokens per batch: at least 25 steps per epoch where there are few rows, and room for the longest row."""
    usual = 1_600 if side.kind in CHARACTER_MODELS else 3_584
    few = lengths.rows * lengths.mean / 25
    return int(max(min(usual, few), 512, lengths.source + lengths.target))
