"""Rules against repetition."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hf_seq2seq.decoding.rules import FORBIDDEN, Prefixes


@dataclass(frozen=True)
class RepetitionPenalty:
    """Divides positive scores of tokens that a hypothesis or its prompt holds by a penalty, and multiplies others.

    Paper: Keskar et al., 2019, section 4.1, https://arxiv.org/abs/1909.05858; that negative scores are multiplied is
    the library's correction.

    Attributes:
        penalty: above 1 against repetition.
    """

    penalty: float

    @property
    def matters(self) -> bool:
        """Whether it does anything."""
        return self.penalty != 1

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """As `Rule` says."""
        beyond = scores.shape[1]
        inside = (prefixes.tokens >= 0) & (prefixes.tokens < beyond)
        seen = torch.zeros(len(scores), beyond + 1, dtype=torch.bool, device=scores.device)
        seen = seen.scatter_(1, prefixes.tokens.where(inside, beyond), True)[:, :beyond]
        changed = torch.where(scores < 0, scores * self.penalty, scores / self.penalty)
        return torch.where(seen, changed, scores)


@dataclass(frozen=True)
class NgramBlocking:
    """Forbids a token that would end an n-gram which a hypothesis or its prompt already holds.

    Paper: Paulus et al., 2018, section 2.5, https://arxiv.org/abs/1705.04304, there for trigrams.

    Attributes:
        size: n.
    """

    size: int

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """As `Rule` says."""
        tokens, context = prefixes.tokens, self.size - 1
        if tokens.shape[1] < self.size:
            return scores
        ngrams = tokens.unfold(1, self.size, 1)
        last = tokens[:, None, tokens.shape[1] - context :]
        repeated = (ngrams[..., :context] == last).all(2) & (ngrams >= 0).all(2)
        rows, places = repeated.nonzero(as_tuple=True)
        scores[rows, ngrams[rows, places, -1]] = FORBIDDEN
        return scores
