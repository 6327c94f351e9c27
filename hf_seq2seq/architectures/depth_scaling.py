"""Constants that keep deep stacks stable: weights of the residual connections and scales of the initial weights."""

from dataclasses import dataclass

from torch import nn

from .configuration_transformer import TransformerConfig


class ScaledLinear(nn.Linear):
    """A linear map whose initial weights are multiplied by a gain.

    Args:
        inputs: input width.
        outputs: output width.
        gain: the gain of a `DepthScaling`.
    """

    def __init__(self, inputs: int, outputs: int, gain: float) -> None:
        super().__init__(inputs, outputs)
        self.gain = gain


@dataclass(frozen=True)
class DepthScaling:
    """The constants of one stack.

    Attributes:
        residual: a sublayer's input is multiplied by this before its output is added.
        gain: initial weights of values, attention outputs and feed-forward maps are multiplied by this.
    """

    residual: float = 1.0
    gain: float = 1.0


def depth_scaling(config: TransformerConfig, side: str) -> DepthScaling:
    """The constants of a stack.

    Args:
        config: the initialization and the numbers of layers.
        side: "encoder" or "decoder".
    """
    layers = {name: int(getattr(config, f"{name}_layers")) for name in config.sides}
    if config.initialization == "deepnet":
        return _deepnet(side, layers)
    if config.initialization == "tfixup":
        return DepthScaling(gain=_tfixup_gain(side, layers[side]))
    return DepthScaling()


def _deepnet(side: str, layers: dict[str, int]) -> DepthScaling:
    """Paper: Wang et al., 2022, figure 2 (alpha and beta), https://arxiv.org/abs/2203.00555."""
    depth = layers[side]
    if len(layers) == 1:
        return DepthScaling((2 * depth) ** 0.25, (8 * depth) ** -0.25)
    if side == "decoder":
        return DepthScaling((3 * depth) ** 0.25, (12 * depth) ** -0.25)
    both = (depth**4 * layers["decoder"]) ** (1 / 16)
    return DepthScaling(0.81 * both, 0.87 / both)


def _tfixup_gain(side: str, depth: int) -> float:
    """Paper: Huang et al., 2020, section 3.2, https://proceedings.mlr.press/v119/huang20f.html."""
    return (9 * depth) ** -0.25 if side == "decoder" else 0.67 * depth**-0.25


def embedding_gain(config: TransformerConfig) -> float:
    """The factor of the embeddings' initial values, for both source and target.

    Paper: Huang et al., 2020, section 3.2; where the stacks differ in depth, the decoder's counts, as for the
    decoder's weights.
    """
    if config.initialization != "tfixup":
        return 1.0
    return _tfixup_gain("decoder", config.decoder_layers)
