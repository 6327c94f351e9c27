"""The interface between an objective and the training loop."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hf_seq2seq.objectives.figures import Figures


@dataclass(frozen=True)
class Guard:
    """A metric on the validation rows that is not trained for, and ends a run when it falls.

    Attributes:
        metric: its name, as for `--metrics`.
        patience: evaluations in a row in which it is worse than at the start, after which the run ends.
        tolerance: by how many points it may be worse, which may be chance.
        given: whether it was asked for rather than chosen.
    """

    metric: str
    patience: int
    tolerance: float = 0.0
    given: bool = False


class Objective(nn.Module):
    """Wraps a model so that one call gives the summed loss of a batch.

    The loop divides the sum by the weight of the whole optimizer step, over every accumulated batch and every
    process; so the gradient depends only on the step's examples, regardless of how they are batched.

    Attributes:
        measures: names of the results of `measure`; the first is always the loss.
        generates: whether `augment` runs the model, so that the loop must gather sharded weights for it.
        reads_rows: whether its batches must have `rows`, the index of each row in its split, `(batch,)`.
        reads_preferences: whether they have `chosen` and `rejected`, `(batch, target)`, if the rows have.
        logged: names of the figures that it adds to the step log: `augment` and `forward` pass each batch's sum and
            divisor to `figures.add`, and the log writes the quotient over all batches and processes.
        figures: their sums.
        guard: what is watched besides; None if nothing is.
    """

    measures: tuple[str, ...] = ("loss",)
    generates = False
    reads_rows = False
    reads_preferences = False
    logged: tuple[str, ...] = ()
    guard: Guard | None = None

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.figures = Figures(self.logged)

    def check_steps(self, steps: int) -> list[str]:
        """Called before training where the number of optimizer steps is known; may reject it by an `InputError`.

        Returns:
            Warnings for the start of the run.
        """
        return []

    def begin_step(self, step: int, steps: int) -> None:
        """Called before each optimizer step, on every process.

        Args:
            step: completed optimizer steps, including those of the run being resumed; 0 at the first.
            steps: optimizer steps of the whole run.
        """

    def augment(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Adds model-generated data to a training batch, such as sampled outputs.

        Called after `begin_step`, for every batch of the step, without gradients. Randomness must depend only on the
        run's seed, the step and the rows' indices, so that it does not depend on how a step is batched. Sharded weights
        are gathered here, so each process may run the model as often as needed.
        """
        return batch

    def target_tokens(self, batch: dict[str, Tensor]) -> Tensor:
        """The number of target tokens seen, a float64 scalar; by default the weight."""
        return self.weight(batch)

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """The divisor of the sum, a float64 scalar: target tokens, examples or class weights."""
        raise NotImplementedError

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """The sum of the batch's losses, a float32 scalar."""
        raise NotImplementedError

    def measure(self, batch: dict[str, Tensor]) -> Tensor:
        """Statistics that an evaluation sums over batches: `(measures, 2)` float64, sums and their divisors."""
        return torch.stack([self(batch).double(), self.weight(batch)])[None]

    def readable(self, outputs: np.ndarray) -> np.ndarray:
        """The model's predictions, `(rows, classes)`, in the data's units."""
        return outputs

    def saved_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights to save, with which the model works without this objective."""
        return weights

    def extra_state(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Additional state of a checkpoint, needed to resume bit for bit from the saved weights."""
        return {}

    def trained_weights(self, saved: dict[str, Tensor], extra: dict[str, Tensor]) -> dict[str, Tensor]:
        """The trained weights, from the saved ones and the additional state of a checkpoint."""
        return saved
