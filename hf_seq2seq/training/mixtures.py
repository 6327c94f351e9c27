"""A run on a mixture of tasks: each is drawn by its rate, and evaluated by itself."""

import dataclasses
from typing import TYPE_CHECKING, Any

from hf_seq2seq.configs import Evaluation, Mixing
from hf_seq2seq.data.evaluation_sets import name_of
from hf_seq2seq.data.mixtures import Member, Mixture, all_metrics, mix, read_member_pairs, read_members
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.vocabulary import Tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag
from hf_seq2seq.training.pairs import pair_task
from hf_seq2seq.training.run import check_run
from hf_seq2seq.training.task import Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def check_no_mixture(options: Mixing) -> None:
    """Refuses flags of a mixture where there is none.

    Raises:
        InputError: names the flag.
    """
    for item in dataclasses.fields(options):
        if getattr(options, item.name) != item.default:
            raise InputError(f"{flag(item.name)} needs --mixture")


def read_mixture(config: Any, model_type: str) -> tuple[dict[str, Pairs], Mixture]:
    """Checks a run on a mixture, then reads the rows of every task.

    Raises:
        InputError: what `check_run` refuses, flags that go with no mixture, and what cannot be read.
    """
    if config.denoising.objective != ("supervised",):
        raise InputError("--objective and --mixture: a mixture has pairs; leave out one of them")
    members = read_members(config.mixture, config.data, config.evaluation)
    metrics = dataclasses.replace(config, evaluation=Evaluation(metrics=all_metrics(members)))
    check_run(metrics, "seq2seq", model_type, [name for member in members for name in member.validation_sets])
    pairs = [read_member_pairs(member, config.mixture.mixture) for member in members]
    return mix(members, pairs, config.mixture, config.run.seed)


def mixture_task(
    recipe: str,
    config: Any,
    model: "PreTrainedModel",
    tokenizers: Tokenizers,
    splits: dict[str, Pairs],
    mixture: Mixture,
) -> Task:
    """A task for pairs whose training rows are drawn, and whose sets have the metrics of their members."""
    task = pair_task(recipe, config, model, tokenizers, splits)
    members: dict[str, Member] = {name_of(s): mixture.member_of(s)[0] for s in splits if s != "train"}
    return dataclasses.replace(
        task,
        columns={"source": "the source of each task", "target": "its target"},
        metrics=all_metrics(mixture.members),
        set_metrics={name: member.metrics for name, member in members.items()},
        mixture=mixture,
    )
