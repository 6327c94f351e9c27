"""Comparison of hypotheses of different lengths: length normalization and the coverage penalty."""

from dataclasses import dataclass

from torch import Tensor

SMALLEST = 1e-9
"""Attention is clamped to this minimum so that its logarithm is finite."""


@dataclass(frozen=True)
class LengthNormalization:
    """Divides a summed log-probability by |Y|^alpha, or by GNMT's ((5 + |Y|) / 6)^alpha.

    |Y| is the number of tokens of the output, including EOS.

    Paper: Wu et al., 2016, equation 14, https://arxiv.org/abs/1609.08144

    Attributes:
        alpha: 0 for no normalization; 1 with "power" gives the mean.
        kind: "power" or "gnmt".
    """

    alpha: float = 1.0
    kind: str = "power"

    def divisor(self, length: int | Tensor) -> float | Tensor:
        """The divisor for the sum over `length` tokens."""
        base = (5 + length) / 6 if self.kind == "gnmt" else length
        return base**self.alpha


def coverage_penalty(coverage: Tensor, beta: float) -> Tensor:
    """cp(X; Y) = beta sum_i log(min(sum_j p_ij, 1)), never positive: penalizes source tokens with little attention.

    Paper: Wu et al., 2016, equation 14, https://arxiv.org/abs/1609.08144

    Args:
        coverage: attention summed over the output's tokens, `(..., source)`; -1 at padding, which does not count.
        beta: its weight.
    """
    return beta * coverage.clamp(min=SMALLEST, max=1).log().masked_fill(coverage < 0, 0).sum(-1)
