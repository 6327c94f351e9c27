"""Rules against repetition."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hf_seq2seq.decoding.rules import FORBIDDEN, Prefixes


@dataclass(frozen=True)
class RepetitionPenalty:
    """Divides positive scores of tokens in a hypothesis or its prompt by a penalty, and multiplies negative ones.

    Paper: Keskar et al., 2019, section 4.1, https://arxiv.org/abs/1909.05858; multiplying negative scores is a
    correction by transformers.

    Attributes:
        penalty: above 1 against repetition.
    """

    penalty: float

    @property
    def matters(self) -> bool:
        """Whether it has any effect."""
        return self.penalty != 1

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """See `Rule`."""
        beyond = scores.shape[1]
        inside = (prefixes.tokens >= 0) & (prefixes.tokens < beyond)
        seen = torch.zeros(len(scores), beyond + 1, dtype=torch.bool, device=scores.device)
        seen = seen.scatter_(1, prefixes.tokens.where(inside, beyond), True)[:, :beyond]
        changed = torch.where(scores < 0, scores * self.penalty, scores / self.penalty)
        return torch.where(seen, changed, scores)


@dataclass(frozen=True)
class NgramBlocking:
    """Forbids a token that would complete an n-gram already present in a hypothesis or its prompt.

    Paper: Paulus et al., 2018, section 2.5, https://arxiv.org/abs/1705.04304, which uses trigrams.

    Attributes:
        size: n.
    """

    size: int

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """See `Rule`."""
        tokens, context = prefixes.tokens, self.size - 1
        if tokens.shape[1] < self.size:
            return scores
        ngrams = tokens.unfold(1, self.size, 1)
        last = tokens[:, None, tokens.shape[1] - context :]
        repeated = (ngrams[..., :context] == last).all(2) & (ngrams >= 0).all(2)
        rows, places = repeated.nonzero(as_tuple=True)
        scores[rows, ngrams[rows, places, -1]] = FORBIDDEN
        return scores
