"""Training objectives: each returns the summed loss of a batch and the weight to divide it by.

`OBJECTIVES` has those of text-generating models; `--loss-type` selects one.
"""

from collections.abc import Callable

from torch import nn

from hf_seq2seq.configs import Loss
from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.objectives.cross_entropy import Term, TokenCrossEntropy
from hf_seq2seq.objectives.distillation import Distillation
from hf_seq2seq.objectives.generation import GenerationContext
from hf_seq2seq.objectives.minimum_risk import MinimumRisk
from hf_seq2seq.objectives.preference import Preference
from hf_seq2seq.objectives.r_drop import RDrop
from hf_seq2seq.objectives.scheduled_sampling import ScheduledSampling
from hf_seq2seq.objectives.self_critical import SelfCritical
from hf_seq2seq.objectives.unlikelihood import Unlikelihood
from hf_seq2seq.sections import Section, flag, section_of_pairs

OBJECTIVES: dict[str, type[TokenCrossEntropy]] = {
    "cross_entropy": TokenCrossEntropy,
    "scheduled_sampling": ScheduledSampling,
    "minimum_risk": MinimumRisk,
    "self_critical": SelfCritical,
    "preference": Preference,
    "distillation": Distillation,
}
TERMS: dict[str, Callable[[float], Term]] = {"r_drop": RDrop, "unlikelihood": Unlikelihood}
"""What is added to an objective's loss, by the option that has its weight; in this order."""


def loss_options(loss: Loss) -> Section:
    """The options of the selected objective.

    Raises:
        InputError: there is no such objective, or an option or value is invalid for it.
    """
    if loss.loss_type not in OBJECTIVES:
        raise InputError(f"--loss-type: unknown value {loss.loss_type!r}{nearest(loss.loss_type, OBJECTIVES)}")
    if type_has_own_loss(loss) and (asked := [name for name in TERMS if getattr(loss, name)]):
        raise InputError(f"{flag(asked[0])}: cannot be added to --loss-type {loss.loss_type}; leave out one of them")
    place = f"--loss-args of {loss.loss_type}"
    return section_of_pairs(OBJECTIVES[loss.loss_type].Options, loss.loss_args, place)


def type_has_own_loss(loss: Loss) -> bool:
    """Whether an objective's loss is no sum over target tokens, to which terms could be added."""
    return OBJECTIVES[loss.loss_type].forward is not TokenCrossEntropy.forward


def terms_of(loss: Loss) -> tuple[Term, ...]:
    """What is added to the loss of an objective."""
    return tuple(make(getattr(loss, name)) for name, make in TERMS.items() if getattr(loss, name))


def make_objective(
    loss: Loss, model: nn.Module, label_smoothing: float, context: GenerationContext
) -> TokenCrossEntropy:
    """The selected objective for a model.

    Raises:
        InputError: as for `loss_options`, or what the objective needs besides does not fit the model.
    """
    objective = OBJECTIVES[loss.loss_type](model, label_smoothing, loss_options(loss), context)
    objective.terms = terms_of(loss)
    return objective
