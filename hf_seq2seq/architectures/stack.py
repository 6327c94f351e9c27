"""Connections between the layers of a recurrent stack, in encoder and decoder."""

from torch import Tensor, nn

from .configuration_rnn import RnnSeq2SeqConfig


class LayerOutput(nn.Module):
    """Residual connection and layer norm: y = norm(x + f(x)), either part optional.

    Both are outside the recurrent cell, so that a layer still runs over a sequence in one library call. Ba et al.
    normalize inside it, the summed inputs of each gate.

    Papers: Wu et al., 2016, section 3.1, equation 6 (residual), https://arxiv.org/abs/1609.08144; Ba et al., 2016,
    section 3 (normalization), https://arxiv.org/abs/1607.06450

    Args:
        config: says which parts there are.
        width: width of the layer's output.
        depth: 0 for the first layer, which has no skip connection, because it reads embeddings.
    """

    def __init__(self, config: RnnSeq2SeqConfig, width: int, depth: int) -> None:
        super().__init__()
        self.residual = config.residual and depth > 0
        self.norm = nn.LayerNorm(width) if config.layer_norm else None

    def forward(self, output: Tensor, below: Tensor) -> Tensor:
        """Combines the layer's output and its input before dropout, both `(..., width)`."""
        joined = output + below if self.residual else output
        return joined if self.norm is None else self.norm(joined)
