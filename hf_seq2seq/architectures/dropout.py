"""Dropout that is quick on a CPU."""

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """`nn.Dropout`, but on a CPU the mask is drawn as uniform numbers, which takes a third of `bernoulli_`'s time.

    Paper: Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html
    """

    def forward(self, hidden: Tensor) -> Tensor:
        """Zeroes each number with probability `p` and scales the others by 1 / (1 - p), while training."""
        if not self.training or not self.p or hidden.device.type != "cpu":
            return super().forward(hidden)
        kept = torch.rand(hidden.shape, dtype=torch.float32) >= self.p
        return hidden * (kept.to(hidden.dtype) / (1 - self.p))

    def mask(self, like: Tensor) -> Tensor | None:
        """Factors for a tensor like this, where one draw shall serve several steps; None where nothing is dropped.

        Paper: Gal and Ghahramani, 2016, section 4, https://arxiv.org/abs/1512.05287
        """
        return self(torch.ones_like(like)) if self.training and self.p else None
