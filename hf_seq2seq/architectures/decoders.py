"""The recurrent decoder: embeddings, a start state from the encoder, a decoder style, and the cache of `generate`."""

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPastAndCrossAttentions

from .attention import Memory
from .cache import RecurrentCache
from .cells import State, join_states, split_states
from .configuration_rnn import RnnSeq2SeqConfig
from .decoder_styles import Decoded, build_style
from .dropout import Dropout
from .pooling import POOLINGS, one_segment
from .starts import STARTS


class RnnDecoder(nn.Module):
    """The whole decoder, up to what the output projection reads.

    Args:
        config: gives the sizes and the style.
    """

    main_input_name = "input_ids"

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__()
        assert config.embedding_size is not None
        self.embed_tokens = nn.Embedding(config.vocab_size, config.embedding_size)
        self.embedding_dropout = Dropout(config.probability("embedding_dropout"))
        self.output_dropout = Dropout(config.probability("output_dropout"))
        self.start = STARTS[config.decoder_start](config)
        self.context_feeding = config.context_feeding
        self.pooling = POOLINGS[config.context_pooling](config) if config.has_context else None
        self.style = build_style(config)

    def forward(
        self,
        encoder: BaseModelOutput,
        encoder_attention_mask: Tensor | None,
        embedded: Tensor,
        cache: RecurrentCache | None = None,
        output_hidden_states: bool | None = None,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Decodes a target or its next tokens.

        Args:
            encoder: what the encoder gave.
            encoder_attention_mask: `(batch, source)`, zero at padding; None where there is none.
            embedded: `(batch, target, embedding)` of the decoder's inputs, without those that the cache has seen.
            cache: continued and written; None to start from the encoder and keep nothing.
            output_hidden_states: also give the embeddings and each layer's output.

        Returns:
            `last_hidden_state` and `hidden_states` `(batch, target, width)`; `cross_attentions`, a tuple of one
            `(batch, 1, target, source)` alignment; None without attention.
        """
        memory = self._remember(encoder, encoder_attention_mask, cache)
        context = self._pool(encoder, encoder_attention_mask, cache)
        states, fed = self._resume(encoder, context, cache)
        inputs = self.embedding_dropout(embedded).transpose(0, 1)
        if self.context_feeding and context is not None:
            inputs = torch.cat([inputs, context.expand(len(inputs), -1, -1)], -1)
        decoded = self.style(inputs, states, memory, fed)
        if cache is not None:
            self._keep(decoded, memory, context, cache, embedded.shape[1])
        layers = (embedded, *(layer.transpose(0, 1) for layer in decoded.layers)) if output_hidden_states else None
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=self.output_dropout(decoded.outputs).transpose(0, 1),
            past_key_values=cache,
            hidden_states=layers,
            cross_attentions=None if decoded.weights is None else (decoded.weights[:, None],),
        )

    def _remember(self, encoder: BaseModelOutput, mask: Tensor | None, cache: RecurrentCache | None) -> Memory | None:
        attention = getattr(self.style, "attention", None)
        if attention is None:
            return None
        keys = None if cache is None else cache.state.source.get("keys")
        return attention.remember(encoder.last_hidden_state, mask, keys)

    def _pool(self, encoder: BaseModelOutput, mask: Tensor | None, cache: RecurrentCache | None) -> Tensor | None:
        """The source in one vector, `(batch, encoder width)`; None where nothing reads it."""
        if self.pooling is None:
            return None
        if cache is not None and "context" in cache.state.source:
            return cache.state.source["context"]
        outputs = encoder.last_hidden_state
        assert outputs is not None
        return self.pooling(outputs, one_segment(outputs, mask))[:, 0]

    def _resume(
        self, encoder: BaseModelOutput, context: Tensor | None, cache: RecurrentCache | None
    ) -> tuple[list[State], Tensor | None]:
        """Each layer's state, and the attentional vector of the step before."""
        if cache is not None and cache.get_seq_length():
            kept = cache.state.states
            return split_states(kept["cells"]), kept.get("fed")
        return split_states(self.start(encoder, context)), None

    @staticmethod
    def _keep(
        decoded: Decoded, memory: Memory | None, context: Tensor | None, cache: RecurrentCache, tokens: int
    ) -> None:
        states = {"cells": join_states(decoded.states)}
        if decoded.fed is not None:
            states["fed"] = decoded.fed
        source = {} if memory is None else {"keys": memory.keys}
        if context is not None:
            source["context"] = context
        cache.state.write(states, source, tokens)


def check_target_padding(mask: Tensor | None) -> None:
    """Refuses decoder padding that a recurrent state would read; after the real tokens it does no harm.

    Raises:
        ValueError: padding before a real token.
    """
    if mask is not None and bool(torch.any(mask[:, 1:] > mask[:, :-1])):
        raise ValueError("decoder_attention_mask has padding before a token; a recurrent decoder needs it on the right")
