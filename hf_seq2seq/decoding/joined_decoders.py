"""Decoders whose rows may stand at different positions, so that new sources can join while others are being decoded."""

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from hf_seq2seq.decoding.decoder import CausalDecoder, CrossDecoder, takes_places
from hf_seq2seq.decoding.joined_caches import drop_left, join_caches, join_left, join_right

BY_DISTANCE = ("mt5", "t5", "umt5")
"""Model types whose positions are distances, which padding on the left does not change."""
BY_MASK = ("transformer-seq2seq",)
"""Model types that count positions from the decoder's mask."""
BY_TABLE = ("bart", "blenderbot", "blenderbot-small", "m2m_100", "marian", "mbart", "pegasus")
"""Model types that look positions up by the length of the cache."""


def joins(model: PreTrainedModel) -> bool:
    """Whether sources can join a batch of this model at any time."""
    kind = model.config.model_type
    if not model.config.is_encoder_decoder:
        return takes_places(model) and not getattr(model.config, "sliding_window", None)
    return kind == "rnn-seq2seq" or kind in BY_DISTANCE + BY_MASK + BY_TABLE


class JoinedCrossDecoder(CrossDecoder):
    """The decoder of an encoder-decoder; arguments as for `CrossDecoder`."""

    def __init__(self, model: PreTrainedModel, batch: dict[str, Tensor], watch: bool = False) -> None:
        super().__init__(model, batch, watch)
        self.kind = model.config.model_type
        self.read = self.mask.new_zeros(len(self.mask), 0)  # (rows, tokens): which of the cache's columns are real

    def step(self, tokens: Tensor) -> Tensor:
        """As `Decoder` says."""
        self.read = torch.cat([self.read, self.read.new_ones(len(tokens), 1)], 1)
        if self.kind not in BY_TABLE:
            return super().step(tokens)
        with placed(self.model.get_decoder().embed_positions, self.read.sum(1) - 1):
            return super().step(tokens)

    def padding(self) -> dict[str, Tensor]:
        """As `CrossDecoder` says; a recurrent decoder has no previous tokens."""
        return {} if self.kind == "rnn-seq2seq" else {"decoder_attention_mask": self.read}

    def keep(self, rows: Tensor | None, sources: Tensor | None) -> None:
        """As `Decoder` says."""
        if rows is None:
            return
        super().keep(rows, sources)
        self.read = self.read[rows]
        if spare := _spare(self.read):
            self.read = self.read[:, spare:]
            drop_left(self.cache, spare)

    def join(self, other: "JoinedCrossDecoder") -> None:
        """Adds the rows of another batch of the same model, which may have read another number of tokens."""
        self.read, self.mask = join_left(self.read, other.read), join_right(self.mask, other.mask)
        for name, part in self.encoded.items():
            if isinstance(part, Tensor):
                self.encoded[name] = join_right(part, other.encoded[name])
        join_caches(self.cache, other.cache)


class JoinedCausalDecoder(CausalDecoder):
    """A decoder-only model, which continues its prompt; arguments as for `CausalDecoder`."""

    def keep(self, rows: Tensor | None, sources: Tensor | None) -> None:
        """As `Decoder` says."""
        if rows is None:
            return
        super().keep(rows, sources)
        if spare := _spare(self.mask):
            self.mask = self.mask[:, spare:]
            drop_left(self.cache, spare)

    def join(self, other: "JoinedCausalDecoder") -> None:
        """Adds the rows of another batch of the same model, which may have read another number of tokens."""
        self.mask, self.places = join_left(self.mask, other.mask), torch.cat([self.places, other.places])
        join_caches(self.cache, other.cache)


JoinedDecoder = JoinedCrossDecoder | JoinedCausalDecoder


def joined_decoder(model: PreTrainedModel, batch: dict[str, Tensor], watch: bool = False) -> JoinedDecoder:
    """A decoder that others can join; see `CrossDecoder` and `CausalDecoder` for the arguments."""
    if model.config.is_encoder_decoder:
        return JoinedCrossDecoder(model, batch, watch)
    return JoinedCausalDecoder(model, batch)


def _spare(mask: Tensor) -> int:
    """Columns on the left that are padding in every row; the last column never is."""
    real = mask.any(0).long()
    return int(real.argmax()) if len(mask) else 0


@contextmanager
def placed(table: Any, places: Tensor) -> Iterator[None]:
    """Context manager in which a model's table of positions gives every row the position stated for it.

    Args:
        table: the module `embed_positions` of a decoder.
        places: `(rows,)`, from 0.
    """
    original = table.forward

    by_place = "position_ids" in signature(type(table).forward).parameters

    def forward(ids: Any, *args: Any, **kwargs: Any) -> Tensor:
        if by_place:  # it then reads neither the ids nor their shape
            found: Tensor = original(None, 0, position_ids=places)
            return found.reshape(len(places), 1, -1)
        # It counts real tokens, and a padding token, which a model may have chosen, has no position.
        line = torch.full((1, int(places.max()) + 1), table.padding_idx + 1, device=places.device)
        found = original(line)[0, places, None]
        return found.masked_fill(ids[..., None] == table.padding_idx, 0)

    table.forward = forward
    try:
        yield
    finally:
        del table.forward
