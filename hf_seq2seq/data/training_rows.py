"""The rows that a run trains on: their lengths, what they are in each epoch, and the order in which they come.

A way to present data is one more kind of `TrainingRows`: rows that are changed in every epoch, rows drawn from several
tasks, a curriculum, stages. Neither the batches nor the training loop know which kind they have.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from hf_seq2seq.data.examples import Examples


class Renewed(Protocol):
    """Makes the rows of each epoch, always the same number of them."""

    @property
    def lengths(self) -> np.ndarray:
        """The most tokens of each row in any epoch, `(rows, sides)`."""

    def __call__(self, epoch: int) -> Examples:
        """The rows of an epoch."""


@runtime_checkable
class RenewedLengths(Renewed, Protocol):
    """Rows whose lengths vary, too, so that each epoch has batches of its own."""

    def lengths_of(self, epoch: int) -> np.ndarray:
        """Tokens of the rows of an epoch, `(rows, sides)`."""


class TrainingRows:
    """All rows in every epoch, the steps in random order. Other kinds override what they do differently.

    Each method depends on its arguments alone, so that a resumed run finds its place in any epoch.

    Args:
        examples: the rows; where every epoch makes its own, as many as in any of them.
        renewed: makes the rows of each epoch, if they change, as under noise.
    """

    redrawn = False
    """Whether epochs hold different rows, or rows of other lengths, so that the number of steps may differ, too."""
    origin = (0, 0)
    """An epoch, and the steps before it, from which on a step's place is counted."""
    files: tuple[Path, ...] = ()
    """Local files that rows are read from during training."""
    end: str = ""
    """What ends a run before its time is over, for people; empty where the rows go on until then."""
    logged: tuple[str, ...] = ()
    """Names of the figures that it adds to the step log."""

    def __init__(self, examples: Examples, renewed: Renewed | None = None) -> None:
        self.examples = examples
        self.renewed = renewed
        self._varied = renewed if isinstance(renewed, RenewedLengths) else None
        self.redrawn = self.redrawn or self._varied is not None

    @property
    def lengths(self) -> np.ndarray:
        """The most tokens of each row in any epoch, `(rows, sides)`."""
        return self.examples.lengths if self.renewed is None else self.renewed.lengths

    def lengths_of(self, epoch: int) -> np.ndarray:
        """The tokens of each row by which an epoch's batches are made, `(rows, sides)`."""
        return self.lengths if self._varied is None else self._varied.lengths_of(epoch)

    def most_steps(self, epoch: int) -> int | None:
        """The steps after which an epoch ends, even if some of its rows are left; None for no such limit."""
        return None

    @property
    def usual(self) -> int:
        """An epoch that is like most others, by which an epoch's steps and memory are told."""
        return 0

    def of_epoch(self, epoch: int) -> Examples:
        """The rows as they are in an epoch; always the same number of them."""
        return self.examples if self.renewed is None else self.renewed(epoch)

    def drawn(self, epoch: int) -> np.ndarray:
        """Numbers of the rows that an epoch holds, `(rows,)`; batches of similar length are made of them."""
        return np.arange(len(self.lengths), dtype=np.int32)

    def parts(self, epoch: int) -> list[np.ndarray]:
        """The numbers that `drawn` gives, in parts that are trained on one after the other; batches lie within one."""
        return [self.drawn(epoch)]

    def order(self, epoch: int, steps: Sequence[Sequence[np.ndarray]], random: np.random.Generator) -> np.ndarray:
        """The order of the optimizer steps of an epoch's part, `(steps,)`.

        Args:
            epoch: counted from 0.
            steps: the batches of each step, and the numbers of the rows in each batch.
            random: seeded by the run's seed and the epoch.
        """
        return random.permutation(len(steps))

    def figures(self, progress: float, rows: np.ndarray) -> dict[str, float]:
        """The numbers in `logged` for an optimizer step; the log has their means over steps.

        Args:
            progress: epochs done before it, with the fraction.
            rows: numbers of its rows, `(rows,)`.
        """
        return {}

    def position(self, epoch: int, first_step: int) -> dict[str, Any]:
        """What a checkpoint must keep, besides the step, to go on within an epoch whose first step has this number."""
        return {}

    def resume(self, position: dict[str, Any]) -> None:
        """Goes on from what a checkpoint kept."""

    def describe(self) -> list[str]:
        """Lines for people about what is special in how the rows come."""
        return []
