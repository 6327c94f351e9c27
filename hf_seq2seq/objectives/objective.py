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
        generates: whether `augment` runs the model, so that the loop gathers sharded weights for it.
        reads_rows: whether its batches must have `rows`, the number of each row in its split, `(batch,)`.
    """

    measures: tuple[str, ...] = ("loss",)
    generates = False
    reads_rows = False

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def begin_step(self, step: int, steps: int) -> None:
        """Called before each optimizer step, on every process.

        Args:
            step: optimizer steps done, also by the run that this one goes on with; 0 at the first.
            steps: optimizer steps of the whole run.
        """

    def augment(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Adds to a training batch what the model itself has to give for it, such as sampled outputs.

        Called after `begin_step`, for every batch of the step, without gradients. What is drawn at random must depend
        on the run's seed, the step and the rows' numbers alone, so that it is the same however a step is cut into
        batches. A model whose weights are spread over processes is whole here, and may run as often as a process needs.
        """
        return batch

    def target_tokens(self, batch: dict[str, Tensor]) -> Tensor:
        """What a run counts as target tokens seen, a float64 scalar; by default the weight."""
        return self.weight(batch)

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
