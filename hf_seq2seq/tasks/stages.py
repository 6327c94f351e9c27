"""Runs in stages: the rows of every named set, and a task whose training rows come stage by stage."""

from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from hf_seq2seq.configs import PairData, TextRunConfig
from hf_seq2seq.data.conversations import Conversations
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.pairs import Pairs, read_pairs
from hf_seq2seq.data.preferences import Preferences, joined
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.data.stage_files import StageFile, check_end, read_stages
from hf_seq2seq.data.stages import StageRows, Steps, modified
from hf_seq2seq.data.tabbed_text import split_at_tabs
from hf_seq2seq.defaults.choosing import settle
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives.candidates import CandidateObjective
from hf_seq2seq.objectives.objective import Objective
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.sections import Choice, flag
from hf_seq2seq.task import Task
from hf_seq2seq.training.processes import world_size

C = TypeVar("C", bound=TextRunConfig)
LEARNED = 20_000
"""Most rows that a new tokenizer also learns from as they are modified."""
OPEN = ("max_steps", "num_train_epochs", "eval_steps", "early_stopping_patience", "logging_steps", "warmup_steps")
"""Options that the rows would decide, were there no stages."""


@dataclass(frozen=True)
class StagedPairs(Pairs):
    """The pairs of all sets, one set after the other.

    Attributes:
        file: the stages.
        sizes: the pairs of each set, by name.
        modified_sources: sources as modifiers write them, from which a new tokenizer also learns.
        modified_targets: the same of targets.
    """

    file: StageFile | None = None
    sizes: tuple[tuple[str, int], ...] = ()
    modified_sources: tuple[str, ...] = ()
    modified_targets: tuple[str, ...] = ()


def are_modified(rows: Any) -> bool:
    """Whether a stage modifies the rows, so that their texts differ from those that were read."""
    return isinstance(rows, StagedPairs) and rows.file is not None and any(s.modifiers for s in rows.file.stages)


def texts_to_learn(rows: Pairs | Conversations) -> tuple[Sequence[str], Sequence[str]]:
    """Sources and targets that a new tokenizer learns from; where stages modify rows, also some of those."""
    if not isinstance(rows, StagedPairs):
        return rows.sources, rows.targets
    return [*rows.sources, *rows.modified_sources], [*rows.targets, *rows.modified_targets]


def read_staged(config: TextRunConfig, data: PairData) -> dict[str, Pairs]:
    """The pairs of all sets as training rows, and the other splits as without stages.

    Raises:
        InputError: options do not go with stages, or a set cannot be read; names its place in the file.
    """
    file = read_stages(str(config.staging.stages))
    _check(config, data, file)
    found: list[Pairs] = []
    others: dict[str, Pairs] = {}
    for name, (path, line) in file.sets.items():
        own = replace(data, train_file=path, validation_split_percentage=0)
        own = replace(own, validation_file=None, test_file=None) if found else own
        try:
            pairs = read_pairs(load_splits(own, arrange=split_at_tabs), own)
        except InputError as error:
            raise InputError(f"{file.path}:{line}: set {name!r}: {error}") from error
        found.append(pairs.pop("train"))
        others |= pairs
    sizes = tuple(zip(file.sets, map(len, found), strict=True))
    rows = StagedPairs(
        [text for own in found for text in own.sources],
        [texts for own in found for texts in own.references],
        found[0].columns,
        preferences=_preferences([own.preferences for own in found], file),
        file=file,
        sizes=sizes,
    )
    return {"train": _with_modified(rows, config.run.seed), **others}


def _preferences(parts: Sequence[Preferences | None], file: StageFile) -> Preferences | None:
    """The better and the worse outputs of all sets.

    Raises:
        InputError: some sets have none, or modifiers would change their sources alone.
    """
    having = [name for name, part in zip(file.sets, parts, strict=True) if part is not None]
    if not having:
        return None
    if lacking := next((name for name in file.sets if name not in having), None):
        raise InputError(f"{file.path}: set {lacking!r} has no chosen and rejected outputs, but {having[0]!r} does")
    if any(stage.modifiers for stage in file.stages):
        raise InputError(f"{file.path}: modifiers do not change chosen and rejected outputs; leave out one of them")
    return joined(parts)


