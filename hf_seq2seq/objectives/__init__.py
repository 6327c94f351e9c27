"""What is minimised: each objective gives the sum of a batch's losses and the weight that divides it.

`OBJECTIVES` holds those of encoder-decoders that write text; `--loss-type` chooses among them.
"""

from torch import nn

from hf_seq2seq.configs import Loss
from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.objectives.generation import GenerationContext
from hf_seq2seq.objectives.minimum_risk import MinimumRisk
from hf_seq2seq.objectives.scheduled_sampling import ScheduledSampling
from hf_seq2seq.sections import Section, section_of_pairs

OBJECTIVES: dict[str, type[TokenCrossEntropy]] = {
    "cross_entropy": TokenCrossEntropy,
    "scheduled_sampling": ScheduledSampling,
    "minimum_risk": MinimumRisk,
}


def loss_options(loss: Loss) -> Section:
    """The options of the chosen objective.

    Raises:
        InputError: there is no such objective, or it has no such option or value.
    """
    if loss.loss_type not in OBJECTIVES:
        raise InputError(f"--loss-type: unknown value {loss.loss_type!r}{nearest(loss.loss_type, OBJECTIVES)}")
    place = f"--loss-args of {loss.loss_type}"
    return section_of_pairs(OBJECTIVES[loss.loss_type].Options, loss.loss_args, place)


def make_objective(
    loss: Loss, model: nn.Module, label_smoothing: float, context: GenerationContext
) -> TokenCrossEntropy:
    """The chosen objective of a model.

    Raises:
        InputError: as `loss_options`.
    """
    return OBJECTIVES[loss.loss_type](model, label_smoothing, loss_options(loss), context)
