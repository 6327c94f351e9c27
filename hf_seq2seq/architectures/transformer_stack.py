"""Shared by the encoder's and decoder's stacks: embeddings with positions, masks with relative bias, final norm."""

import torch
from torch import Tensor, nn

from .configuration_transformer import TransformerConfig
from .dropout import Dropout
from .positions import LearnedPositions, NoPositions, RelativeBias, Rotation, SinusoidalPositions, rotation


class TransformerStack(nn.Module):
    """Embeddings, positions and, if the layers are pre-norm, the final norm.

    Args:
        config: sizes and options.
        side: "encoder" or "decoder".
        vocab_size: rows of the embedding table.
    """

    main_input_name = "input_ids"

    def __init__(self, config: TransformerConfig, side: str, vocab_size: int) -> None:
        super().__init__()
        self.config, self.is_causal = config, side == "decoder"
        heads = getattr(config, f"{side}_attention_heads")
        self.head_width = config.d_model // heads
        self.embed_scale = config.d_model**0.5 if config.scale_embedding else 1.0
        self.embed_tokens = nn.Embedding(vocab_size, config.d_model)
        self.positions = build_positions(config)
        self.relative_bias = None
        if config.position_embedding_type == "relative_bias":
            buckets, furthest = config.relative_attention_num_buckets, config.relative_attention_max_distance
            self.relative_bias = RelativeBias(heads, buckets, furthest, bidirectional=not self.is_causal)
        self.dropout = Dropout(config.dropout)
        self.final_norm = (
            nn.LayerNorm(config.d_model, config.layer_norm_eps) if config.norm_placement == "pre" else None
        )

    def embed(self, ids: Tensor | None, embedded: Tensor | None) -> Tensor:
        """Scaled embeddings of ids `(batch, length)`, or scaled `embedded`, `(batch, length, width)`.

        Raises:
            ValueError: unless exactly one of the two is given.
        """
        if (ids is None) == (embedded is None):
            side = "decoder_" if self.is_causal and self.config.is_encoder_decoder else ""
            raise ValueError(f"give either {side}input_ids or {side}inputs_embeds{' (or labels)' if side else ''}")
        embedded = self.embed_tokens(ids) if embedded is None else embedded
        return embedded * self.embed_scale if self.embed_scale != 1.0 else embedded

    def rotation(self, positions: Tensor, dtype: torch.dtype) -> Rotation | None:
        """The rotation of this stack's queries and keys, with rotary positions."""
        if self.config.position_embedding_type != "rotary":
            return None
        return rotation(positions, self.head_width, dtype)

    def bias(self, mask: Tensor | None, queries: Tensor, keys: Tensor, dtype: torch.dtype) -> Tensor | None:
        """Adds the relative bias to an attention function's mask.

        Args:
            mask: `(batch, 1, queries, keys)`, true or zero where a query may look; None where it may look at all keys,
                or in the decoder at all that are not later.
            queries: their positions, `(1 or batch, queries)`.
            keys: their positions, `(1 or batch, keys)`.
            dtype: dtype of the scores.

        Raises:
            ValueError: the attention function takes no bias.
        """
        if self.relative_bias is None:
            return mask
        kind = self.config._attn_implementation
        if kind not in ("eager", "sdpa"):
            raise ValueError(
                f"attn_implementation={kind!r} does not take position_embedding_type='relative_bias'; "
                "choose 'sdpa' or 'eager'"
            )
        bias = self.relative_bias(queries, keys).to(dtype)
        if mask is None and self.is_causal:
            earlier = torch.ones(queries.shape[1], keys.shape[1], dtype=torch.bool, device=keys.device)
            mask = earlier.tril(keys.shape[1] - queries.shape[1])
        if mask is None:
            return bias
        return bias.masked_fill(~mask, torch.finfo(dtype).min) if mask.dtype == torch.bool else bias + mask

    def finish(self, hidden: Tensor) -> Tensor:
        """The stack's output `(batch, length, width)` from that of its last layer."""
        return hidden if self.final_norm is None else self.final_norm(hidden)


def build_positions(config: TransformerConfig) -> nn.Module:
    """The module that adds positions to embeddings."""
    if config.position_embedding_type == "sinusoidal":
        return SinusoidalPositions()
    if config.position_embedding_type == "learned":
        return LearnedPositions(config.max_position_embeddings, config.d_model)
    return NoPositions()
