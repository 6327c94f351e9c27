"""The interface between an objective and the training loop."""

import numpy as np
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

    def readable(self, outputs: np.ndarray) -> np.ndarray:
        """What the model gives, `(rows, classes)`, in the data's units."""
        return outputs

    def saved_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights that are saved, with which the model alone gives what is readable."""
        return weights

    def kept_beside(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """What a checkpoint keeps beside the saved weights, to go on from the trained ones bit for bit."""
        return {}

    def trained_weights(self, saved: dict[str, Tensor], beside: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights that were trained, of those that were saved and of what a checkpoint kept beside them."""
        return saved
