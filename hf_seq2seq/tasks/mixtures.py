"""Runs on a mixture of tasks: each is sampled at its rate, and evaluated separately."""

import dataclasses
from typing import TYPE_CHECKING

from hf_seq2seq.configs import Evaluation, Mixing
from hf_seq2seq.data.evaluation_sets import name_of
from hf_seq2seq.data.mixtures import Member, MixedRows, Mixture, all_metrics, mix, read_member_pairs, read_members
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.run_configs import Seq2SeqRun
from hf_seq2seq.sections import flag
from hf_seq2seq.task import Task
from hf_seq2seq.tasks.curricula import refuse_curriculum
from hf_seq2seq.tasks.pairs import pair_task
from hf_seq2seq.tasks.stages import refuse_stages
from hf_seq2seq.training.checks import check_run

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def check_mixed_run(config: Seq2SeqRun, model_type: str) -> tuple[Member, ...]:
    """`check_run` for the metrics and sets of every task; returns the tasks, empty without a mixture.

    Raises:
        InputError: also for mixture flags without a mixture, flags incompatible with it, and errors in its file.
    """
    options = config.mixture
    if options.mixture is None:
        _check_no_mixture(options)
        check_run(config, "seq2seq", model_type)
        return ()
    if config.denoising.objective != ("supervised",):
        raise InputError("--objective and --mixture: a mixture has pairs; leave out one of them")
    refuse_curriculum(config, "a mixture")
    refuse_stages(config, "a mixture")
    members = read_members(options, config.data, config.evaluation)
    measured = dataclasses.replace(config, evaluation=Evaluation(metrics=all_metrics(members)))
    check_run(measured, "seq2seq", model_type, {name: m.metrics for m in members for name in m.validation_sets})
    return members


def _check_no_mixture(options: Mixing) -> None:
    for item in dataclasses.fields(options):
        if getattr(options, item.name) != item.default:
            raise InputError(f"{flag(item.name)} needs --mixture")


def read_mixture(members: tuple[Member, ...], config: Seq2SeqRun) -> tuple[dict[str, Pairs], Mixture]:
    """The rows of all tasks, and their sampling.

    Raises:
        InputError: rows cannot be read; names the task.
    """
    file = config.mixture.mixture
    assert file is not None
    pairs = [read_member_pairs(member, file) for member in members]
    return mix(members, pairs, config.mixture, config.run.seed)


def mixture_task(
    recipe: str,
    config: Seq2SeqRun,
    model: "PreTrainedModel",
    tokenizers: Tokenizers,
    splits: dict[str, Pairs],
    mixture: Mixture,
) -> Task:
    """A task for pairs whose training rows are sampled, and whose sets have the metrics of their members."""
    task = pair_task(recipe, config, model, tokenizers, splits)
    members: dict[str, Member] = {name_of(s): mixture.member_of(s)[0] for s in splits if s != "train"}
    return dataclasses.replace(
        task,
        columns={"source": "the source of each task", "target": "its target"},
        metrics=all_metrics(mixture.members),
        set_metrics={name: member.metrics for name, member in members.items()},
        presented=MixedRows(task.splits["train"], mixture, task.training_rows.renewed),
    )
