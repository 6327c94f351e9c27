"""Initial states of the recurrent decoder, computed from the encoder's output."""

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from .cells import states_of
from .configuration_rnn import RnnSeq2SeqConfig


class DecoderStart(nn.Module):
    """Starts at zero.

    Args:
        config: gives the sizes.
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__()
        self.shape = (config.decoder_layers, states_of(config.cell), config.hidden_size)

    def forward(self, encoder: BaseModelOutput, context: Tensor | None) -> Tensor:
        """The decoder's initial states.

        Args:
            encoder: the encoder's output.
            context: the source as one vector, `(batch, encoder width)`; only "bridge" needs it.

        Returns:
            `(batch, layers, states, hidden)`.
        """
        outputs = encoder.last_hidden_state
        assert outputs is not None
        return outputs.new_zeros(outputs.shape[0], *self.shape)


class BridgeStart(DecoderStart):
    """s_0 = tanh(W c + b), where c is the encoder's outputs pooled by `context_pooling`.

    Bahdanau et al. take the last output of the backward direction and have one GRU layer; here every layer, and also an
    LSTM's memory cell, has its own rows of W.

    Paper: Bahdanau et al., 2015, appendix A.2.2, https://arxiv.org/abs/1409.0473
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__(config)
        layers, states, hidden = self.shape
        self.projection = nn.Linear(config.encoder_output_size, layers * states * hidden)

    def forward(self, encoder: BaseModelOutput, context: Tensor | None) -> Tensor:
        """As the base class says."""
        return torch.tanh(self.projection(context)).unflatten(1, self.shape)


class TransferStart(DecoderStart):
    """Each decoder layer starts from the final state of the corresponding encoder layer.

    Paper: Sutskever et al., 2014, https://arxiv.org/abs/1409.3215
    """

    def forward(self, encoder: BaseModelOutput, context: Tensor | None) -> Tensor:
        """See the base class.

        Raises:
            ValueError: `encoder_outputs` were given without the final state.
        """
        final_state = encoder.get("final_state")
        if final_state is None:
            raise ValueError(
                "decoder_start='transfer' needs encoder_outputs.final_state: pass the encoder's whole output"
            )
        return final_state


STARTS = {"zeros": DecoderStart, "bridge": BridgeStart, "transfer": TransferStart}
