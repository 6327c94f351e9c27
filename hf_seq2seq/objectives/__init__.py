"""Training objectives: each returns the summed loss of a batch and the weight to divide it by.

`OBJECTIVES` has those of text-generating models; `--loss-type` selects one.
"""

from collections.abc import Callable

from torch import nn

from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.objectives.compression import Compression
from hf_seq2seq.objectives.coverage import Coverage
from hf_seq2seq.objectives.cross_entropy import Term, TokenCrossEntropy
from hf_seq2seq.objectives.distillation import Distillation
from hf_seq2seq.objectives.figures import Figures
from hf_seq2seq.objectives.generation import GenerationContext
from hf_seq2seq.objectives.label_smoothing import smoothing_factor
from hf_seq2seq.objectives.length import ExpectedLength
from hf_seq2seq.objectives.minimum_risk import MinimumRisk
from hf_seq2seq.objectives.preference import Preference
from hf_seq2seq.objectives.r_drop import RDrop, warn_without_dropout
from hf_seq2seq.objectives.scheduled_sampling import ScheduledSampling
from hf_seq2seq.objectives.self_critical import SelfCritical
from hf_seq2seq.objectives.unlikelihood import Unlikelihood
from hf_seq2seq.sections import Section, flag, section_of_pairs
from hf_seq2seq.training_options import Loss

OBJECTIVES: dict[str, type[TokenCrossEntropy]] = {
    "cross_entropy": TokenCrossEntropy,
    "scheduled_sampling": ScheduledSampling,
    "minimum_risk": MinimumRisk,
    "self_critical": SelfCritical,
    "preference": Preference,
    "distillation": Distillation,
}
OTHER_NAMES = {
    "--loss-type cross_entropy": "ce xent nll mle sft teacher_forcing label_smoothed_cross_entropy",
    "--loss-type minimum_risk": "mrt mrd mwer risk expected_risk minimum_risk_training",
    "--loss-type self_critical": "scst reinforce policy_gradient rl self_critical_sequence_training",
    "--loss-type self_critical --loss-args baseline=rloo": "rloo grpo ppo",
    "--loss-type preference, which is CPO": "cpo dpo simpo orpo ipo",
    "--loss-type distillation --loss-args teacher=DIR": "kd kl knowledge_distillation word_level_distillation minillm",
    "--loss-type distillation --loss-args teacher=DIR,own_samples=0.5": "gkd on_policy_distillation",
    "--r-drop 1": "r_drop rdrop",
    "--unlikelihood 1": "unlikelihood",
    "--coverage-weight 1": "coverage",
    "--length-weight 0.1": "length",
    "--label-smoothing-factor 0.1": "label_smoothing",
}
"""Other names of losses, by what they are here: abbreviations, and methods of reinforcement learning closest to it."""
TERMS: dict[str, Callable[[float], Term]] = {
    "r_drop": RDrop,
    "unlikelihood": Unlikelihood,
    "coverage_weight": Coverage,
    "length_weight": ExpectedLength,
    "compression_weight": Compression,
}
"""What is added to an objective's loss, by the option that has its weight; in this order."""


def loss_options(loss: Loss) -> Section:
    """The options of the selected objective.

    Raises:
        InputError: there is no such objective, or an option or value is invalid for it.
    """
    if loss.loss_type not in OBJECTIVES:
        bare = loss.loss_type.replace("-", "_").lower()
        here = next((here for here, others in OTHER_NAMES.items() if bare in others.split()), None)
        hint = f"; here it is {here}" if here else nearest(loss.loss_type, OBJECTIVES)
        raise InputError(f"--loss-type: unknown value {loss.loss_type!r}{hint}")
    if type_has_own_loss(loss) and (asked := [name for name in TERMS if getattr(loss, name)]):
        raise InputError(f"{flag(asked[0])}: cannot be added to --loss-type {loss.loss_type}; leave out one of them")
    place = f"--loss-args of {loss.loss_type}"
    return section_of_pairs(OBJECTIVES[loss.loss_type].Options, loss.loss_args, place)


def type_has_own_loss(loss: Loss) -> bool:
    """Whether an objective's loss is no sum over target tokens, to which terms could be added."""
    return OBJECTIVES[loss.loss_type].forward is not TokenCrossEntropy.forward


def add_terms(objective: TokenCrossEntropy, loss: Loss) -> None:
    """Adds to an objective's loss what its options ask for.

    Raises:
        InputError: the model lacks what a term is about.
    """
    objective.terms = tuple(make(getattr(loss, name)) for name, make in TERMS.items() if getattr(loss, name))
    for term in objective.terms:
        if attach := getattr(term, "attach", None):
            attach(objective)
    names = [term.name for term in objective.terms if hasattr(term, "name")]
    objective.figures = Figures((*objective.logged, *names))


def make_objective(
    loss: Loss, model: nn.Module, label_smoothing: float, context: GenerationContext
) -> TokenCrossEntropy:
    """The selected objective for a model.

    Raises:
        InputError: as for `loss_options`, or what the objective needs besides does not fit the model.
    """
    if loss.r_drop and not loss.compression_weight:
        warn_without_dropout(model)
    smoothing = smoothing_factor(label_smoothing, loss.label_smoothing_type, model)
    objective = OBJECTIVES[loss.loss_type](model, smoothing, loss_options(loss), context)
    add_terms(objective, loss)
    return objective
