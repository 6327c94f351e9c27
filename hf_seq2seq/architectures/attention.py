"""Attention of a decoder state (the query) over the encoder's outputs (the values).

Each class is one score function. Keys depend only on the source and are computed once for all target steps; the same
call then handles one step or all steps of a sequence. State that an attention keeps between steps is a `Carried`,
passed into and returned from each call.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from .pooling import Segments

Carried = dict[str, Tensor]  # what is passed from step to step besides the recurrent states; batch first


@dataclass(frozen=True)
class Memory:
    """The encoded source, prepared for attention.

    Attributes:
        values: encoder outputs, `(batch, source, encoder width)`.
        keys: what queries are compared with, `(batch, source, key width)`.
        bias: added to the scores, `(batch, 1, source)`: 0, or the lowest finite number at padding.
        mask: `(batch, source)`, zero at padding; None where there is none.
        sentences: outputs of the encoder's sentence level, `(batch, sentences, encoder width)`, and the words of each;
            None unless attention is hierarchical.
        documents: the same of the document level; None unless attention has it, too.
    """

    values: Tensor
    keys: Tensor
    bias: Tensor
    mask: Tensor | None = None
    sentences: tuple[Tensor, Segments] | None = None
    documents: tuple[Tensor, Segments] | None = None

    @cached_property
    def positions(self) -> Tensor:
        """Position of each token, counting real tokens only, `(batch, source)`.

        Padding has that of the real token before it.
        """
        real = self.values.new_ones(self.values.shape[:2]) if self.mask is None else self.mask != 0
        return (real.long().cumsum(1) - 1).clamp(min=0)


class GlobalAlignment(nn.Module):
    """alpha = softmax(score) over the whole source.

    Paper: Luong et al., 2015, section 3.1 and equation 7, https://aclanthology.org/D15-1166
    """

    def start(self, memory: Memory) -> Carried:
        """The state carried into the first step."""
        return {}

    def advance(self, carried: Carried, steps: int) -> Carried:
        """The carried state, `steps` steps later."""
        return carried

    def forward(self, scores: Tensor, queries: Tensor, memory: Memory, carried: Carried) -> Tensor:
        """Weights from scores.

        Args:
            scores: `(batch, target, source)`, or with heads `(batch, heads, target, source)`; padding is masked.
            queries: `(batch, target, hidden)`.
            memory: from `Attention.remember`.
            carried: state carried into the first of the steps.

        Returns:
            The same shape as the scores.
        """
        return scores.softmax(-1)


class Attention(nn.Module):
    """Weights the encoder's outputs by an alignment and sums them: context = alpha values.

    Paper: Bahdanau et al., 2015, equations 5 and 6, https://arxiv.org/abs/1409.0473

    Args:
        alignment: turns scores into weights; None for a softmax over the whole source.
    """

    def __init__(self, alignment: GlobalAlignment | None = None) -> None:
        super().__init__()
        self.alignment = GlobalAlignment() if alignment is None else alignment

    def project_keys(self, values: Tensor) -> Tensor:
        """The part of the score that depends only on the source: `(batch, source, key width)`."""
        return values

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Scores of every target step against every source position.

        Args:
            queries: decoder states, `(batch, target, hidden)`.
            keys: from `project_keys`.

        Returns:
            `(batch, target, source)`, padding not yet masked.
        """
        raise NotImplementedError

    def remember(self, values: Tensor, mask: Tensor | None, keys: Tensor | None = None) -> Memory:
        """Prepares encoder outputs for `forward`.

        Args:
            values: `(batch, source, encoder width)`.
            mask: `(batch, source)`, zero at padding; None where there is none.
            keys: from an earlier call on the same values.
        """
        bias = values.new_zeros(values.shape[0], 1, values.shape[1])
        if mask is not None:
            bias = bias.masked_fill(mask[:, None] == 0, torch.finfo(values.dtype).min)
        return Memory(values, self.project_keys(values) if keys is None else keys, bias, mask)

    def start(self, memory: Memory) -> Carried:
        """The state carried into the first step."""
        return self.alignment.start(memory)

    def attend(self, queries: Tensor, memory: Memory, carried: Carried) -> tuple[Tensor, Tensor, Carried]:
        """`forward`, but also for one step of several hypotheses per source, which are adjacent among the queries.

        Nothing is repeated for them: they attend as if they were steps of one target. Not supported if state is
        carried.

        Args:
            queries: `(sources x hypotheses, 1, hidden)`, or as for `forward`.
            memory: of the sources.
            carried: as for `forward`.
        """
        rows, sources = len(queries), len(memory.values)
        if rows == sources:
            return self(queries, memory, carried)
        folded = queries.reshape(sources, -1, queries.shape[-1])
        contexts, weights, carried = self(folded, memory, carried)
        return contexts.reshape(rows, 1, -1), weights.transpose(1, 2).flatten(0, 1)[:, :, None], carried

    def forward(self, queries: Tensor, memory: Memory, carried: Carried) -> tuple[Tensor, Tensor, Carried]:
        """Attends from every target step.

        Args:
            queries: as for `score`.
            memory: from `remember`.
            carried: from `start`, or from the call for the previous steps; entries with other names pass through.

        Returns:
            Contexts `(batch, target, encoder width)`, weights `(batch, heads, target, source)`, and the state carried
            to the next step.
        """
        scores = self.score(queries, memory.keys) + memory.bias
        weights = self.alignment(scores, queries, memory, carried)
        carried = self.alignment.advance(carried, queries.shape[1])
        return torch.bmm(weights, memory.values), weights[:, None], carried


