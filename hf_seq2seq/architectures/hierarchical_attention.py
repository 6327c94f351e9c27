"""Hierarchical attention: over documents, over the sentences of each, and over the words within each of those."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Carried, GlobalAlignment, Memory
from .hierarchy import group


class HierarchicalAlignment(GlobalAlignment):
    """alpha_j = beta_s(j) gamma_j: word j's sentence weight times its weight within the sentence; they sum to 1.

    With a level of documents, beta_s is delta_d(s) beta'_s, the weight of the sentence's document times that of the
    sentence within it, so that the weights still sum to 1.

    beta is a softmax over the sentences' scores h . W s ("general" in Luong et al., 2015), gamma one over the word
    scores within a sentence, as in Yang et al., who use a learned vector instead of the decoder's state. Nallapati et
    al. also multiply, but normalize gamma over the document and then the product, and add a position to each sentence.

    Papers: Yang et al., 2016, section 2.2, https://aclanthology.org/N16-1174; Nallapati et al., 2016, section 2.4,
    https://aclanthology.org/K16-1028

    Args:
        query_size: width of the decoder's states.
        memory_size: width of the sentences.
        has_documents: whether there is a level of documents.
    """

    def __init__(self, query_size: int, memory_size: int, has_documents: bool = False) -> None:
        super().__init__()
        self.query_projection = nn.Linear(
            query_size, memory_size, bias=False
        )  # on the query side, which needs no cache

        self.document_projection = nn.Linear(query_size, memory_size, bias=False) if has_documents else None

    def forward(self, scores: Tensor, queries: Tensor, memory: Memory, carried: Carried) -> Tensor:
        """As the base class says."""
        assert memory.sentences is not None
        segments = memory.sentences[1]
        weights = self._sentence_weights(queries, memory)
        if scores.dim() == 4:
            weights = weights[:, None]
        index = segments.index.unflatten(0, (-1,) + (1,) * (scores.dim() - 2)).expand_as(scores)
        whole = F.pad(weights, (0, 1)).expand(*scores.shape[:-1], -1)  # the last sentence is padding and has no weight
        return whole.gather(-1, index) * softmax_within(scores, index, segments.count)

    def _sentence_weights(self, queries: Tensor, memory: Memory) -> Tensor:
        """Weights of the sentences, `(batch, target, sentences)`."""
        assert memory.sentences is not None
        sentences, words = memory.sentences
        scores = torch.bmm(self.query_projection(queries), sentences.transpose(1, 2))
        if self.document_projection is None or memory.documents is None:
            return softmax_over(scores, words.mask)
        documents, whose = memory.documents
        asked = torch.bmm(self.document_projection(queries), documents.transpose(1, 2))
        own = group(words, whose)
        index = own.index[:, None].expand_as(scores)
        whole = F.pad(softmax_over(asked, own.mask), (0, 1))
        return whole.gather(-1, index) * softmax_within(scores, index, own.count)


def softmax_over(scores: Tensor, mask: Tensor) -> Tensor:
    """A softmax over the segments that exist, `(batch, target, segments)`; `mask` is `(batch, segments)`."""
    return scores.masked_fill(~mask[:, None], torch.finfo(scores.dtype).min).softmax(-1)


def softmax_within(scores: Tensor, index: Tensor, count: int) -> Tensor:
    """A softmax over the last dimension within each segment.

    Args:
        scores: `(..., source)`.
        index: each position's segment, from 0 to `count`, in the shape of the scores.
        count: segments, without that of the padding.
    """
    segments = (*scores.shape[:-1], count + 1)
    lowest = scores.new_full(segments, torch.finfo(scores.dtype).min)
    powers = (scores - lowest.scatter_reduce(-1, index, scores.detach(), "amax").gather(-1, index)).exp()
    return powers / powers.new_zeros(segments).scatter_add(-1, index, powers).gather(-1, index)
