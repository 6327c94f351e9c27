"""Runs on a mixture of tasks, or of languages: each is sampled at its rate, and evaluated separately."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from hf_seq2seq.configs import Evaluation, Mixing, PairsOrDialogue
from hf_seq2seq.data.by_direction import chosen_pairs
from hf_seq2seq.data.evaluation_sets import name_of, sets_of
from hf_seq2seq.data.messages import OBJECTIVE as DIALOGUE
from hf_seq2seq.data.mixtures import (
    Member,
    MixedRows,
    Mixture,
    all_metrics,
    mix,
    mix_directions,
    read_member_pairs,
    read_members,
)
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.defaults.choosing import settle, validation_choices
from hf_seq2seq.defaults.pairs import metric_choices
from hf_seq2seq.errors import InputError
from hf_seq2seq.run_configs import AnySeq2SeqRun, HandBuiltRun, Seq2SeqRun
from hf_seq2seq.saved.positions import longest_of_sides
from hf_seq2seq.sections import Choice, flag
from hf_seq2seq.task import Task
from hf_seq2seq.tasks.curricula import refuse_curriculum
from hf_seq2seq.tasks.languages import in_many_languages, with_languages, with_tags
from hf_seq2seq.tasks.open_options import ModelChoices, settle_rows, settle_schedule
from hf_seq2seq.tasks.pairs import Rows, encoded_task, open_pairs, pair_task
from hf_seq2seq.tasks.stages import refuse_stages
from hf_seq2seq.training.checks import check_run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

C = TypeVar("C", bound=Seq2SeqRun | HandBuiltRun | AnySeq2SeqRun)


def check_mixed_run(config: Seq2SeqRun | HandBuiltRun | AnySeq2SeqRun, model_type: str) -> tuple[Member, ...]:
    """`check_run` for the metrics and sets of every task; returns the tasks, empty without a mixture.

    Raises:
        InputError: also for mixture flags without a mixture, flags incompatible with it, and errors in its file.
    """
    options = config.mixture
    if options.mixture is None:
        check_run(config, "seq2seq", model_type)
        return ()
    if _objective(config) != ("supervised",):
        raise InputError("--objective and --mixture: a mixture has pairs; leave out one of them")
    refuse_curriculum(config, "a mixture")
    refuse_stages(config, "a mixture")
    members = read_members(options, config.data, config.evaluation)
    measured = dataclasses.replace(config, evaluation=Evaluation(metrics=all_metrics(members)))
    check_run(measured, "seq2seq", model_type, {name: m.metrics for m in members for name in m.validation_sets})
    return members


def _objective(config: Seq2SeqRun | HandBuiltRun | AnySeq2SeqRun) -> tuple[str, ...]:
    if isinstance(config, Seq2SeqRun):
        return config.denoising.objective
    return (config.data.objective,) if isinstance(config.data, PairsOrDialogue) else ("supervised",)


def mixing_given(options: Mixing) -> list[str]:
    """The flags of mixing that are not at their defaults, apart from the file."""
    return [flag(name) for name in options.changed() if name != "mixture"]


def open_mixed(
    config: C, members: tuple[Member, ...], model: ModelChoices | None, joint: bool = False
) -> tuple[C, Mapping[str, Rows], Mixture | None]:
    """Reads every split of a mixture, or of a run without one; as `open_pairs`.

    Returns:
        The configuration, the rows, and the sampling of tasks or directions; None where all rows come in every epoch.

    Raises:
        InputError: rows cannot be read, or options of mixing are given and there is nothing to mix.
    """
    if members:
        config, pairs, mixture = read_mixture(members, config)
        config = settle_rows(config, pairs, model, joint)
        return config, pairs if model is None else with_tags(pairs), mixture
    config, rows = open_pairs(config, config.data, _objective(config) == (DIALOGUE,), model, joint)
    return config, *mixed_directions(config, rows)


def mixed_directions(
    config: Seq2SeqRun | HandBuiltRun | AnySeq2SeqRun, rows: Mapping[str, Rows]
) -> tuple[Mapping[str, Rows], Mixture | None]:
    """The rows, and the sampling of their directions, if options of mixing ask for one.

    Raises:
        InputError: options of mixing are given, and the rows do not name their languages.
    """
    given, train = mixing_given(config.mixture), rows["train"]
    if not given:
        return rows, None
    if not isinstance(train, Pairs) or not in_many_languages(train.sources):
        raise InputError(f"{given[0]} needs --mixture, or rows with a column target_lang")
    refuse_curriculum(config, f"rows drawn by {given[0]}")
    refuse_stages(config, f"rows drawn by {given[0]}")
    mixed, mixture = mix_directions(train, config.data, config.mixture, config.evaluation.metrics, config.run.seed)
    return {**rows, "train": mixed}, mixture


def read_mixture(members: tuple[Member, ...], config: C) -> tuple[C, dict[str, Pairs], Mixture]:
    """The rows of all tasks, and their sampling; also chooses open options of validation rows and metrics.

    Raises:
        InputError: rows cannot be read; names the task.
    """
    file = config.mixture.mixture
    assert file is not None
    shares: list[Choice] = []

    def share(member: Member, rows: int, available: int) -> float | None:
        found = list(validation_choices(rows, available)) if config.given is not None else []
        shares.extend(dataclasses.replace(c, reason=f"task {member.name}: {c.reason}") for c in found)
        return found[0].value if found else None

    pairs = [read_member_pairs(member, file, partial(share, member)) for member in members]
    validated = any(sets_of(own, "validation") for own in pairs)
    config, members = _settle_metrics(config, members, [own["train"] for own in pairs], validated)
    # The options of a task are not the run's own.
    config = dataclasses.replace(config, derived=(*config.derived, *shares))
    return config, *mix(members, pairs, config.mixture, config.run.seed)


def _settle_metrics(
    config: C, members: tuple[Member, ...], rows: Sequence[Pairs], validated: bool
) -> tuple[C, tuple[Member, ...]]:
    """Chooses the metrics of each task that has none of its own, unless the run's options say something of scores.

    Where all tasks have the same, the first of them selects the best checkpoint.
    """
    chosen = [list(metric_choices(*own.sides, validated=True)) for own in rows]
    usual = tuple(
        member if member.has_own_metrics else dataclasses.replace(member, metrics=first.value)
        for member, (first, _) in zip(members, chosen, strict=True)
    )
    every, given = all_metrics(usual), config.given or frozenset()
    if config.run.resume_from_checkpoint is not None and config.evaluation.metrics == every:
        return config, usual
    if config.given is None or given & {"metrics", "metric_for_best_model"}:
        return config, members
    reasons = [f"{m.name}: {c[0].reason}" for m, c in zip(members, chosen, strict=True) if not m.has_own_metrics]
    choices = [Choice("metrics", every, "; ".join(reasons))] if reasons else []
    if validated and len(reasons) == len(members) and len({member.metrics for member in usual}) == 1:
        choices.append(dataclasses.replace(chosen[0][1], unless=()))
    return settle(config, choices), usual


def mixed_task(
    recipe: str,
    config: Seq2SeqRun | HandBuiltRun | AnySeq2SeqRun,
    model: "PreTrainedModel",
    tokenizers: Tokenizers,
    splits: Mapping[str, Rows],
    mixture: Mixture | None,
    new: bool = False,
) -> Task:
    """A task for pairs; those of a mixture are sampled, and its sets have the metrics of their members.

    Lengths and steps that were left open are chosen by the rows of an epoch.
    """
    if mixture is None:
        return pair_task(recipe, config, model, tokenizers, splits, new)
    rows: dict[str, Any] = {**with_languages(splits, model, tokenizers)}
    epoch = rows | {"train": chosen_pairs(rows["train"], mixture.epochs(0))}
    config = settle_schedule(config, epoch, tokenizers, longest_of_sides(model), new)
    task = encoded_task(recipe, config, model, tokenizers, rows)
    members: dict[str, Member] = {name_of(s): mixture.member_of(s)[0] for s in splits if s != "train"}
    of_tasks = config.mixture.mixture is not None
    return dataclasses.replace(
        task,
        columns={"source": "the source of each task", "target": "its target"} if of_tasks else task.columns,
        metrics=all_metrics(mixture.members),
        set_metrics={name: member.metrics for name, member in members.items()},
        presented=MixedRows(task.splits["train"], mixture, task.training_rows.renewed),
    )
