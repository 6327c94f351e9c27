"""Where the decoder's recurrent state starts: what the encoder hands over the bridge."""

import torch
from torch import Tensor, nn

from .cells import states_of
from .configuration_rnn import RnnSeq2SeqConfig


def last_states(outputs: Tensor, mask: Tensor | None, bidirectional: bool) -> Tensor:
    """The encoder's last output in each direction's order of reading, side by side: `(batch, encoder width)`.

    Args:
        outputs: `(batch, source, encoder width)`; with two directions the second half reads right to left.
        mask: `(batch, source)`, zero at padding; None where there is none.
        bidirectional: whether there are two directions.
    """
    batch, source, width = outputs.shape
    rows = torch.arange(batch, device=outputs.device)
    if mask is None:
        first, last = torch.zeros_like(rows), torch.full_like(rows, source - 1)
    else:
        real = (mask != 0).int()
        first, last = real.argmax(1), source - 1 - real.flip(1).argmax(1)
    if not bidirectional:
        return outputs[rows, last]
    return torch.cat([outputs[rows, last, : width // 2], outputs[rows, first, width // 2 :]], 1)


class DecoderStart(nn.Module):
    """Starts at zero.

    Args:
        config: gives the sizes.
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__()
        self.shape = (config.decoder_layers, states_of(config.cell), config.hidden_size)
        self.bidirectional = config.bidirectional

    def forward(self, outputs: Tensor, mask: Tensor | None, final_state: Tensor | None) -> Tensor:
        """The decoder's first states.

        Args:
            outputs: the encoder's, `(batch, source, encoder width)`.
            mask: `(batch, source)`, zero at padding; None where there is none.
            final_state: the encoder's, `(batch, layers, states, encoder width)`; only "transfer" needs it.

        Returns:
            `(batch, layers, states, hidden)`.
        """
        return outputs.new_zeros(outputs.shape[0], *self.shape)


class BridgeStart(DecoderStart):
    """s_0 = tanh(W c + b), where c is the encoder's last output of each direction.

    Bahdanau et al. take the backward direction's alone and have one GRU layer; here every layer, and an LSTM's memory
    cell too, has its own rows of W.

    Paper: Bahdanau et al., 2015, appendix A.2.2, https://arxiv.org/abs/1409.0473
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__(config)
        layers, states, hidden = self.shape
        self.projection = nn.Linear(config.encoder_output_size, layers * states * hidden)

    def forward(self, outputs: Tensor, mask: Tensor | None, final_state: Tensor | None) -> Tensor:
        """As the base class says."""
        context = last_states(outputs, mask, self.bidirectional)
        return torch.tanh(self.projection(context)).unflatten(1, self.shape)


class TransferStart(DecoderStart):
    """Each decoder layer starts from the final state of the encoder layer at its height.

    Paper: Sutskever et al., 2014, https://arxiv.org/abs/1409.3215
    """

    def forward(self, outputs: Tensor, mask: Tensor | None, final_state: Tensor | None) -> Tensor:
        """As the base class says.

        Raises:
            ValueError: `encoder_outputs` were given without the final state.
        """
        if final_state is None:
            raise ValueError("decoder_start='transfer' needs encoder_outputs.final_state: pass what the encoder gave")
        return final_state


STARTS = {"zeros": DecoderStart, "bridge": BridgeStart, "transfer": TransferStart}
