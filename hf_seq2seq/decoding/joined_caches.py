"""Batches of a search that grow: caches, masks and states of several batches as one.

What the outputs have so far is padded on the left, so that the next token of all rows stands in the same column; what
belongs to the sources is padded on the right.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import EncoderDecoderCache

from hf_seq2seq.architectures.cache import RecurrentCache

Joins = Callable[[Tensor, Tensor], Tensor]


def join_left(one: Tensor, other: Tensor) -> Tensor:
    """The rows of both masks `(rows, length)`, or keys `(rows, heads, length, d)`, the shorter padded on the left."""
    dim = 1 if one.dim() == 2 else 2
    length, after = max(one.shape[dim], other.shape[dim]), [0, 0] * (one.dim() - dim - 1)
    return torch.cat([pad(part, [*after, length - part.shape[dim], 0]) for part in (one, other)])


def join_right(one: Tensor, other: Tensor) -> Tensor:
    """The rows of both, every other dimension of the smaller one padded by zeros on the right."""
    shape = [max(sizes) for sizes in zip(one.shape[1:], other.shape[1:], strict=True)]
    parts = []
    for part in (one, other):
        missing = [size - own for size, own in zip(shape, part.shape[1:], strict=True)]
        parts.append(pad(part, [amount for each in reversed(missing) for amount in (0, each)]))
    return torch.cat(parts)


def join_caches(one: Any, other: Any) -> None:
    """Adds the rows of the second cache to the first."""
    if isinstance(one, EncoderDecoderCache):
        _join_layers(one.self_attention_cache, other.self_attention_cache, join_left)
        _join_layers(one.cross_attention_cache, other.cross_attention_cache, join_right)
    elif isinstance(one, RecurrentCache):
        own, more = one.state, other.state
        own.states = {name: join_right(part, more.states[name]) for name, part in own.states.items()}
        own.source = {name: join_right(part, more.source[name]) for name, part in own.source.items()}
    else:
        _join_layers(one, other, join_left)


def _join_layers(one: Any, other: Any, join: Joins) -> None:
    for layer, more in zip(one.layers, other.layers, strict=True):
        layer.keys, layer.values = join(layer.keys, more.keys), join(layer.values, more.values)


def drop_left(cache: Any, columns: int) -> None:
    """Removes the oldest columns of what the outputs have so far, which are padding in all rows."""
    if isinstance(cache, RecurrentCache):
        return
    own: Any = cache.self_attention_cache if isinstance(cache, EncoderDecoderCache) else cache
    for layer in own.layers:
        layer.keys, layer.values = layer.keys[:, :, columns:], layer.values[:, :, columns:]
