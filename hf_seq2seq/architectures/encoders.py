"""The recurrent encoder: embeddings, layers over words and optionally over phrases, sentences and documents.

Padding never changes a result, wherever it is: the layers read rows whose real tokens were moved to the front.

Paper: Bahdanau et al., 2015, section 3.2, https://arxiv.org/abs/1409.0473
"""

from dataclasses import dataclass

from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from .cells import State, join_states
from .configuration_rnn import RnnSeq2SeqConfig
from .configuration_source_inputs import main_input
from .dropout import Dropout
from .encoder_layers import EncoderLayer, Padding
from .hierarchy import Hierarchy
from .pointer import CopyIds, known_ids
from .source_inputs import feature_module, frame_module, known_frames


@dataclass
class RnnEncoderOutput(BaseModelOutput):
    """The encoder's output; all tensors are batch first, so that `generate` can repeat them for beams.

    Attributes:
        last_hidden_state: `(batch, source, encoder width)`, zero at padding.
        hidden_states: the embeddings and every layer's output, if requested.
        attentions: None; present because generic code looks for it.
        final_state: states after each layer's last token, `(batch, layers, states, encoder width)`; only if the decoder
            starts from them.
        copy_ids: the id of each source token when it is copied, `(batch, source)`; only for a pointer-generator.
        phrases, sentences, documents: outputs of the levels above the words, `(batch, segments, encoder width)`, zero
            where a row has fewer; only if the model has that level.
        phrase_index, sentence_index, document_index: the segment that each word belongs to, `(batch, source)`; the
            number of segments at padding.
    """

    final_state: Tensor | None = None
    copy_ids: Tensor | None = None
    phrases: Tensor | None = None
    phrase_index: Tensor | None = None
    sentences: Tensor | None = None
    sentence_index: Tensor | None = None
    documents: Tensor | None = None
    document_index: Tensor | None = None


class RnnEncoder(nn.Module):
    """The whole encoder.

    Args:
        config: gives the sizes.
    """

    main_input_name = "input_ids"

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__()
        assert config.source_vocab_size is not None
        assert config.embedding_size is not None
        self.config = config
        self.embed_tokens = nn.Embedding(config.source_vocab_size, config.embedding_size)
        self.embedding_dropout = Dropout(config.probability("embedding_dropout"))
        self.layers = nn.ModuleList(EncoderLayer(config, depth) for depth in range(config.encoder_layers))
        self.output_dropout = Dropout(config.encoder_output_dropout)
        self.hierarchy = Hierarchy(config) if config.has_levels else None
        self.copy_ids = CopyIds(config) if config.pointer_generator else None
        self.features = feature_module(config, config.embedding_size)
        self.frames = frame_module(config, config.embedding_size)
        self.main_input_name = main_input(config)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = True,
        input_features: Tensor | None = None,
        feature_ids: Tensor | None = None,
    ) -> RnnEncoderOutput:
        """Encodes a batch.

        Args:
            input_ids: `(batch, source)`.
            inputs_embeds: `(batch, source, embedding)`, in place of `input_ids`.
            attention_mask: `(batch, source)`, zero at padding, which may be anywhere; None where there is none.
            output_hidden_states: also return the embeddings and each layer's output.
            output_attentions: accepted because `generate` passes it; there are no attentions to return.
            return_dict: accepted for the same reason; the result is always the dataclass.
            input_features: `(batch, source, input width)`, in place of `input_ids`, for a model of feature matrices.
            feature_ids: features of each token, `(batch, source, slots)`, 0 for none; None for none at all.

        Raises:
            ValueError: unless exactly one of `input_ids`, `input_features` and `inputs_embeds` is given; or embeddings
                are given although segments end at a token or tokens are copied.
        """
        if self.frames is not None and inputs_embeds is None:
            embedded = self.frames(known_frames(input_ids, input_features))
        else:
            embedded = self._embed(input_ids, inputs_embeds)
        embedded = embedded if self.features is None else self.features(embedded, feature_ids)
        mask = None if attention_mask is None or bool(attention_mask.all()) else attention_mask != 0
        order = None if mask is None or right_padded(mask) else mask.int().argsort(dim=1, descending=True, stable=True)
        layers, states = self._run_layers(rearrange(embedded, order), mask)
        if order is not None:
            layers = [rearrange(layer, order.argsort(1)) for layer in layers]
        outputs = self.output_dropout(layers[-1])
        return RnnEncoderOutput(
            last_hidden_state=outputs,
            hidden_states=(embedded, *layers) if output_hidden_states else None,
            final_state=join_states(states) if states else None,
            copy_ids=None if self.copy_ids is None else self.copy_ids(input_ids),
            **({} if self.hierarchy is None else self.hierarchy(outputs, input_ids, mask)),
        )

    def _embed(self, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        if input_ids is not None:
            return self.embed_tokens(known_ids(input_ids, self.config))
        if self.copy_ids is not None:
            raise ValueError("pointer_generator=True copies tokens, so the encoder needs input_ids, not inputs_embeds")
        assert inputs_embeds is not None
        return inputs_embeds

    def _run_layers(self, embedded: Tensor, mask: Tensor | None) -> tuple[list[Tensor], list[State]]:
        """Every layer's output `(batch, source, encoder width)`, and the final states if the decoder needs them."""
        padding = None if mask is None else Padding(mask.sum(1), mask.shape[1])
        want_state = self.config.decoder_start == "transfer"
        hidden = self.embedding_dropout(embedded).transpose(0, 1)
        layers, states = [], []
        for layer in self.layers:
            hidden, state = layer(hidden, padding, want_state)
            if state is not None:
                states.append(state)
            clean = hidden if padding is None else hidden * padding.real[..., None]
            layers.append(clean.transpose(0, 1).contiguous())
        return layers, states


def right_padded(mask: Tensor) -> bool:
    """Whether no row of `(batch, source)` has padding before a real token."""
    return not bool((mask[:, 1:] > mask[:, :-1]).any())


def rearrange(hidden: Tensor, order: Tensor | None) -> Tensor:
    """Reorders the positions of `(batch, source, width)` by `(batch, source)` indices; None leaves them."""
    return hidden if order is None else hidden.gather(1, order[..., None].expand_as(hidden))
