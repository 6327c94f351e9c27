"""The cache of generation: a recurrent state instead of past keys and values."""

from typing import NoReturn

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, DynamicLayer

from .positions import key_positions


class RecurrentLayer(CacheLayerMixin):
    """The decoder's state after the tokens seen so far.

    Attributes:
        states: tensors, batch first, that belong to a hypothesis: recurrent states, the attentional vector.
        source: tensors, batch first, that belong to a source sentence, such as attention's keys. Beam search reorders
            hypotheses only within their sentence, so reordering leaves these unchanged, like `encoder_outputs`.
        tokens: number of decoder inputs seen.
    """

    supports_early_init = False

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, Tensor] = {}
        self.source: dict[str, Tensor] = {}
        self.tokens = 0

    def write(self, states: dict[str, Tensor], source: dict[str, Tensor], tokens: int) -> None:
        """Replaces the state after reading `tokens` more tokens."""
        self.states, self.source = states, source
        self.tokens += tokens
        self.is_initialized = True

    def get_seq_length(self) -> int:
        """Tokens seen so far."""
        return self.tokens

    def get_max_length(self) -> int:
        """-1: a state has no maximum length."""
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset that a mask over the past would have."""
        return self.tokens + query_length, 0

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Gives each beam the state of the hypothesis that it continues."""
        self.states = {name: part.index_select(0, beam_idx.to(part.device)) for name, part in self.states.items()}

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeats each row."""
        self.states = {name: part.repeat_interleave(repeats, 0) for name, part in self.states.items()}
        self.source = {name: part.repeat_interleave(repeats, 0) for name, part in self.source.items()}

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keeps the rows at these indices."""
        self.select(indices, indices)

    def select(self, rows: Tensor, sources: Tensor) -> None:
        """Keeps the hypotheses at these indices, and what belongs to the sources at these indices."""
        self.states = {name: part[rows] for name, part in self.states.items()}
        self.source = {name: part[sources] for name, part in self.source.items()}

    def reset(self) -> None:
        """Clears the state."""
        self.states, self.source, self.tokens, self.is_initialized = {}, {}, 0, False

    def offload(self) -> None:
        """Does nothing: one step's state is small."""

    def prefetch(self) -> None:
        """Does nothing, like `offload`."""

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> NoReturn:
        """Raises `NotImplementedError`: there are no keys and values."""
        raise NotImplementedError("a recurrent state has no keys and values; use write")

    def update(self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object) -> NoReturn:
        """Raises `NotImplementedError`: there are no keys and values."""
        raise NotImplementedError("a recurrent state has no keys and values; use write")

    def crop(self, tokens_to_remove: int) -> None:
        """Raises `NotImplementedError` unless nothing is to be removed: a recurrent state cannot be rewound."""
        if tokens_to_remove:
            raise NotImplementedError("a recurrent state cannot go back; generate again from the start")


class RecurrentCache(Cache):
    """The cache of a recurrent decoder: one `RecurrentLayer` for the whole stack."""

    def __init__(self) -> None:
        super().__init__(layers=[RecurrentLayer()])

    @property
    def state(self) -> RecurrentLayer:
        """The only layer."""
        layer = self.layers[0]
        assert isinstance(layer, RecurrentLayer)
        return layer


def cached_positions(cache: Cache, depth: int, positions: Tensor, padding: Tensor | None) -> Tensor:
    """The positions `(batch, keys)` of a decoder's keys: those in the cache, then the new ones, which are added to it.

    A dynamic cache stores them as an extra layer, so that they are reordered, repeated, selected and cropped along with
    its rows. A cache with a fixed number of layers stores none; its keys' positions are counted.

    Args:
        cache: the cache before its layers have seen the new tokens.
        depth: layers of the decoder.
        positions: of the new tokens, `(batch, new)`.
        padding: as for `positions_of`.
    """
    keys = cache.get_mask_sizes(positions.shape[1], 0)[0]
    if isinstance(cache, DynamicCache):
        cache.layers += [DynamicLayer() for _ in range(len(cache.layers), depth + 1)]
        new = positions[:, None, :, None]
        held, _ = cache.update(new, new[..., :0], depth)
        if held.shape[2] == keys:
            return held[:, 0, :, 0]
    return key_positions(padding, keys, positions.device)
