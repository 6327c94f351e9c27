"""R-Drop: two passes with different dropout shall predict the same."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.objectives.divergences import symmetric_divergence


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
