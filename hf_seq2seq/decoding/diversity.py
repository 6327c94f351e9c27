"""Diverse beam search: each beam of a source is penalized for repeating what previous beams said.

Paper: Vijayakumar et al., 2018, section "Diverse Beam Search" and its Hamming and n-gram dissimilarities,
https://arxiv.org/abs/1610.02424
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Diversity:
    """The diversity penalty. It affects which continuations are chosen; summed log-probabilities are unchanged.

    Attributes:
        strength: lambda, the penalty of one repetition in log-probability.
        ngram_size: None counts the previous beams whose hypotheses have the token at the same position (Hamming); n
            counts occurrences of the n-gram at any position.
    """

    strength: float = 0.0
    ngram_size: int | None = None

    def penalty(self, tokens: Tensor, others: Tensor, vocabulary: int) -> Tensor:
        """The penalty of each continuation.

        Args:
            tokens: hypotheses of this beam, `(sources, width, length)`.
            others: those of the previous beams, one token longer, `(sources, n, length + 1)`.
            vocabulary: its size.

        Returns:
            `(sources, width, vocabulary)`.
        """
        size = self.ngram_size or 1
        cost = torch.zeros(*tokens.shape[:2], vocabulary, device=tokens.device)
        if size > others.shape[2]:
            return cost
        ngrams = others.unfold(2, size, 1) if self.ngram_size else others[:, :, -1:, None]
        ngrams = ngrams.flatten(1, 2)[:, None]
        context = tokens[:, :, None, tokens.shape[2] - size + 1 :]
        same = (ngrams[..., :-1] == context).all(3) & (ngrams >= 0).all(3)
        ends = ngrams[..., -1].clamp(min=0).expand_as(same)
        return cost.scatter_add(2, ends, self.strength * same.to(cost.dtype))
