"""The result of a search, and its bounds."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, isin


@dataclass(frozen=True)
class Hypothesis:
    """One output of a search.

    Attributes:
        ids: token ids without start token, source and EOS.
        score: the summed log-probability, including EOS, after length normalization and coverage penalty.
        end: the EOS token that ended it, of which a model may have several; None at the maximum length.
    """

    ids: list[int]
    score: float
    end: int | None = None

    @property
    def ended(self) -> bool:
        """Whether it ended with EOS rather than at the maximum length."""
        return self.end is not None

    def fills(self, limit: int) -> bool:
        """Whether it reached the maximum length without ending."""
        return not self.ended and len(self.ids) >= limit

    @property
    def whole(self) -> list[int]:
        """Its ids, with the EOS token if it ends with one."""
        return self.ids if self.end is None else [*self.ids, self.end]

    @classmethod
    def of(cls, ids: list[int], score: float, eos: Collection[int]) -> "Hypothesis":
        """Builds one from ids whose last may be EOS.

        Args:
            ids: ids of the output.
            score: its score.
            eos: the tokens that end outputs.
        """
        ended = ids[-1] in eos
        return cls(ids[:-1], score, ids[-1]) if ended else cls(ids, score)


@dataclass(frozen=True)
class Bounds:
    """When outputs end.

    Attributes:
        eos: tokens that end an output, `(tokens,)`.
        longest: maximum output length for each source in tokens, including EOS, `(sources,)`.
        stops: whether the text of an output ends it; None if none does.
    """

    eos: Tensor
    longest: Tensor
    stops: Callable[[Sequence[int]], bool] | None = None

    @cached_property
    def ends_with(self) -> frozenset[int]:
        """The tokens that end an output."""
        return frozenset(self.eos.tolist())

    def stopped(self, outputs: Sequence[Sequence[int]]) -> Tensor:
        """Whether the text of each output ends it, `(outputs,)`."""
        stops = self.stops
        found = [stops is not None and stops(ids) for ids in outputs]
        return torch.tensor(found, dtype=torch.bool, device=self.longest.device)

    def ends(self, tokens: Tensor, lengths: Tensor, sources: Tensor) -> Tensor:
        """Whether hypotheses end with a token.

        Args:
            tokens: `(sources, ...)`.
            lengths: tokens of each hypothesis, including this one, `(sources,)`.
            sources: indices of their sources.
        """
        full = (self.longest[sources] <= lengths).view(-1, *[1] * (tokens.dim() - 1))
        return isin(tokens, self.eos) | full
