"""The interface between an objective and the training loop."""

import torch
from torch import Tensor, nn


class Objective(nn.Module):
    """Wraps a model so that one call gives the summed loss of a batch.

    The loop divides the sum by the weight of the whole optimizer step, over every accumulated batch and every
    process; so the gradient depends on the step's examples alone, however they are cut into batches.

    Attributes:
        measures: what `measure` gives, by name; the first is always the loss.
    """

    measures: tuple[str, ...] = ("loss",)

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """What the sum is divided by, a float64 scalar: target tokens, examples or class weights."""
        raise NotImplementedError

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """The sum of the batch's losses, a float32 scalar."""
        raise NotImplementedError

    def measure(self, batch: dict[str, Tensor]) -> Tensor:
        """What an evaluation adds up over batches: `(measures, 2)` float64, sums, and what each is divided by."""
        return torch.stack([self(batch).double(), self.weight(batch)])[None]
