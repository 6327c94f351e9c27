"""The Transformer's decoder: every layer sees the previous tokens and, with an encoder, the whole source.

Paper: Vaswani et al., 2017, section 3.1, https://arxiv.org/abs/1706.03762
"""

from typing import Any

from torch import Tensor, nn
from transformers import Cache, EncoderDecoderCache
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from .cache import cached_positions
from .configuration_transformer import TransformerConfig
from .positions import key_positions, positions_of
from .transformer_encoder import known
from .transformer_layers import TransformerDecoderLayer
from .transformer_stack import TransformerStack


class TransformerDecoder(TransformerStack):
    """The whole decoder.

    Args:
        config: sizes and options.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config, "decoder", config.vocab_size)
        self.layers = nn.ModuleList(TransformerDecoderLayer(config, depth) for depth in range(config.decoder_layers))

    def forward(
        self,
        embedded: Tensor,
        attention_mask: Tensor | None = None,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
        cache: Cache | None = None,
        position_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Decodes a target or its next tokens.

        Args:
            embedded: from `embed`, `(batch, target, width)`, without the tokens already in the cache.
            attention_mask: `(batch, past + target)`, zero at padding, which may be anywhere; None where there is none.
            memory: the encoder's outputs, `(batch, source, width)`.
            memory_mask: `(batch, source)`, zero at padding; None where there is none.
            cache: earlier keys and values; the new ones are added. None keeps nothing.
            position_ids: `(batch, target)`; None counts the real tokens. Without mask and cache, positions that restart
                mark a new document, which does not see those before it.
            output_hidden_states: also return the embeddings and each layer's output.
        """
        own = cache.self_attention_cache if isinstance(cache, EncoderDecoderCache) else cache
        positions = position_ids
        if positions is None:
            positions = positions_of(embedded, attention_mask, 0 if own is None else own.get_seq_length())
        mask: Any = create_causal_mask(self.config, embedded, attention_mask, own, position_ids)
        if self.relative_bias is not None:
            mask = self.bias(mask, positions, self._keys(positions, attention_mask, cache, embedded), embedded.dtype)
        seen: Any = None if memory is None else create_bidirectional_mask(self.config, embedded, memory_mask, memory)
        rotation = self.rotation(positions, embedded.dtype)
        hidden = self.dropout(self.positions(embedded, positions))
        states, attentions, cross_attentions = [hidden], [], []
        for layer in self.layers:
            hidden, weights, cross_weights = layer(hidden, mask, memory, seen, rotation, past_key_values=cache)
            states.append(hidden)
            attentions.append(weights)
            cross_attentions.append(cross_weights)
        states[-1] = self.finish(hidden)
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=states[-1],
            past_key_values=cache,
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=known(attentions),
            cross_attentions=known(cross_attentions),
        )

    def _keys(self, queries: Tensor, padding: Tensor | None, cache: Cache | None, embedded: Tensor) -> Tensor:
        """The positions `(1 or batch, keys)` of all keys, including those of the cache."""
        if cache is None:
            return queries
        if not isinstance(cache, EncoderDecoderCache):
            return cached_positions(cache, len(self.layers), queries.expand(len(embedded), -1), padding)
        sizes = cache.self_attention_cache.get_mask_sizes(queries.shape[1], 0)
        return key_positions(padding, sizes[0], queries.device)
