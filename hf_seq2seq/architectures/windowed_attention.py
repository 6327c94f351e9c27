"""Self-attention within a window: a token sees as many tokens to each side, so that the cost grows with the length.

Paper: Beltagy, Peters and Cohan, 2020, section 3.1, https://arxiv.org/abs/2004.05150
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.masking_utils import create_bidirectional_mask

from .configuration_transformer import TransformerConfig
from .multi_head_attention import SelfAttention


class WindowedSelfAttention(SelfAttention):
    """Self-attention of an encoder within the configuration's `attention_window`."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """As in every attention; `mask` is that of `window_mask`."""
        if self.config._attn_implementation == "eager":
            return super().attend(query, key, value, mask)
        dropout = float(self.config.attention_dropout) if self.training else 0.0
        attended = attend_in_blocks(query, key, value, mask, self.config.attention_window, dropout)
        return self.out_proj(attended.transpose(1, 2).flatten(2)), None


def window_mask(config: TransformerConfig, embedded: Tensor, mask: Tensor | None) -> Tensor | None:
    """The mask that `WindowedSelfAttention` needs: of pairs of tokens for "eager", of tokens for "sdpa".

    Args:
        config: has the window, and the attention function.
        embedded: `(batch, source, width)`.
        mask: `(batch, source)`, zero at padding; None where there is none.

    Raises:
        ValueError: the attention function has no windows.
    """
    kind = config._attn_implementation
    if kind == "sdpa":
        return mask
    if kind != "eager":
        raise ValueError(f"attn_implementation={kind!r} does not take attention_window; choose 'sdpa' or 'eager'")
    length, lowest = embedded.shape[1], torch.finfo(embedded.dtype).min
    distance = _distances(length, length, 0, embedded.device)
    far = torch.zeros(length, length, dtype=embedded.dtype, device=embedded.device)
    far = far.masked_fill(distance > config.attention_window, lowest)
    padding: Any = create_bidirectional_mask(config, embedded, mask)
    both = far[None, None] if padding is None else far + padding
    return both.clamp(min=lowest).masked_fill(distance == 0, 0.0)


def attend_in_blocks(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, window: int, dropout: float = 0.0
) -> Tensor:
    """Attention of every token to those at most `window` places away, `(batch, heads, length, width)`.

    The tokens are cut into blocks as long as the window; a block looks at itself and its two neighbours. A token always
    sees itself, so that padding has finite outputs.

    Args:
        query: `(batch, heads, length, width)`.
        key: as `query`.
        value: as `query`.
        mask: `(batch, length)`, zero at padding; None where there is none.
        window: places to each side.
        dropout: probability on the weights.
    """
    batch, _, length, _ = query.shape
    size, filling = window, -length % window
    real = torch.ones(batch, length, dtype=torch.bool, device=query.device) if mask is None else mask != 0
    blocks = F.pad(query, (0, 0, 0, filling)).unflatten(2, (-1, size)).transpose(1, 2).flatten(0, 1)
    keys, values = (_neighbours(each, size, filling) for each in (key, value))
    near = F.pad(real, (size, size + filling)).unfold(1, 3 * size, size).flatten(0, 1)[:, None, None]
    distance = _distances(size, 3 * size, size, query.device)
    seen = (near & (distance <= window)) | (distance == 0)
    attended = F.scaled_dot_product_attention(blocks, keys, values, attn_mask=seen, dropout_p=dropout)
    return attended.unflatten(0, (batch, -1)).transpose(1, 2).flatten(2, 3)[:, :, :length]


def _neighbours(heads: Tensor, size: int, filling: int) -> Tensor:
    """Each block with the ones before and after it, `(batch * blocks, heads, 3 * size, width)`."""
    found = F.pad(heads, (0, 0, size, size + filling)).unfold(2, 3 * size, size)
    return found.transpose(3, 4).transpose(1, 2).flatten(0, 1)


def _distances(queries: int, keys: int, shift: int, device: torch.device) -> Tensor:
    """How many places lie between queries, which are `shift` places later, and keys: `(queries, keys)`."""
    places = torch.arange(keys, device=device) - shift
    return (places[None] - torch.arange(queries, device=device)[:, None]).abs()
