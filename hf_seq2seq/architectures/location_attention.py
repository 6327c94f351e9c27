"""Additive scores that also see previous alignments: location features and coverage."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import AdditiveAttention, Carried, GlobalAlignment, Memory


class LocationFeatures(nn.Module):
    """f_t = F * alpha_{t-1}: a convolution of the previous alignment, which is zero before the first step.

    The convolution runs over real tokens: padding between them is removed first.

    Paper: Chorowski et al., 2015, equation 8, https://arxiv.org/abs/1506.07503

    Args:
        filters: k, features per position.
        kernel: positions that a filter sees, an odd number.
    """

    def __init__(self, filters: int, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(1, filters, kernel, padding=kernel // 2, bias=False)

    def forward(self, alignment: Tensor, positions: Tensor) -> Tensor:
        """Features `(batch, source, filters)` of an alignment `(batch, source)`; see `Memory.positions`."""
        closed_up = torch.zeros_like(alignment).scatter_add(1, positions, alignment)
        features = self.convolution(closed_up[:, None]).transpose(1, 2)
        return features.gather(1, positions[..., None].expand_as(features))


class HistoryAttention(AdditiveAttention):
    """score(h, s) = v . tanh(W h + V s + U f + w c + b): f location features, c coverage, either or both.

    The coverage of a source position is the sum of its weights so far, c_t = alpha_0 + ... + alpha_{t-1}.

    Papers: Chorowski et al., 2015, equation 9, https://arxiv.org/abs/1506.07503; See et al., 2017, equations 10 and
    11, https://aclanthology.org/P17-1099

    Args:
        query_size: width of the decoder's states.
        memory_size: width of the encoder's outputs.
        location: computes location features; None for none.
        coverage: whether the score sees the coverage.
        alignment: as for `Attention`.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        location: LocationFeatures | None = None,
        coverage: bool = False,
        alignment: GlobalAlignment | None = None,
    ) -> None:
        super().__init__(query_size, memory_size, alignment)
        self.location = location
        self.coverage = coverage
        filters = 0 if location is None else location.convolution.out_channels
        self.feature_projection = nn.Linear(filters + int(coverage), query_size)

    def start(self, memory: Memory) -> Carried:
        """The previous alignment and the coverage, as far as the score needs them: zeros."""
        zeros = torch.zeros_like(memory.bias[:, 0])
        needed = {"alignment": self.location is not None, "coverage": self.coverage}
        return super().start(memory) | {name: zeros for name, wanted in needed.items() if wanted}

    def forward(self, queries: Tensor, memory: Memory, carried: Carried) -> tuple[Tensor, Tensor, Carried]:
        """As in the base class; step by step, with the projection of the queries hoisted out of the loop."""
        projected = self.query_projection(queries)
        weights = []
        for time in range(queries.shape[1]):
            features = self.feature_projection(self._features(carried, memory))
            scores = self.score_projection(torch.tanh(projected[:, time, None] + memory.keys + features))
            query = queries[:, time, None]
            weight = self.alignment(scores.transpose(1, 2) + memory.bias, query, memory, carried)
            carried = self._advance(self.alignment.advance(carried, 1), weight[:, 0])
            weights.append(weight)
        together = torch.cat(weights, 1)
        return torch.bmm(together, memory.values), together[:, None], carried

    def _features(self, carried: Carried, memory: Memory) -> Tensor:
        """Location features and coverage side by side, `(batch, source, features)`."""
        features = [] if self.location is None else [self.location(carried["alignment"], memory.positions)]
        if self.coverage:
            features.append(carried["coverage"][..., None])
        return torch.cat(features, -1)

    def _advance(self, carried: Carried, weight: Tensor) -> Carried:
        carried = dict(carried)
        if self.location is not None:
            carried["alignment"] = weight
        if self.coverage:
            carried["coverage"] = carried["coverage"] + weight
        return carried


def coverage_losses(weights: Tensor) -> Tensor:
    """The coverage loss of every target step, sum_i min(alpha_{t,i}, c_{t,i}).

    Args:
        weights: all steps from the first on, `(batch, target, source)`.

    Returns:
        `(batch, target)`.

    Paper: See et al., 2017, equation 12, https://aclanthology.org/P17-1099
    """
    coverage = F.pad(weights[:, :-1].cumsum(1), (0, 0, 1, 0))
    return torch.minimum(weights, coverage).sum(-1)
