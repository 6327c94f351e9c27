"""The recurrent encoder: embeddings, then layers that read left to right and, if bidirectional, right to left.

Paper: Schuster and Paliwal, 1997 (two directions); Bahdanau et al., 2015, section 3.2, https://arxiv.org/abs/1409.0473

Padding never changes a result, wherever it lies. Each direction is a layer of its own that reads a sequence whose real
tokens come first (the other direction reads it reversed within its length), so that padding is only ever read after
them. This is exact, and on a CPU half the time of a packed sequence.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers.modeling_outputs import BaseModelOutput

from .cells import LAYERS, State, join_states
from .configuration_rnn import RnnSeq2SeqConfig
from .dropout import Dropout
from .stack import LayerOutput


@dataclass
class RnnEncoderOutput(BaseModelOutput):
    """What the encoder gives; all tensors have the batch first, so that `generate` can repeat them for beams.

    Attributes:
        last_hidden_state: `(batch, source, encoder width)`, zero at padding.
        hidden_states: the embeddings and every layer's output, where asked for.
        attentions: none; here because generic code looks for it.
        final_state: states after each layer's last token, `(batch, layers, states, encoder width)`; only where the
            decoder starts from them.
    """

    final_state: Tensor | None = None


class Padding:
    """Where the real tokens of a padded batch lie, time first.

    Args:
        lengths: real tokens of each row, `(batch,)`.
        source: the batch's length with padding.
    """

    def __init__(self, lengths: Tensor, source: int) -> None:
        position = torch.arange(source, device=lengths.device)[:, None]
        self.lengths = lengths
        self.real = position < lengths
        mirrored = torch.where(self.real, lengths - 1 - position, position)
        self.mirror = (mirrored * len(lengths) + torch.arange(len(lengths), device=lengths.device)).flatten()


def reverse(inputs: Tensor, padding: Padding | None) -> Tensor:
    """Reverses each row within its length, padding stays behind; its own inverse. `inputs`: `(time, batch, width)`."""
    if padding is None:
        return inputs.flip(0)
    return inputs.flatten(0, 1).index_select(0, padding.mirror).view_as(inputs)


def read(
    layer: nn.Module, inputs: Tensor, padding: Padding | None, want_state: bool, kept: Tensor | None
) -> tuple[Tensor, State | None]:
    """Runs one direction. The state at each row's own last token needs a packed sequence; the outputs do not."""
    if padding is None or not want_state:
        outputs, state = layer(inputs, kept=kept)
        return outputs, state if want_state else None
    packed = pack_padded_sequence(inputs, padding.lengths.cpu(), enforce_sorted=False)
    packed_outputs, state = layer(packed, kept=kept)
    return pad_packed_sequence(packed_outputs, total_length=inputs.shape[0])[0], state


class EncoderLayer(nn.Module):
    """One layer, both directions side by side.

    Args:
        config: gives the cell, the width of a direction and whether there are two.
        depth: 0 for the first layer, which reads embeddings.
    """

    def __init__(self, config: RnnSeq2SeqConfig, depth: int) -> None:
        super().__init__()
        assert config.encoder_hidden_size is not None
        assert config.embedding_size is not None
        layer, input_size = LAYERS[config.cell], config.encoder_output_size if depth else config.embedding_size
        self.width = config.encoder_hidden_size
        self.left_to_right = layer(input_size, self.width)
        self.right_to_left = layer(input_size, self.width) if config.bidirectional else None
        self.dropout = Dropout(config.dropout if depth else 0.0)  # the embeddings were dropped before
        self.recurrent_dropout = Dropout(config.recurrent_dropout)
        self.after = LayerOutput(config, config.encoder_output_size, depth)

    def forward(self, below: Tensor, padding: Padding | None, want_state: bool) -> tuple[Tensor, State | None]:
        """Outputs `(time, batch, encoder width)` and, if asked for, final states; `below` is `(time, batch, input)`."""
        inputs = self.dropout(below)
        outputs, state = read(self.left_to_right, inputs, padding, want_state, self._kept(inputs))
        if self.right_to_left is None:
            return self.after(outputs, below), state
        backward, backward_state = read(
            self.right_to_left, reverse(inputs, padding), padding, want_state, self._kept(inputs)
        )
        outputs = self.after(torch.cat([outputs, reverse(backward, padding)], -1), below)
        if state is None or backward_state is None:
            return outputs, None
        return outputs, tuple(torch.cat(pair, -1) for pair in zip(state, backward_state, strict=True))

    def _kept(self, inputs: Tensor) -> Tensor | None:
        """The mask of a direction's previous output, the same at every step."""
        return self.recurrent_dropout.mask(inputs.new_empty(inputs.shape[1], self.width))


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

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = True,
    ) -> RnnEncoderOutput:
        """Encodes a batch.

        Args:
            input_ids: `(batch, source)`.
            inputs_embeds: `(batch, source, embedding)`, in place of `input_ids`.
            attention_mask: `(batch, source)`, zero at padding, which may lie anywhere; None where there is none.
            output_hidden_states: also give the embeddings and each layer's output.
            output_attentions: accepted because `generate` passes it; there is no attention here to give.
            return_dict: accepted likewise; the answer is always the dataclass.

        Raises:
            ValueError: unless exactly one of `input_ids` and `inputs_embeds` is given.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        embedded = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        mask = None if attention_mask is None or bool(attention_mask.all()) else attention_mask != 0
        order = None if mask is None or right_padded(mask) else mask.int().argsort(dim=1, descending=True, stable=True)
        layers, states = self._run_layers(rearrange(embedded, order), mask)
        if order is not None:
            layers = [rearrange(layer, order.argsort(1)) for layer in layers]
        return RnnEncoderOutput(
            last_hidden_state=layers[-1],
            hidden_states=(embedded, *layers) if output_hidden_states else None,
            final_state=join_states(states) if states else None,
        )

    def _run_layers(self, embedded: Tensor, mask: Tensor | None) -> tuple[list[Tensor], list[State]]:
        """Every layer's output `(batch, source, encoder width)`, and the final states where the decoder wants them."""
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
