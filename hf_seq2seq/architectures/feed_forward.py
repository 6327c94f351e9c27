"""The position-wise feed-forward network of a Transformer layer."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from .depth_scaling import ScaledLinear
from .dropout import Dropout

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "swiglu": F.silu}


class FeedForward(nn.Module):
    """Two linear maps with an activation between them, the same at every position.

    FFN(x) = W2 f(W1 x + b1) + b2, where f is ReLU or GELU; "swiglu" has f(W1 x + b1) * (V x + c).

    Papers: Vaswani et al., 2017, equation 2, https://arxiv.org/abs/1706.03762; Hendrycks and Gimpel, 2016 (GELU),
    https://arxiv.org/abs/1606.08415; Shazeer, 2020, equation 6 (SwiGLU, there without biases),
    https://arxiv.org/abs/2002.05202

    Args:
        width: width of input and output.
        inner: width of the hidden layer.
        activation: "relu", "gelu" or "swiglu".
        dropout: probability between the maps.
        gain: initial weights are multiplied by this.
    """

    def __init__(self, width: int, inner: int, activation: str, dropout: float, gain: float = 1.0) -> None:
        super().__init__()
        self.fc1 = ScaledLinear(width, inner, gain)
        self.gate = ScaledLinear(width, inner, gain) if activation == "swiglu" else None
        self.fc2 = ScaledLinear(inner, width, gain)
        self.activation = ACTIVATIONS[activation]
        self.dropout = Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """Maps `(batch, length, width)` to the same shape."""
        inner = self.activation(self.fc1(hidden))
        if self.gate is not None:
            inner = inner * self.gate(hidden)
        return self.fc2(self.dropout(inner))
