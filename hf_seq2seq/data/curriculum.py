"""Curricula: which rows may be drawn at which time, and rows drawn that way.

Time is counted in epochs, of as many draws as there are rows, so that it does not depend on batches or processes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.mixing import draw
from hf_seq2seq.data.training_rows import TrainingRows
from hf_seq2seq.errors import InputError

PARTS = 50
"""Most parts of an epoch; what may be drawn changes between two of them, and where all rows begin to take part."""

Window = tuple[int, int]
"""The first rank of the rows that may be drawn, and the end; the easiest row has rank 0."""


class Pace(Protocol):
    """How the rows that may be drawn change with time."""

    def __call__(self, progress: float, difficulty: np.ndarray) -> Window:
        """The window at a share of the curriculum's duration, in [0, 1), for the rows' sorted difficulties."""


@dataclass(frozen=True)
class Competence:
    """A share of the rows that grows from step to step.

    c(t) = min(1, (t (1 - c_0^p) / T + c_0^p)^(1/p)) with p = 2 (square root) or 1 (linear). Unlike in the paper, rows
    of equal difficulty are ranked at random, so that they join in one by one rather than together.

    Paper: Platanios et al., 2019, equations 6 and 7, https://aclanthology.org/N19-1119

    Attributes:
        initial: c_0.
        power: p.
    """

    initial: float
    power: int

    def __call__(self, progress: float, difficulty: np.ndarray) -> Window:
        """The easiest rows, the competence's share of them, and one at the least."""
        start = self.initial**self.power
        share = min(1.0, (progress * (1 - start) + start) ** (1 / self.power))
        return 0, max(1, int(share * len(difficulty)))


@dataclass(frozen=True)
class Thresholds:
    """Phases of equal duration, each with the rows up to a difficulty.

    Attributes:
        limits: the highest difficulty of each phase, rising.
    """

    limits: tuple[float, ...]

    def __call__(self, progress: float, difficulty: np.ndarray) -> Window:
        """The rows up to the present phase's limit."""
        return 0, int(np.searchsorted(difficulty, self.limits[int(progress * len(self.limits))], side="right"))


@dataclass(frozen=True)
class Buckets:
    """Phases of equal duration, each with one more bucket of equally many rows (baby steps), or it alone (one pass).

    Papers: Bengio et al., 2009 (one pass), https://doi.org/10.1145/1553374.1553380; Spitkovsky et al., 2010 (baby
    steps), https://aclanthology.org/N10-1116; both compared by Cirik et al., 2016, https://arxiv.org/abs/1611.06204

    Attributes:
        count: number of buckets.
        keeps: whether earlier buckets remain.
    """

    count: int
    keeps: bool

    def __call__(self, progress: float, difficulty: np.ndarray) -> Window:
        """The present phase's bucket, and the earlier ones if they remain."""
        bounds = np.linspace(0, len(difficulty), self.count + 1).astype(int)
        phase = int(progress * self.count)
        return 0 if self.keeps else int(bounds[phase]), int(bounds[phase + 1])


@dataclass(frozen=True)
class Plan:
    """A curriculum.

    Attributes:
        difficulty: of each row, `(rows,)`, finite.
        measure: its name.
        pace: which rows may be drawn when.
        duration: in epochs; after it, each epoch has every row once.
        seed: of the draws.
        parts: of an epoch, at most.
        step: rows of an optimizer step, about; parts hold whole ones.
        hardest_first: whether difficult rows come first.
        ends: when the run ends, in epochs; infinite where it is not known.
    """

    difficulty: np.ndarray
    measure: str
    pace: Pace
    duration: float
    seed: int
    parts: int = PARTS
    step: int = 1
    hardest_first: bool = False
    ends: float = math.inf


