"""Positional encoding: added sinusoids, an added table, rotation, a bias by distance, or none.

Positions count only real tokens, so padding never shifts a token, wherever it is.
"""

import math

import torch
from torch import Tensor, nn

BASE = 10000.0  # the longest wavelength is this times 2 pi (Vaswani et al., 2017, section 3.5)


def positions_of(embedded: Tensor, mask: Tensor | None, past: int = 0) -> Tensor:
    """The number of real tokens before each token.

    Args:
        embedded: `(batch, length, width)`; only its length and device are used.
        mask: `(batch, past + length)`, zero at padding; or `(batch, 1, length, keys)`, the keys that each token may
            see, as true or as an additive zero; None where there is no padding.
        past: tokens before these.

    Returns:
        `(1, length)` without a mask, else `(batch, length)`; values at padding are meaningless.
    """
    length = embedded.shape[1]
    if mask is None:
        return (torch.arange(length, device=embedded.device) + past)[None]
    if mask.ndim == 4:
        return (_seen(mask).sum(-1)[:, 0] - 1).clamp(min=0)
    return ((mask != 0).long().cumsum(-1)[:, -length:] - 1).clamp(min=0)


def key_positions(mask: Tensor | None, keys: int, device: torch.device) -> Tensor:
    """The number of real tokens before each key of a decoder's cache, as `positions_of` counts: `(1 or batch, keys)`.

    Args:
        mask: as for `positions_of`.
        keys: number of keys passed to the attention function.
        device: device of the result.
    """
    if mask is None:
        return torch.arange(keys, device=device)[None]
    real = mask != 0 if mask.ndim == 2 else _seen(mask)[:, 0, -1]  # the last token sees all previous real tokens
    return (real.long().cumsum(-1)[:, :keys] - 1).clamp(min=0)


def _seen(mask: Tensor) -> Tensor:
    return mask if mask.dtype == torch.bool else mask >= 0


def angles(positions: Tensor, width: int) -> Tensor:
    """Position / 10000^(2 i / width) for i in 0 ... width / 2 - 1: `positions.shape + (width / 2,)`, float32.

    Paper: Vaswani et al., 2017, section 3.5, https://arxiv.org/abs/1706.03762
    """
    steps = torch.arange(0, width, 2, device=positions.device, dtype=torch.float32)
    return positions[..., None].float() * torch.exp(steps * (-math.log(BASE) / width))


class SinusoidalPositions(nn.Module):
    """Adds sin and cos of `angles`. The sines come first, then the cosines; the paper interleaves them.

    They are computed on the fly, so there is no maximum length.

    Paper: Vaswani et al., 2017, section 3.5, https://arxiv.org/abs/1706.03762
    """

    def forward(self, embedded: Tensor, positions: Tensor) -> Tensor:
        """Adds positions `(1 or batch, length)` to `(batch, length, width)`."""
        turned = angles(positions, embedded.shape[-1])
        return embedded + torch.cat([turned.sin(), turned.cos()], -1).to(embedded.dtype)


class LearnedPositions(nn.Module):
    """Adds a row of a learned table.

    Paper: Gehring et al., 2017, section 3.1, https://arxiv.org/abs/1705.03122

    Args:
        rows: number of positions.
        width: width of the embeddings.
    """

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, width)

    def forward(self, embedded: Tensor, positions: Tensor) -> Tensor:
        """Adds positions `(1 or batch, length)` to `(batch, length, width)`.

        Raises:
            ValueError: a position has no row.
        """
        rows = self.table.num_embeddings
        if not torch.compiler.is_compiling() and int(positions.max()) >= rows:
            raise ValueError(
                f"{int(positions.max()) + 1} tokens, but max_position_embeddings={rows}; "
                "cut the input, or use position_embedding_type='sinusoidal'"
            )
        return embedded + self.table(positions)


class NoPositions(nn.Module):
    """Adds nothing: positions enter through attention, or not at all."""

    def forward(self, embedded: Tensor, positions: Tensor) -> Tensor:
        """Returns `embedded`."""
        return embedded


Rotation = tuple[Tensor, Tensor]


def rotation(positions: Tensor, width: int, dtype: torch.dtype) -> Rotation:
    """Cosines, and signed sines, that `rotate` multiplies heads by: each `(1 or batch, 1, length, width)`.

    Paper: Su et al., 2021, section 3.2.2 and equation 34, https://arxiv.org/abs/2104.09864
    """
    turned = angles(positions, width)[:, None]
    cosines, sines = turned.cos(), turned.sin()
    return torch.cat([cosines, cosines], -1).to(dtype), torch.cat([-sines, sines], -1).to(dtype)


def rotate(heads: Tensor, by: Rotation) -> Tensor:
    """Rotates each pair of numbers by its position's angle, so that products depend only on distances.

    The paper pairs adjacent numbers; here number i is paired with i + width / 2, which is the same up to a permutation.

    Args:
        heads: queries or keys, `(batch, heads, length, width)`.
        by: from `rotation`.
    """
    return torch.addcmul(heads * by[0], heads.roll(heads.shape[-1] // 2, -1), by[1])


class RelativeBias(nn.Module):
    """A learned number for each head and each bucket of distances, added to attention scores.

    Half of the buckets cover one distance each, the others logarithmically growing ranges up to `max_distance`. Unlike
    in T5 the scores are divided by the square root of a head's width.

    Paper: Raffel et al., 2020, section 2.1, https://jmlr.org/papers/v21/20-074.html

    Args:
        heads: attention heads.
        buckets: buckets per head.
        max_distance: all distances from here on share the last bucket.
        bidirectional: later keys have separate buckets; else they share that of distance 0.
    """

    def __init__(self, heads: int, buckets: int, max_distance: int, bidirectional: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(buckets, heads)
        self.max_distance, self.bidirectional = max_distance, bidirectional

    def bucket(self, distances: Tensor) -> Tensor:
        """The bucket of each distance, key position - query position."""
        buckets, offset = self.table.num_embeddings, torch.zeros_like(distances)
        if self.bidirectional:
            buckets //= 2
            offset = (distances > 0) * buckets
            distances = distances.abs()
        else:
            distances = (-distances).clamp(min=0)
        exact = buckets // 2
        growth = torch.log(distances.clamp(min=1) / exact) / math.log(self.max_distance / exact)
        coarse = (exact + (growth * (buckets - exact)).long()).clamp(max=buckets - 1)
        return offset + torch.where(distances < exact, distances, coarse)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """The bias `(1 or batch, heads, queries, keys)` for positions `(1 or batch, length)` of queries and keys."""
        return self.table(self.bucket(keys[:, None, :] - queries[:, :, None])).permute(0, 3, 1, 2)
