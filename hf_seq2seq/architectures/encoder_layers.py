"""One layer of the recurrent encoder, with one direction or two.

Each direction is a separate layer that reads a sequence whose real tokens come first (the other direction reads it
reversed within its length), so that padding is only ever read after them. This is exact, and takes half the time of a
packed sequence on a CPU.

Paper: Schuster and Paliwal, 1997 (two directions), https://doi.org/10.1109/78.650093
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers.modeling_layers import GradientCheckpointingLayer

from .cells import LAYERS, State
from .configuration_rnn import RnnSeq2SeqConfig
from .dropout import Dropout
from .stack import LayerOutput


class Padding:
    """The positions of the real tokens of a padded batch, time first.

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
    """Reverses each row within its length, leaving padding at the end; its own inverse.

    `inputs`: `(time, batch, width)`.
    """
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


class EncoderLayer(GradientCheckpointingLayer):
    """One layer, both directions side by side.

    Args:
        config: the cell, the width of a direction and whether there are two.
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
        self.dropout = Dropout(config.dropout if depth else 0.0)  # dropout was already applied to the embeddings
        self.recurrent_dropout = Dropout(config.recurrent_dropout)
        self.after = LayerOutput(config, config.encoder_output_size, depth)

    def forward(self, below: Tensor, padding: Padding | None, want_state: bool) -> tuple[Tensor, State | None]:
        """Outputs `(time, batch, encoder width)` and, if requested, final states; `below` is `(time, batch, input)`."""
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
