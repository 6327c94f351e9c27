"""R-Drop: two passes with different dropout shall predict the same."""

import logging
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.objectives.divergences import symmetric_divergence

logger = logging.getLogger(__name__)


def warn_without_dropout(model: Any) -> None:
    """Warns of a model whose two passes are the same: by its configuration and modules it has no noise."""
    settings = model.config.to_dict()
    rates = [value for name, value in settings.items() if "drop" in name and isinstance(value, int | float)]
    rates += [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    noise = settings.get("monotonic_noise", 0) if settings.get("attention") == "monotonic" else 0
    if not any(rates) and not noise:
        logger.warning("--r-drop: the model has no dropout, so that both passes are the same")


@dataclass(frozen=True)
class RDrop:
    """The mean of an objective's losses in two passes, plus alpha / 2 times their symmetric KL divergence.

    The divergence is (KL(P1 || P2) + KL(P2 || P1)) / 2, summed over the target's tokens, and its gradient flows through
    both. The whole is half of the paper's loss, so that alpha = 0 leaves a loss of the size of one pass.

    Paper: Liang et al., 2021, section 2.2 (equations 2 to 4), https://arxiv.org/abs/2106.14448

    Attributes:
        alpha: weight of the divergence.
    """

    alpha: float

    def __call__(
        self, objective: TokenCrossEntropy, batch: dict[str, Tensor], states: Tensor, loss: Tensor, outputs: Any
    ) -> Tensor:
        """The loss with the second pass."""
        second, others, _ = objective.pass_once(batch)

        def apart(first: Tensor, second: Tensor) -> Tensor:
            return symmetric_divergence(objective.logits_of(first), objective.logits_of(second)).sum()

        return (loss + second) / 2 + self.alpha / 2 * objective.sum_in_chunks(apart, states, others)
