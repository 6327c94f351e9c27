"""What lies between the layers of a recurrent stack, on both sides."""

from torch import Tensor, nn

from .configuration_rnn import RnnSeq2SeqConfig


class LayerOutput(nn.Module):
    """From what a layer reads and gives to what the layer above reads: y = norm(x + f(x)), either part optional.

    Both lie outside the recurrent cell, so that a layer still runs over a sequence in one library call. Ba et al.
    normalise inside it, the summed inputs of each gate.

    Papers: Wu et al., 2016, section 3.1, equation 6 (residual), https://arxiv.org/abs/1609.08144; Ba et al., 2016,
    section 3 (normalisation), https://arxiv.org/abs/1607.06450

    Args:
        config: tells which parts there are.
        width: of the layer's output.
        depth: 0 for the first layer, which has no skip connection, for it reads embeddings.
    """

    def __init__(self, config: RnnSeq2SeqConfig, width: int, depth: int) -> None:
        super().__init__()
        self.residual = config.residual and depth > 0
        self.norm = nn.LayerNorm(width) if config.layer_norm else None

    def forward(self, output: Tensor, below: Tensor) -> Tensor:
        """Joins the layer's output and what it read before dropout, both `(..., width)`."""
        joined = output + below if self.residual else output
        return joined if self.norm is None else self.norm(joined)
