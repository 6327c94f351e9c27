"""Coverage for scores that do not include it."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from .attention import Attention, Carried, Memory


class CoverageAttention(Attention):
    """score'(h, s_j) = score(h, s_j) + w c_j: any score, and a learned multiple of the coverage of each position.

    The coverage of a source position is the sum of its weights so far, c_t = alpha_0 + ... + alpha_{t-1};
    averaged over heads. w is initialized to 0, so that a new model attends like one without coverage. Additive
    scores see the coverage within their tanh instead (`HistoryAttention`).

    Paper: See et al., 2017, equation 10, https://aclanthology.org/P17-1099; here outside the score's network

    Args:
        scored: the attention that computes the score.
    """

    def __init__(self, scored: Attention) -> None:
        super().__init__()
        self.scored = scored
        self.coverage_weight = nn.Parameter(torch.zeros(()))

    def project_keys(self, values: Tensor) -> Tensor:
        """See the inner attention."""
        return self.scored.project_keys(values)

    def start(self, memory: Memory) -> Carried:
        """Zero coverage, and the initial state of the inner attention."""
        return self.scored.start(memory) | {"coverage": torch.zeros_like(memory.bias[:, 0])}

    def forward(self, queries: Tensor, memory: Memory, carried: Carried) -> tuple[Tensor, Tensor, Carried]:
        """As in the base class; step by step."""
        contexts, weights = [], []
        for query in queries.split(1, 1):
            seen = replace(memory, bias=memory.bias + self.coverage_weight * carried["coverage"][:, None])
            context, weight, carried = self.scored(query, seen, carried)
            carried = carried | {"coverage": carried["coverage"] + weight.mean(1)[:, 0]}
            contexts.append(context)
            weights.append(weight)
        return torch.cat(contexts, 1), torch.cat(weights, 2), carried
