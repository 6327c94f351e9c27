"""Runs on a mixture of tasks, or of languages: each is sampled at its rate, and evaluated separately."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from hf_seq2seq.configs import Evaluation, Mixing, PairsOrDialogue
from hf_seq2seq.data.evaluation_sets import name_of
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
from hf_seq2seq.errors import InputError
from hf_seq2seq.run_configs import HandBuiltRun, Seq2SeqRun
from hf_seq2seq.sections import flag
from hf_seq2seq.task import Task
from hf_seq2seq.tasks.curricula import refuse_curriculum
from hf_seq2seq.tasks.languages import in_many_languages, with_tags
from hf_seq2seq.tasks.open_options import ModelChoices, settle_rows
from hf_seq2seq.tasks.pairs import Rows, open_pairs, pair_task
from hf_seq2seq.tasks.stages import refuse_stages
from hf_seq2seq.training.checks import check_run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

C = TypeVar("C", bound=Seq2SeqRun | HandBuiltRun)


def check_mixed_run(config: Seq2SeqRun | HandBuiltRun, model_type: str) -> tuple[Member, ...]:
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


def _objective(config: Seq2SeqRun | HandBuiltRun) -> tuple[str, ...]:
    if isinstance(config, Seq2SeqRun):
        return config.denoising.objective
    return (config.data.objective,) if isinstance(config.data, PairsOrDialogue) else ("supervised",)


def mixing_given(options: Mixing) -> list[str]:
    """The flags of mixing that are not at their defaults, apart from the file."""
    items = dataclasses.fields(options)
    return [flag(item.name) for item in items if getattr(options, item.name) != item.default and item.name != "mixture"]


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
        pairs, mixture = read_mixture(members, config)
        settled = settle_rows(config, pairs, model, joint)
        usual = (config.evaluation.metrics, settled.evaluation.metrics)
        mixture = dataclasses.replace(mixture, members=tuple(_with_metrics(m, *usual) for m in mixture.members))
        return settled, pairs if model is None else with_tags(pairs), mixture
    config, rows = open_pairs(config, config.data, _objective(config) == (DIALOGUE,), model, joint)
    return config, *mixed_directions(config, rows)


def _with_metrics(member: Member, default: tuple[str, ...], chosen: tuple[str, ...]) -> Member:
    """A task with the metrics that are chosen by the rows, if none of its own were given."""
    return dataclasses.replace(member, metrics=chosen) if member.metrics == default else member


def mixed_directions(
    config: Seq2SeqRun | HandBuiltRun, rows: Mapping[str, Rows]
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


def read_mixture(members: tuple[Member, ...], config: Seq2SeqRun | HandBuiltRun) -> tuple[dict[str, Pairs], Mixture]:
    """The rows of all tasks, and their sampling.

    Raises:
        InputError: rows cannot be read; names the task.
    """
    file = config.mixture.mixture
    assert file is not None
    pairs = [read_member_pairs(member, file) for member in members]
    return mix(members, pairs, config.mixture, config.run.seed)


def mixed_task(
    recipe: str,
    config: Seq2SeqRun | HandBuiltRun,
    model: "PreTrainedModel",
    tokenizers: Tokenizers,
    splits: Mapping[str, Rows],
    mixture: Mixture | None,
    new: bool = False,
) -> Task:
    """A task for pairs; those of a mixture are sampled, and its sets have the metrics of their members."""
    task = pair_task(recipe, config, model, tokenizers, splits, new)
    if mixture is None:
        return task
    members: dict[str, Member] = {name_of(s): mixture.member_of(s)[0] for s in splits if s != "train"}
    of_tasks = config.mixture.mixture is not None
    return dataclasses.replace(
        task,
        columns={"source": "the source of each task", "target": "its target"} if of_tasks else task.columns,
        metrics=all_metrics(mixture.members),
        set_metrics={name: member.metrics for name, member in members.items()},
        presented=MixedRows(task.splits["train"], mixture, task.training_rows.renewed),
    )
