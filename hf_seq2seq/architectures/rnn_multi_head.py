"""Multi-head attention of a recurrent decoder."""

import torch
from torch import Tensor, nn

from .attention import Attention, Carried, GlobalAlignment, Memory


class MultiHeadAttention(Attention):
    """Scaled dot products of `heads` projections, concatenated: context = W [alpha_1 V_1 s; ...; alpha_n V_n s].

    Paper: Vaswani et al., 2017, section 3.2.2, https://arxiv.org/abs/1706.03762

    Args:
        query_size: width of the decoder's states, which the heads share.
        memory_size: width of the encoder's outputs and of the context.
        heads: number of heads; divides `query_size`.
        alignment: as for `Attention`; all heads of a step share a window.
    """

    def __init__(self, query_size: int, memory_size: int, heads: int, alignment: GlobalAlignment | None = None) -> None:
        super().__init__(alignment)
        self.heads = heads
        self.query_projection = nn.Linear(query_size, query_size, bias=False)
        self.key_projection = nn.Linear(memory_size, query_size, bias=False)
        self.value_projection = nn.Linear(memory_size, query_size, bias=False)
        self.output_projection = nn.Linear(query_size, memory_size, bias=False)

    def project_keys(self, values: Tensor) -> Tensor:
        """Keys and values of all heads, concatenated, `(batch, source, 2 x hidden)`."""
        return torch.cat([self.key_projection(values), self.value_projection(values)], -1)

    def forward(self, queries: Tensor, memory: Memory, carried: Carried) -> tuple[Tensor, Tensor, Carried]:
        """As the base class says."""
        keys, values = (self._split(part) for part in memory.keys.chunk(2, -1))
        projected = self._split(self.query_projection(queries))
        scores = projected @ keys.transpose(2, 3) * projected.shape[-1] ** -0.5 + memory.bias[:, None]
        weights = self.alignment(scores, queries, memory, carried)
        contexts = self.output_projection((weights @ values).transpose(1, 2).flatten(2))
        return contexts, weights, self.alignment.advance(carried, queries.shape[1])

    def _split(self, hidden: Tensor) -> Tensor:
        """`(batch, length, hidden)` to `(batch, heads, length, hidden / heads)`."""
        return hidden.unflatten(2, (self.heads, -1)).transpose(1, 2)
