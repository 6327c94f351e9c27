"""Sources that are more than tokens: features beside every token, or feature matrices in place of tokens.

Papers: Sennrich and Haddow, 2016, section 2, https://aclanthology.org/W16-2209 (features of tokens); Chan et al., 2016,
section 3.1, https://arxiv.org/abs/1508.01211, and Xu et al., 2015, section 3.1, https://arxiv.org/abs/1502.03044
(matrices of speech and of pictures)
"""

from typing import Any

import torch
from torch import Tensor, nn


class FeatureEmbeddings(nn.Module):
    """Embeddings of the features of tokens, joined with the embeddings of the tokens.

    The embeddings of a token's features are summed. They are added to the token's own, or concatenated with it and
    mapped back to its width.

    Args:
        config: the features and their joining.
        width: of the tokens' embeddings.
    """

    def __init__(self, config: Any, width: int) -> None:
        super().__init__()
        concatenated = config.feature_joining == "concatenate"
        size = max(1, width // 4) if concatenated else width
        self.embed = nn.Embedding(len(config.feature_names) + 1, size)
        self.join = nn.Linear(width + size, width) if concatenated else None

    def forward(self, embedded: Tensor, feature_ids: Tensor | None) -> Tensor:
        """Joins embeddings with those of features.

        Args:
            embedded: of the tokens, `(batch, source, width)`.
            feature_ids: `(batch, source, slots)`, 0 where there is no feature; None if there is none at all.
        """
        if feature_ids is None:
            feature_ids = torch.zeros(*embedded.shape[:2], 1, dtype=torch.long, device=embedded.device)
        features = (self.embed(feature_ids) * (feature_ids > 0)[..., None]).sum(2)
        if self.join is None:
            return embedded + features
        joined: Tensor = self.join(torch.cat([embedded, features], 2))
        return joined


class FrameProjection(nn.Module):
    """A linear map of the frames of feature matrices, normalized by the mean and deviation of the training rows.

    Args:
        input_width: numbers per frame.
        width: of the embeddings that they are mapped to.
    """

    def __init__(self, input_width: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_width, width)
        self.register_buffer("mean", torch.zeros(input_width))
        self.register_buffer("deviation", torch.ones(input_width))
        self.mean: Tensor
        self.deviation: Tensor

    def forward(self, input_features: Tensor) -> Tensor:
        """Embeddings `(batch, frames, width)` of `(batch, frames, input width)`."""
        normal = (input_features - self.mean) / self.deviation
        mapped: Tensor = self.linear(normal.to(self.linear.weight.dtype))
        return mapped


def feature_module(config: Any, width: int) -> FeatureEmbeddings | None:
    """The embeddings of features, if a model reads any."""
    return FeatureEmbeddings(config, width) if getattr(config, "feature_names", None) else None


def frame_module(config: Any, width: int) -> FrameProjection | None:
    """The map of frames, if a model reads matrices."""
    input_width = getattr(config, "input_width", None)
    return None if input_width is None else FrameProjection(input_width, width)


def known_frames(input_ids: Tensor | None, input_features: Tensor | None) -> Tensor:
    """The frames of a model that reads matrices.

    Raises:
        ValueError: tokens are given in their place, or nothing.
    """
    if input_features is None or input_ids is not None:
        raise ValueError("this model reads feature matrices: give input_features, (batch, frames, width)")
    return input_features
