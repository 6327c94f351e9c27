"""Levels above the words: phrases, sentences and documents, each pooled into one vector and read by a recurrent layer.

The source alone determines where segments end: a phrase after a fixed number of words or at a token, a sentence or a
document at a token, the last ones at the end of the source. The token that ends a segment belongs to it, and no phrase
extends beyond its sentence, nor a sentence beyond its document.

Papers: El Hihi and Bengio, 1995 (slower levels above faster ones); Li et al., 2015, section 3 (words, sentences),
https://aclanthology.org/P15-1107
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration_rnn import RnnSeq2SeqConfig
from .encoder_layers import EncoderLayer, Padding
from .pooling import POOLINGS, Segments


def split_at(ends: Tensor, real: Tensor) -> Segments:
    """Segments that end at `ends` and at the end of the source.

    Args:
        ends: `(batch, source)`, whether a token ends its segment.
        real: `(batch, source)`, false at padding, which may be anywhere.
    """
    ended = (ends & real).long()
    before = ended.cumsum(1) - ended
    count = int(torch.where(real, before, 0).max()) + 1
    return Segments(torch.where(real, before, count), count)


def every(length: int, sentence_ends: Tensor, real: Tensor) -> Tensor:
    """Whether a token is the last of `length` words, counted from its sentence's first one.

    Args:
        length: words of a phrase.
        sentence_ends: `(batch, source)`.
        real: `(batch, source)`, false at padding.
    """
    number = real.long().cumsum(1)  # the first word is 1
    last_end = (number * (sentence_ends & real)).cummax(1).values
    before = F.pad(last_end, (1, 0))[:, :-1]  # words up to the end of the previous sentence
    return (number - before) % length == 0


def group(inner: Segments, outer: Segments) -> Segments:
    """The outer segment that each inner one belongs to; every outer one ends where an inner one does."""
    index = inner.index.new_full((len(inner.index), inner.count + 1), outer.count)  # the extra one collects the padding
    return Segments(index.scatter(1, inner.index, outer.index)[:, : inner.count], outer.count)


class Level(nn.Module):
    """Pools segments of the level below and reads them with a recurrent layer.

    Args:
        config: gives the pooling, the cell and the sizes.
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__()
        self.pooling = POOLINGS[config.context_pooling](config)
        self.layer = EncoderLayer(config, depth=1)

    def forward(self, below: Tensor, segments: Segments) -> Tensor:
        """Maps the level below, `(batch, length, width)`, to this one, `(batch, segments, width)`, zero-padded."""
        mask = segments.mask
        pooled = self.pooling(below, segments).transpose(0, 1)
        outputs, _ = self.layer(pooled, Padding(mask.sum(1), segments.count), False)
        return outputs.transpose(0, 1) * mask[..., None]


class Hierarchy(nn.Module):
    """The levels above the words that a configuration selects.

    Args:
        config: selects them.
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__()
        self.config = config
        self.phrases = Level(config) if config.has_phrases else None
        self.sentences = Level(config) if config.has_sentences else None
        self.documents = Level(config) if config.has_documents else None

    def forward(self, words: Tensor, ids: Tensor | None, mask: Tensor | None) -> dict[str, Tensor]:
        """Reads phrases, sentences of phrases or of words, and documents of sentences.

        Args:
            words: the word level's outputs, `(batch, source, width)`.
            ids: the source, `(batch, source)`; None only if no segment ends at a token.
            mask: `(batch, source)`, zero at padding; None where there is none.

        Returns:
            `phrases`, `sentences` and `documents`, `(batch, segments, width)`, with `phrase_index` etc., `(batch,
            source)`: the segment that each word belongs to, and the number of segments at padding.

        Raises:
            ValueError: ids are needed and missing.
        """
        real = torch.ones(words.shape[:2], dtype=torch.bool, device=words.device) if mask is None else mask != 0
        document_ends = self._at("document_separator_token_id", ids, real)
        sentence_ends = self._at("sentence_separator_token_id", ids, real) | document_ends
        sentences, found, below, parts = split_at(sentence_ends, real), {}, words, None
        if self.phrases is not None:
            parts = split_at(self._phrase_ends(ids, sentence_ends, real), real)
            below = self.phrases(words, parts)
            found = {"phrases": below, "phrase_index": parts.index}
        if self.sentences is not None:
            read = self.sentences(below, sentences if parts is None else group(parts, sentences))
            found |= {"sentences": read, "sentence_index": sentences.index}
            if self.documents is not None:
                documents = split_at(document_ends, real)
                found |= {"documents": self.documents(read, group(sentences, documents))}
                found |= {"document_index": documents.index}
        return found

    def _phrase_ends(self, ids: Tensor | None, sentence_ends: Tensor, real: Tensor) -> Tensor:
        if self.config.phrase_length is not None:
            return sentence_ends | every(self.config.phrase_length, sentence_ends, real)
        return sentence_ends | self._at("phrase_separator_token_id", ids, real)

    def _at(self, name: str, ids: Tensor | None, real: Tensor) -> Tensor:
        """The positions of the token that the configuration names; none if it names none."""
        token = getattr(self.config, name)
        if token is None:
            return torch.zeros_like(real)
        if ids is None:
            raise ValueError(f"{name}={token} needs input_ids: inputs_embeds do not say where that token is")
        return ids == token
