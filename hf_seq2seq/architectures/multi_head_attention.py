"""Multi-head attention: self-attention, and cross-attention over the encoded source.

The product itself, softmax(Q K^T / sqrt(d)) V, is computed by the function that `attn_implementation` selects: the one
written here ("eager", which also returns the weights), PyTorch's fused one ("sdpa"), flash attention on a GPU.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Cache, EncoderDecoderCache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_transformer import TransformerConfig
from .depth_scaling import ScaledLinear
from .positions import Rotation, rotate


def scaled_dot_product_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention(Q, K, V) = softmax(Q K^T / sqrt(d)) V, for all heads at once.

    Paper: Vaswani et al., 2017, equation 1, https://arxiv.org/abs/1706.03762

    Args:
        module: the attention module.
        query: `(batch, heads, queries, d)`.
        key: `(batch, heads, keys, d)`.
        value: `(batch, heads, keys, d)`.
        attention_mask: added to the scores, `(batch, 1 or heads, queries, keys)`.
        scaling: 1 / sqrt(d).
        dropout: probability on the weights while training.

    Returns:
        `(batch, queries, heads, d)` and the weights `(batch, heads, queries, keys)`.
    """
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = F.dropout(scores.softmax(-1), dropout, module.training)
    return (weights @ value).transpose(1, 2), weights


class MultiHeadAttention(nn.Module):
    """MultiHead(Q, K, V) = Concat(head_1 ... head_h) W_O with head_i = Attention(Q W_i, K W_i, V W_i).

    The three projections are separate layers, which LoRA finds by these names; fusing them would save about one percent
    of a training step on a CPU.

    Paper: Vaswani et al., 2017, section 3.2.2, https://arxiv.org/abs/1706.03762

    Args:
        config: the width, dropout and attention function.
        heads: attention heads.
        gain: initial weights of values and outputs are multiplied by this.
        is_causal: no query may see a later key.
        layer_idx: the layer's index in the cache.
    """

    def __init__(
        self, config: TransformerConfig, heads: int, gain: float = 1.0, is_causal: bool = False, layer_idx: int = 0
    ) -> None:
        super().__init__()
        width = config.d_model
        self.config, self.is_causal, self.layer_idx = config, is_causal, layer_idx
        self.head_width = width // heads
        self.scaling = self.head_width**-0.5
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = ScaledLinear(width, width, gain)
        self.out_proj = ScaledLinear(width, width, gain)

    def split(self, projected: Tensor) -> Tensor:
        """Splits `(batch, length, width)` into heads: `(batch, heads, length, width of a head)`."""
        return projected.unflatten(-1, (-1, self.head_width)).transpose(1, 2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Attends with every head and projects the concatenated outputs.

        Args:
            query: `(batch, heads, queries, width of a head)`.
            key: `(batch, heads, keys, width of a head)`.
            value: as `key`.
            mask: in the attention function's format, from `transformers.masking_utils`.

        Returns:
            `(batch, queries, width)`, and the weights if the function returns them.
        """
        function = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, scaled_dot_product_attention)
        dropout = float(self.config.attention_dropout) if self.training else 0.0
        attended, weights = function(self, query, key, value, mask, dropout=dropout, scaling=self.scaling)
        return self.out_proj(attended.flatten(2)), weights


class SelfAttention(MultiHeadAttention):
    """Self-attention; in a decoder, masked to previous tokens."""

    def forward(
        self, hidden: Tensor, mask: Tensor | None, rotation: Rotation | None = None, cache: Cache | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Attends from every position.

        Args:
            hidden: `(batch, length, width)`.
            mask: as for `attend`.
            rotation: the rotation of queries and keys, with rotary positions.
            cache: earlier keys and values; the new ones are added.

        Returns:
            As `attend`.
        """
        query, key = self.split(self.q_proj(hidden)), self.split(self.k_proj(hidden))
        value = self.split(self.v_proj(hidden))
        if rotation is not None:
            query, key = rotate(query, rotation), rotate(key, rotation)
        if cache is not None:
            key, value = cache.update(key, value, self.layer_idx)
        return self.attend(query, key, value, mask)


class CrossAttention(MultiHeadAttention):
    """Cross-attention of the decoder (queries) over the encoder's outputs (keys and values)."""

    def forward(
        self, hidden: Tensor, memory: Tensor, mask: Tensor | None, cache: EncoderDecoderCache | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Attends from every target position.

        Args:
            hidden: `(batch, target, width)`.
            memory: the encoder's outputs, `(batch, source, width)`.
            mask: as for `attend`.
            cache: holds the keys and values of `memory` from the first step on.

        Returns:
            As `attend`.
        """
        key, value = self._remember(memory, cache)
        return self.attend(self.split(self.q_proj(hidden)), key, value, mask)

    def _remember(self, memory: Tensor, cache: EncoderDecoderCache | None) -> tuple[Tensor, Tensor]:
        if cache is not None and cache.is_updated.get(self.layer_idx):
            layer: Any = cache.cross_attention_cache.layers[self.layer_idx]
            return layer.keys, layer.values
        key, value = self.split(self.k_proj(memory)), self.split(self.v_proj(memory))
        if cache is not None:
            key, value = cache.cross_attention_cache.update(key, value, self.layer_idx)
            cache.is_updated[self.layer_idx] = True
        return key, value
