"""What a search gives, and what bounds it."""

from dataclasses import dataclass

from torch import Tensor, isin


@dataclass(frozen=True)
class Hypothesis:
    """An output.

    Attributes:
        ids: without start token and source, without EOS.
        score: the sum of log-probabilities, EOS counted, after length normalisation and coverage penalty.
        end: the EOS token that ended it, of which a model may have several; None at the greatest length.
    """

    ids: list[int]
    score: float
    end: int | None = None

    @property
    def ended(self) -> bool:
        """Whether it ends with EOS, not at the greatest length."""
        return self.end is not None

    def fills(self, limit: int) -> bool:
        """Whether it has as many tokens as it may, and no end of its own."""
        return not self.ended and len(self.ids) >= limit

    @property
    def whole(self) -> list[int]:
        """Its ids, with the EOS token if it ends with one."""
        return self.ids if self.end is None else [*self.ids, self.end]

    @classmethod
    def of(cls, ids: list[int], score: float, eos: Tensor) -> "Hypothesis":
        """One of ids whose last may be EOS.

        Args:
            ids: of the output.
            score: of it.
            eos: the tokens that end outputs.
        """
        ended = bool((eos == ids[-1]).any())
        return cls(ids[:-1], score, ids[-1]) if ended else cls(ids, score)


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
