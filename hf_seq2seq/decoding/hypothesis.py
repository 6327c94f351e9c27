"""What a search gives, and what bounds it."""

from dataclasses import dataclass

from torch import Tensor, isin


@dataclass(frozen=True)
class Hypothesis:
    """An output.

    Attributes:
        ids: without start token and source, without EOS.
        score: the sum of log-probabilities, EOS counted, after length normalisation and coverage penalty.
        ended: whether it ends with EOS, not at the greatest length.
    """

    ids: list[int]
    score: float
    ended: bool = True


@dataclass(frozen=True)
class Bounds:
    """Where outputs end.

    Attributes:
        eos: tokens that end one.
        longest: tokens of the longest output of each source, EOS counted, `(sources,)`.
    """

    eos: Tensor
    longest: Tensor

    def ends(self, tokens: Tensor, length: int, sources: Tensor) -> Tensor:
        """Whether hypotheses end with a token.

        Args:
            tokens: `(sources, ...)`.
            length: tokens of each hypothesis, this one among them.
            sources: their numbers.
        """
        full = (self.longest[sources] <= length).view(-1, *[1] * (tokens.dim() - 1))
        return isin(tokens, self.eos) | full
