"""Sampling rates of the tasks of a mixture, and the rows of each epoch.

Paper: Raffel et al., 2020, section 3.5.2, https://jmlr.org/papers/v21/20-074.html
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf_seq2seq.configs import Mixing


def mixing_rates(sizes: Sequence[int], options: Mixing, factors: Sequence[float] = ()) -> np.ndarray:
    """The share of each task among the rows of an epoch, `(tasks,)` float64.

    With s_m = min(rows of task m, cap), the rate of m is s_m^(1/T) / sum over n of s_n^(1/T): examples-proportional
    with T = 1, temperature-scaled with another T, equal as T grows without bound. Factors then multiply the rates.

    Args:
        sizes: training rows of each task.
        options: the mixing, its cap and its temperature.
        factors: `mixing_weight` of each task; empty for 1.
    """
    exponent = {"examples_proportional": 1.0, "temperature": 1 / options.mixing_temperature, "equal": 0.0}
    weights = capped(sizes, options).astype(np.float64) ** exponent[options.mixing] * (factors or 1)
    return weights / weights.sum()


def capped(sizes: Sequence[int], options: Mixing) -> np.ndarray:
    """The rows of each task, or the cap where they are more, `(tasks,)`."""
    return np.minimum(sizes, options.mixing_cap or np.inf).astype(np.int64)


def draws_an_epoch(sizes: Sequence[int], options: Mixing, factors: Sequence[float] = ()) -> np.ndarray:
    """The number of rows of each task per epoch, `(tasks,)`: the rates times its rows, rounded.

    An epoch has as many rows as all tasks together after the cap. So without a cap, examples-proportional mixing shows
    every row once per epoch. No task is left out: one whose share is below one row contributes one.
    """
    total = int(capped(sizes, options).sum())
    quota = mixing_rates(sizes, options, factors) * total
    counts = np.floor(quota).astype(np.int64)
    largest = np.argsort(counts - quota, kind="stable")[: total - int(counts.sum())]
    counts[largest] += 1
    return np.maximum(counts, 1)


@dataclass(frozen=True)
class MixedEpochs:
    """The rows of every epoch of a mixture, whose tasks are concatenated.

    Each epoch is redrawn, with each task's rows without replacement: none is repeated before all occurred once, so a
    task with fewer draws than rows contributes a random subset. Unlike in the paper, where each example's task is
    drawn, the number of rows of a task is the same in every epoch.

    Attributes:
        sizes: training rows of each task.
        draws: rows of each task per epoch.
        seed: seed of the draw.
    """

    sizes: tuple[int, ...]
    draws: tuple[int, ...]
    seed: int

    def __call__(self, epoch: int) -> np.ndarray:
        """The rows of an epoch, task by task, `(rows,)`; the same for the same seed and epoch."""
        starts = np.cumsum((0, *self.sizes[:-1]))
        return np.concatenate([start + self._draw(epoch, task) for task, start in enumerate(starts)])

    def _draw(self, epoch: int, task: int) -> np.ndarray:
        return draw(self.sizes[task], self.draws[task], np.random.default_rng([self.seed, epoch, task]))


def draw(size: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Draws from `size` rows, `(count,)`: none is repeated before all occurred once."""
    passes = -(-count // size)
    return np.concatenate([random.permutation(size) for _ in range(passes)])[:count]