class DotAttention(Attention):
    """score(h, s) = h . s.

    Paper: Luong et al., 2015, equation 8, "dot", https://aclanthology.org/D15-1166
    """

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        """As the base class says."""
        return torch.bmm(queries, keys.transpose(1, 2))


class ScaledDotAttention(DotAttention):
    """score(h, s) = h . s / sqrt(width).

    Paper: Vaswani et al., 2017, equation 1, https://arxiv.org/abs/1706.03762
    """

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        """As the base class says."""
        return super().score(queries * queries.shape[-1] ** -0.5, keys)


class GeneralAttention(DotAttention):
    """score(h, s) = h . W s, so that the two sides may differ in width.

    Paper: Luong et al., 2015, equation 8, "general", https://aclanthology.org/D15-1166

    Args:
        query_size: width of the decoder's states.
        memory_size: width of the encoder's outputs.
        alignment: as for `Attention`.
    """

    def __init__(self, query_size: int, memory_size: int, alignment: GlobalAlignment | None = None) -> None:
        super().__init__(alignment)
        self.key_projection = nn.Linear(memory_size, query_size, bias=False)

    def project_keys(self, values: Tensor) -> Tensor:
        """W s of the score, for all source positions."""
        return self.key_projection(values)


class AdditiveAttention(Attention):
    """score(h, s) = v . tanh(W h + U s), a network with one hidden layer as wide as the decoder.

    Paper: Bahdanau et al., 2015, appendix A.1.2, https://arxiv.org/abs/1409.0473; "concat" in Luong et al., 2015.

    Args:
        query_size: width of the decoder's states.
        memory_size: width of the encoder's outputs.
        alignment: as for `Attention`.
    """

    def __init__(self, query_size: int, memory_size: int, alignment: GlobalAlignment | None = None) -> None:
        super().__init__(alignment)
        self.query_projection = nn.Linear(query_size, query_size, bias=False)
        self.key_projection = nn.Linear(memory_size, query_size, bias=False)
        self.score_projection = nn.Linear(query_size, 1, bias=False)

    def project_keys(self, values: Tensor) -> Tensor:
        """U s of the score, for all source positions."""
        return self.key_projection(values)

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        """As the base class says; holds `(batch, target, source, hidden)` numbers."""
        hidden = torch.tanh(self.query_projection(queries)[:, :, None] + keys[:, None])
        return self.score_projection(hidden).squeeze(-1)
