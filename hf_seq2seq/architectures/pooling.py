"""Pooling: one vector for a span of encoder outputs, the whole source or each of its segments.

Spans are given by `Segments`. Padding belongs to no segment, so it never changes a result.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .configuration_rnn import RnnSeq2SeqConfig


@dataclass(frozen=True)
class Segments:
    """The segment of each position.

    Attributes:
        index: `(batch, source)`, from 0 on; `count` at padding.
        count: the largest number of segments in a row; rows with fewer have empty ones at the end.
    """

    index: Tensor
    count: int

    @property
    def members(self) -> Tensor:
        """`(batch, source, count)`: whether a position belongs to a segment."""
        return self.index[..., None] == torch.arange(self.count, device=self.index.device)

    @property
    def mask(self) -> Tensor:
        """`(batch, count)`: whether a segment has a position."""
        return self.members.any(1)


def one_segment(outputs: Tensor, mask: Tensor | None) -> Segments:
    """The whole source as one segment.

    Args:
        outputs: `(batch, source, width)`.
        mask: `(batch, source)`, zero at padding; None where there is none.
    """
    if mask is None:
        return Segments(torch.zeros(outputs.shape[:2], dtype=torch.long, device=outputs.device), 1)
    return Segments((mask == 0).long(), 1)


class LastPooling(nn.Module):
    """The last output in each direction's reading order, concatenated.

    Paper: Sutskever et al., 2014, https://arxiv.org/abs/1409.3215

    Args:
        config: says whether there are two directions.
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__()
        self.bidirectional = config.bidirectional

    def forward(self, outputs: Tensor, segments: Segments) -> Tensor:
        """Pools each segment.

        Args:
            outputs: the encoder's, `(batch, source, width)`; with two directions the second half is the backward one.
            segments: what to pool.

        Returns:
            `(batch, segments, width)`; zero where a segment has no position.
        """
        end = outputs.shape[1] - 1
        position = torch.arange(end + 1, device=outputs.device)[:, None]
        members = segments.members
        last = (members * position).amax(1)
        found = _take(outputs, last)
        if self.bidirectional:
            first = end - (members * (end - position)).amax(1)
            half = outputs.shape[-1] // 2
            found = torch.cat([found[..., :half], _take(outputs[..., half:], first)], -1)
        return found * segments.mask[..., None]


def _take(outputs: Tensor, positions: Tensor) -> Tensor:
    return outputs.gather(1, positions[..., None].expand(-1, -1, outputs.shape[-1]))


class MeanPooling(LastPooling):
    """The mean over the segment's positions.

    Paper: Conneau et al., 2017, section 3.2.2, https://aclanthology.org/D17-1070
    """

    def forward(self, outputs: Tensor, segments: Segments) -> Tensor:
        """As the base class says."""
        members = segments.members.to(outputs.dtype)
        return torch.bmm(members.transpose(1, 2), outputs) / members.sum(1).clamp(min=1)[..., None]


class MaxPooling(LastPooling):
    """The largest value of each unit over the segment's positions.

    Paper: Conneau et al., 2017, section 3.2.2, https://aclanthology.org/D17-1070
    """

    def forward(self, outputs: Tensor, segments: Segments) -> Tensor:
        """As the base class says."""
        batch, _, width = outputs.shape
        index = segments.index[..., None].expand(-1, -1, width)
        empty = outputs.new_zeros(batch, segments.count + 1, width)  # the extra one collects the padding
        return empty.scatter_reduce(1, index, outputs, "amax", include_self=False)[:, : segments.count]


class WeightedPooling(LastPooling):
    """A mean with learned weights: alpha = softmax(u . tanh(W h + b)) over the segment's positions.

    Paper: Yang et al., 2016, equations 5 to 7, https://aclanthology.org/N16-1174; without b in Lin et al., 2017,
    equation 5, https://arxiv.org/abs/1703.03130

    Args:
        config: gives the width.
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__(config)
        self.hidden = nn.Linear(config.encoder_output_size, config.encoder_output_size)
        self.score = nn.Linear(config.encoder_output_size, 1, bias=False)

    def forward(self, outputs: Tensor, segments: Segments) -> Tensor:
        """As the base class says."""
        members = segments.members
        scores = self.score(torch.tanh(self.hidden(outputs)))
        lowest = torch.finfo(scores.dtype).min
        weights = torch.where(members, scores, lowest).softmax(1) * members
        return torch.bmm(weights.transpose(1, 2), outputs)


POOLINGS = {"last": LastPooling, "mean": MeanPooling, "max": MaxPooling, "weighted": WeightedPooling}
