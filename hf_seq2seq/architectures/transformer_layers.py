"""One layer of the encoder, one of the decoder: sublayers, each with a residual connection and a norm."""

from torch import Tensor, nn
from transformers import Cache, EncoderDecoderCache
from transformers.modeling_layers import GradientCheckpointingLayer

from .configuration_transformer import TransformerConfig
from .depth_scaling import depth_scaling
from .dropout import Dropout
from .feed_forward import FeedForward
from .multi_head_attention import CrossAttention, SelfAttention
from .positions import Rotation
from .windowed_attention import WindowedSelfAttention


class AddNorm(nn.Module):
    """The residual connection around a sublayer f, and the placement of the norm.

    Post-norm is norm(x + f(x)), pre-norm x + f(norm(x)). DeepNet multiplies x by a constant.

    Papers: Vaswani et al., 2017, sections 3.1 and 5.4, https://arxiv.org/abs/1706.03762; Xiong et al., 2020, figure 1,
    https://arxiv.org/abs/2002.04745; Wang et al., 2022, section 3.1, https://arxiv.org/abs/2203.00555

    Args:
        config: the width, the placement of the norm and dropout.
        residual: the constant.
    """

    def __init__(self, config: TransformerConfig, residual: float = 1.0) -> None:
        super().__init__()
        self.placement, self.residual = config.norm_placement, residual
        self.norm = None if self.placement == "none" else nn.LayerNorm(config.d_model, config.layer_norm_eps)
        self.dropout = Dropout(config.dropout)

    def before(self, hidden: Tensor) -> Tensor:
        """The sublayer's input, `(batch, length, width)`."""
        return self.norm(hidden) if self.norm is not None and self.placement == "pre" else hidden

    def after(self, hidden: Tensor, update: Tensor) -> Tensor:
        """Adds the sublayer's output `update` to its input `hidden`, both `(batch, length, width)`."""
        if self.residual != 1.0:
            hidden = hidden * self.residual
        hidden = hidden + self.dropout(update)
        return self.norm(hidden) if self.norm is not None and self.placement == "post" else hidden


def build_feed_forward(config: TransformerConfig, inner: int, gain: float) -> FeedForward:
    """The feed-forward network of a layer."""
    return FeedForward(config.d_model, inner, config.activation_function, config.activation_dropout, gain)


class TransformerEncoderLayer(GradientCheckpointingLayer):
    """Self-attention, then the feed-forward network.

    Paper: Vaswani et al., 2017, section 3.1, https://arxiv.org/abs/1706.03762

    Args:
        config: sizes and options.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        scaling = depth_scaling(config, "encoder")
        kind = SelfAttention if getattr(config, "attention_window", None) is None else WindowedSelfAttention
        self.self_attn = kind(config, config.encoder_attention_heads, scaling.gain)
        self.self_attn_residual = AddNorm(config, scaling.residual)
        self.feed_forward = build_feed_forward(config, config.encoder_ffn_dim, scaling.gain)
        self.feed_forward_residual = AddNorm(config, scaling.residual)

    def forward(
        self, hidden: Tensor, mask: Tensor | None, rotation: Rotation | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Maps `(batch, source, width)` to the same shape; also returns the attention weights, if available.

        Args:
            hidden: the layer's input.
            mask: in the attention function's format.
            rotation: with rotary positions.
        """
        update, weights = self.self_attn(self.self_attn_residual.before(hidden), mask, rotation)
        hidden = self.self_attn_residual.after(hidden, update)
        update = self.feed_forward(self.feed_forward_residual.before(hidden))
        return self.feed_forward_residual.after(hidden, update), weights


class TransformerDecoderLayer(GradientCheckpointingLayer):
    """Masked self-attention, cross-attention if there is a source, then the feed-forward network.

    Paper: Vaswani et al., 2017, section 3.1, https://arxiv.org/abs/1706.03762

    Args:
        config: sizes and options.
        layer_idx: the layer's index in the cache.
    """

    def __init__(self, config: TransformerConfig, layer_idx: int) -> None:
        super().__init__()
        scaling, heads = depth_scaling(config, "decoder"), config.decoder_attention_heads
        self.self_attn = SelfAttention(config, heads, scaling.gain, is_causal=True, layer_idx=layer_idx)
        self.self_attn_residual = AddNorm(config, scaling.residual)
        if config.is_encoder_decoder:
            self.cross_attn = CrossAttention(config, heads, scaling.gain, layer_idx=layer_idx)
            self.cross_attn_residual = AddNorm(config, scaling.residual)
        self.feed_forward = build_feed_forward(config, config.decoder_ffn_dim, scaling.gain)
        self.feed_forward_residual = AddNorm(config, scaling.residual)

    def forward(
        self,
        hidden: Tensor,
        mask: Tensor | None,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
        rotation: Rotation | None = None,
        past_key_values: Cache | None = None,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Maps `(batch, target, width)` to the same shape; also returns both attentions' weights, if available.

        Args:
            hidden: the layer's input.
            mask: in the attention function's format, for the target.
            memory: the encoder's outputs, `(batch, source, width)`.
            memory_mask: the same as `mask` for the source.
            rotation: with rotary positions.
            past_key_values: keys and values of earlier tokens; the new ones are added.
        """
        both = past_key_values if isinstance(past_key_values, EncoderDecoderCache) else None
        own = past_key_values if both is None else both.self_attention_cache
        update, weights = self.self_attn(self.self_attn_residual.before(hidden), mask, rotation, own)
        hidden, cross_weights = self.self_attn_residual.after(hidden, update), None
        if memory is not None:
            query = self.cross_attn_residual.before(hidden)
            update, cross_weights = self.cross_attn(query, memory, memory_mask, both)
            hidden = self.cross_attn_residual.after(hidden, update)
        update = self.feed_forward(self.feed_forward_residual.before(hidden))
        return self.feed_forward_residual.after(hidden, update), weights, cross_weights