def _check(config: TextRunConfig, data: PairData, file: StageFile) -> None:
    for name in ("train_file", "dataset_name"):
        if getattr(data, name) is not None:
            raise InputError(f"{flag(name)} and --stages: the training rows are the sets of {file.path}; leave it out")
    if data.validation_split_percentage:
        raise InputError("--validation-split-percentage and --stages: give --validation-file instead")
    if config.curriculum.curriculum is not None:
        raise InputError("--curriculum and --stages: both order the rows; leave out one of them")
    if config.schedule.max_steps is None and not config.schedule.limits():
        check_end(file)
    if config.given is not None and "num_train_epochs" in config.given:
        raise InputError("--num-train-epochs and --stages: the stages say how long; give --max-steps to end before")


def _with_modified(rows: StagedPairs, seed: int) -> StagedPairs:
    """Adds rows that every modifier of any stage has changed, at most `LEARNED`."""
    assert rows.file is not None
    every = (replace(modifier, probability=1.0) for stage in rows.file.stages for modifier in stage.modifiers)
    modifiers = {(modifier.name, *sorted(modifier.options.items())): modifier for modifier in every}
    texts = Examples(Ragged.of([]), rows.sources, references=rows.references)
    numbers = np.arange(0, len(rows), max(1, len(modifiers) * len(rows) // LEARNED))
    changed = [
        pair for each in modifiers.values() for pair in modified(texts, numbers, (each,), (seed, len(rows))).values()
    ]
    return replace(
        rows,
        modified_sources=tuple(source for source, _ in changed),
        modified_targets=tuple(target for _, target in changed),
    )


def refuse_lost_references(objective: Objective, rows: Any) -> None:
    """Rejects scores of outputs for rows that stages modify, of which only the first target is known as modified.

    Raises:
        InputError: rows have more references, or the metric reads sources.
    """
    if not isinstance(objective, CandidateObjective) or not are_modified(rows):
        return
    several = sum(len(texts) > 1 for texts in rows.references)
    lost = f"{several:,} rows have several references" if several else "the metric reads sources"
    if several or objective.reads_sources:
        raise InputError(
            f"{rows.file.path}: outputs of modified rows are scored against their first target alone, and {lost}; "
            "leave out the modifiers"
        )


def settle_stages(config: C, rows: Sized) -> C:
    """The configuration without the steps and evaluations that were chosen by the rows: the stages say how long."""
    if not isinstance(rows, StagedPairs):
        return config
    chosen = [choice.name for choice in config.derived if choice.name in OPEN]
    kept = tuple(choice for choice in config.derived if choice.name not in OPEN)
    defaults: dict[str, Any] = {item.name: item.default for item in fields(config.schedule) if item.name in chosen}
    settled = replace(config, derived=kept, schedule=replace(config.schedule, **defaults))
    if "warmup_steps" not in chosen:
        return settled
    return settle(settled, [Choice("warmup_ratio", 0.1, "the stages settle the steps", ("warmup_steps",))])


def with_stages(task: Task, rows: Sized, encode: Callable[[Pairs], Examples]) -> Task:
    """The task with its training rows in stages; its epochs are the stages' chunks, all of them unless steps are given.

    Args:
        task: any kind of pairs.
        rows: its training rows.
        encode: makes examples of pairs.
    """
    if not isinstance(rows, StagedPairs) or rows.file is None:
        return task
    optimization, columns = task.config.optimization, rows.columns
    steps = Steps(
        optimization.per_device_train_batch_size,
        optimization.max_tokens_per_batch,
        optimization.gradient_accumulation_steps * world_size(),
    )

    def encode_texts(sources: list[str], targets: list[str]) -> Examples:
        return encode(Pairs(sources, [[target] for target in targets], columns))

    staged = StageRows(
        task.training_rows, dict(rows.sizes), rows.file.stages, steps, encode_texts, task.config.run.seed
    )
    schedule = replace(task.config.schedule, num_train_epochs=float(len(staged.chunks)))
    return replace(task, presented=staged, config=replace(task.config, schedule=schedule))


def refuse_stages(config: TextRunConfig, what: str) -> None:
    """Rejects stages of other rows than pairs.

    Raises:
        InputError: there are stages; `what` names the rows.
    """
    if config.staging.stages is not None:
        raise InputError(f"--stages: needs pairs, not {what}; leave it out")
