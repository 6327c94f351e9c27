"""The recurrent decoder: embeddings, an initial state from the encoder, a decoder style and a cache for `generate`."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from .attention import Carried, Memory
from .cache import RecurrentCache
from .cells import State, join_states, split_states
from .configuration_rnn import RnnSeq2SeqConfig
from .contexts import Context, level_of
from .decoder_styles import Decoded, build_style
from .dropout import Dropout
from .location_attention import coverage_losses
from .pointer import CopyGate
from .rnn_outputs import RnnDecoderOutput
from .starts import STARTS


class RnnDecoder(nn.Module):
    """The whole decoder, up to the input of the output projection.

    Args:
        config: the sizes and the style.
    """

    main_input_name = "input_ids"
    _gradient_checkpointing_func: Callable[..., Decoded]

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__()
        assert config.embedding_size is not None
        self.embed_tokens = nn.Embedding(config.vocab_size, config.embedding_size)
        self.embedding_dropout = Dropout(config.probability("embedding_dropout"))
        self.output_dropout = Dropout(config.probability("output_dropout"))
        self.start = STARTS[config.decoder_start](config)
        self.context_feeding = config.context_feeding
        self.context = Context(config) if config.has_context else None
        self.attended_levels = ["sentences"] * config.hierarchical_attention
        self.attended_levels += ["documents"] * (config.hierarchical_attention and config.has_documents)
        self.style = build_style(config)
        self.gradient_checkpointing = False
        self.copy_gate = CopyGate(config) if config.pointer_generator else None
        self.coverage_loss_weight = config.coverage_loss_weight if config.coverage else 0

    def forward(
        self,
        encoder: BaseModelOutput,
        encoder_attention_mask: Tensor | None,
        embedded: Tensor,
        cache: RecurrentCache | None = None,
        output_hidden_states: bool | None = None,
    ) -> RnnDecoderOutput:
        """Decodes a target or its next tokens.

        Args:
            encoder: the encoder's output.
            encoder_attention_mask: `(batch, source)`, zero at padding; None where there is none.
            embedded: `(batch, target, embedding)` of the decoder's inputs, without those that the cache has seen.
            cache: read and updated; None to start from the encoder and keep nothing.
            output_hidden_states: also return the embeddings and each layer's output.

        Returns:
            `last_hidden_state` and `hidden_states` `(batch, target, width)`; `cross_attentions`, a tuple of one
            `(batch, heads, target, source)` alignment, None without attention; for `auxiliary_losses` see its class.
        """
        memory = self._remember(encoder, encoder_attention_mask, cache)
        context = self._pool(encoder, encoder_attention_mask, cache)
        states, carried = self._resume(encoder, context, cache)
        inputs = self.embedding_dropout(embedded).transpose(0, 1)
        if self.context_feeding and context is not None:
            inputs = torch.cat([inputs, context.expand(len(inputs), -1, -1)], -1)
        if self.gradient_checkpointing and self.training:
            decoded = self._gradient_checkpointing_func(self.style, inputs, states, memory, carried)
        else:
            decoded = self.style(inputs, states, memory, carried)
        if cache is not None:
            self._keep(decoded, memory, context, cache, embedded.shape[1])
        layers = (embedded, *(layer.transpose(0, 1) for layer in decoded.layers)) if output_hidden_states else None
        return RnnDecoderOutput(
            last_hidden_state=self.output_dropout(decoded.outputs).transpose(0, 1),
            past_key_values=cache,
            hidden_states=layers,
            cross_attentions=None if decoded.weights is None else (decoded.weights,),
            auxiliary_losses=self._auxiliary_losses(decoded) if cache is None else None,
            pointer=self._point(decoded, inputs, encoder),
        )

    def _remember(self, encoder: BaseModelOutput, mask: Tensor | None, cache: RecurrentCache | None) -> Memory | None:
        attention = getattr(self.style, "attention", None)
        if attention is None:
            return None
        keys = None if cache is None else cache.state.source.get("keys")
        memory = attention.remember(encoder.last_hidden_state, mask, keys)
        levels = {name: level_of(encoder, name) for name in self.attended_levels}
        return replace(memory, **levels) if levels else memory

    def _pool(self, encoder: BaseModelOutput, mask: Tensor | None, cache: RecurrentCache | None) -> Tensor | None:
        """The source as one vector, `(batch, encoder width)`; None if it is not used."""
        if self.context is None:
            return None
        if cache is not None and "context" in cache.state.source:
            return cache.state.source["context"]
        return self.context(encoder, mask)

    def _resume(
        self, encoder: BaseModelOutput, context: Tensor | None, cache: RecurrentCache | None
    ) -> tuple[list[State], Carried | None]:
        """Each layer's state, and the state carried from the previous step; None at the start."""
        if cache is not None and cache.get_seq_length():
            carried = dict(cache.state.states)
            return split_states(carried.pop("cells")), carried
        return split_states(self.start(encoder, context)), None

    def _point(
        self, decoded: Decoded, inputs: Tensor, encoder: BaseModelOutput
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """The gate between generating and copying, the copy distribution, and the ids at its positions."""
        if self.copy_gate is None:
            return None
        if encoder.get("copy_ids") is None:
            raise ValueError("pointer_generator=True needs encoder_outputs.copy_ids: pass the encoder's whole output")
        assert decoded.weights is not None
        assert encoder.last_hidden_state is not None
        weights = decoded.weights.mean(1)  # over the heads
        contexts = torch.bmm(weights, encoder.last_hidden_state)
        gate = self.copy_gate(contexts, decoded.layers[-1].transpose(0, 1), inputs.transpose(0, 1))
        return gate, weights, encoder["copy_ids"]

    def _auxiliary_losses(self, decoded: Decoded) -> Tensor | None:
        if not self.coverage_loss_weight or decoded.weights is None:
            return None
        return self.coverage_loss_weight * coverage_losses(decoded.weights.mean(1))  # over the heads, as the score

    @staticmethod
    def _keep(
        decoded: Decoded, memory: Memory | None, context: Tensor | None, cache: RecurrentCache, tokens: int
    ) -> None:
        states = decoded.carried | {"cells": join_states(decoded.states)}
        source = {} if memory is None else {"keys": memory.keys}
        if context is not None:
            source["context"] = context
        cache.state.write(states, source, tokens)


def check_target_padding(mask: Tensor | None) -> None:
    """Rejects decoder padding that a recurrent state would read; after the real tokens it is harmless.

    Raises:
        ValueError: padding before a real token.
    """
    if mask is not None and bool(torch.any(mask[:, 1:] > mask[:, :-1])):
        raise ValueError("decoder_attention_mask has padding before a token; a recurrent decoder needs it on the right")