class CurriculumRows(TrainingRows):
    """Rows drawn from those that a curriculum admits, uniformly, without repeating one before all of a part were drawn.

    Args:
        rows: what is presented, every row in each epoch.
        plan: the curriculum.

    Raises:
        InputError: no row may be drawn at first.
    """

    redrawn = True
    logged = ("competence", "difficulty")

    def __init__(self, rows: TrainingRows, plan: Plan) -> None:
        super().__init__(rows.examples)
        self._rows, self.plan = rows, plan
        signed = -plan.difficulty if plan.hardest_first else plan.difficulty
        ties = np.random.default_rng([plan.seed, len(signed)]).permutation(len(signed))
        self._ranked = np.lexsort((ties, signed))
        self._sorted = signed[self._ranked]
        if self.window(0.0)[1] == 0:
            edge = self._sorted[0] * (-1 if plan.hardest_first else 1)
            raise InputError(
                f"--difficulty-thresholds: no row has a {plan.measure} within the first one; the "
                f"{'hardest' if plan.hardest_first else 'easiest'} has {edge:g}"
            )

    @property
    def usual(self) -> int:
        """The first epoch of all rows."""
        return math.ceil(self.plan.duration)

    @property
    def lengths(self) -> np.ndarray:
        """The most tokens of each row in any epoch, `(rows, sides)`."""
        return self._rows.lengths

    def lengths_of(self, epoch: int) -> np.ndarray:
        """The tokens of each row in an epoch, `(rows, sides)`."""
        return self._rows.lengths_of(epoch)

    def of_epoch(self, epoch: int) -> Examples:
        """The rows as they are in an epoch."""
        return self._rows.of_epoch(epoch)

    def window(self, time: float) -> Window:
        """The ranks that may be drawn after so many epochs."""
        if time >= self.plan.duration:
            return 0, len(self._sorted)
        return self.plan.pace(time / self.plan.duration, self._sorted)

    def drawn(self, epoch: int) -> np.ndarray:
        """Numbers of the rows that an epoch holds, `(rows,)`, in the order of its parts."""
        return np.concatenate(self.parts(epoch))

    def _bounds(self, epoch: int) -> np.ndarray:
        """How many rows are drawn before each part of an epoch, and in all of them; one begins where all take part."""
        total, step = len(self._sorted), self.plan.step
        size = math.ceil(total / self.plan.parts / step) * step
        end = math.ceil((self.plan.duration - epoch) * total / step) * step
        return np.union1d(np.arange(0, total, size), np.clip([end, total], 0, total))

    def parts(self, epoch: int) -> list[np.ndarray]:
        """The rows of an epoch's parts; parts with the same window are one."""
        bounds = self._bounds(epoch)
        windows = [self.window(epoch + start / bounds[-1]) for start in bounds[:-1]]
        changes = [part for part, window in enumerate(windows) if part == 0 or window != windows[part - 1]]
        ends = [*changes[1:], len(windows)]
        return [
            self._draw(windows[first], int(bounds[end] - bounds[first]), (epoch, first))
            for first, end in zip(changes, ends, strict=True)
        ]

    def _draw(self, window: Window, count: int, place: tuple[int, int]) -> np.ndarray:
        random = np.random.default_rng([self.plan.seed, *place])
        return self._ranked[window[0] + draw(window[1] - window[0], count, random)]

    def figures(self, progress: float, rows: np.ndarray) -> dict[str, float]:
        """The share of the rows that may be drawn in this part, and the mean difficulty of those that were."""
        epoch, bounds = int(progress), self._bounds(int(progress))
        begun = bounds[np.searchsorted(bounds[:-1], (progress - epoch) * bounds[-1], side="right") - 1]
        first, end = self.window(epoch + begun / bounds[-1])
        return {"competence": (end - first) / len(self._sorted), "difficulty": float(self.plan.difficulty[rows].mean())}

    def describe(self) -> list[str]:
        """One line: the rows at first, and when all take part, if the run is long enough."""
        first, end = self.window(0.0)
        order, plan = "hardest" if self.plan.hardest_first else "easiest", self.plan
        whole = f"all take part after {plan.duration:.3g} epochs"
        if plan.duration > plan.ends:
            last = self.window(plan.ends)
            whole += f", but the run ends after {plan.ends:.3g}, with {last[1] - last[0]:,} of them"
        begin = f"first the {order} {end - first:,} of {len(self._sorted):,} rows"
        return [f"curriculum by {plan.measure}: {begin}; {whole}"]


def make_pace(kind: str, competence: tuple[str, float], thresholds: Sequence[float], buckets: int) -> Pace:
    """The pace of a kind of curriculum; `competence` is its schedule and its initial value."""
    schedule, initial = competence
    if kind == "competence":
        return Competence(initial, 2 if schedule == "square_root" else 1)
    return Thresholds(tuple(thresholds)) if kind == "threshold" else Buckets(buckets, kind == "baby_steps")
