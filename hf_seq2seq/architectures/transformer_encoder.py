"""The Transformer's encoder: every layer sees the whole source.

Paper: Vaswani et al., 2017, section 3.1, https://arxiv.org/abs/1706.03762
"""

from typing import Any

from torch import Tensor, nn
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import BaseModelOutput

from .configuration_source_inputs import main_input
from .configuration_transformer import TransformerConfig
from .positions import positions_of
from .source_inputs import feature_module, frame_module, known_frames
from .transformer_layers import TransformerEncoderLayer
from .transformer_stack import TransformerStack
from .windowed_attention import window_mask


class TransformerEncoder(TransformerStack):
    """The whole encoder.

    Args:
        config: sizes and options.
        vocab_size: size of the source vocabulary.
    """

    def __init__(self, config: TransformerConfig, vocab_size: int) -> None:
        super().__init__(config, "encoder", vocab_size)
        self.layers = nn.ModuleList(TransformerEncoderLayer(config) for _ in range(config.encoder_layers))
        self.features = feature_module(config, config.d_model)
        self.frames = frame_module(config, config.d_model)
        self.main_input_name = main_input(config)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = True,
        input_features: Tensor | None = None,
        feature_ids: Tensor | None = None,
    ) -> BaseModelOutput:
        """Encodes a batch.

        Args:
            input_ids: `(batch, source)`.
            attention_mask: `(batch, source)`, zero at padding, which may be anywhere; None where there is none.
            inputs_embeds: `(batch, source, width)`, in place of `input_ids`; `scale_embedding` applies to it too.
            output_attentions: also return each layer's weights, which requires "eager" attention.
            output_hidden_states: also return the embeddings and each layer's output.
            return_dict: accepted because `generate` passes it; the result is always the dataclass.
            input_features: `(batch, source, input width)`, in place of `input_ids`, for a model of feature matrices.
            feature_ids: features of each token, `(batch, source, slots)`, 0 for none; None for none at all.

        Raises:
            ValueError: unless exactly one of `input_ids`, `input_features` and `inputs_embeds` is given.
        """
        embedded = self._embedded(input_ids, inputs_embeds, input_features, feature_ids)
        positions = positions_of(embedded, attention_mask)
        mask: Any
        if getattr(self.config, "attention_window", None) is None:
            mask = create_bidirectional_mask(self.config, embedded, attention_mask)
            mask = self.bias(mask, positions, positions, embedded.dtype)
        else:
            mask = window_mask(self.config, embedded, attention_mask)
        rotation = self.rotation(positions, embedded.dtype)
        hidden = self.dropout(self.positions(embedded, positions))
        states, attentions = [hidden], []
        for layer in self.layers:
            hidden, weights = layer(hidden, mask, rotation)
            states.append(hidden)
            attentions.append(weights)
        states[-1] = self.finish(hidden)
        return BaseModelOutput(
            last_hidden_state=states[-1],
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=known(attentions) if output_attentions else None,
        )

    def _embedded(
        self, ids: Tensor | None, embedded: Tensor | None, frames: Tensor | None, feature_ids: Tensor | None
    ) -> Tensor:
        if self.frames is not None and embedded is None:
            return self.frames(known_frames(ids, frames))
        if self.features is None:
            return self.embed(ids, embedded)
        embedded = self.embed_tokens(ids) if embedded is None else embedded
        return self.embed(None, self.features(embedded, feature_ids))


def known(attentions: list[Tensor | None]) -> tuple[Tensor, ...] | None:
    """The layers' attention weights, or None if the attention function returns none."""
    found = tuple(weights for weights in attentions if weights is not None)
    return found or None
