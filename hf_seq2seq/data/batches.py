"""Assignment of rows to optimizer steps: length-sorted batches under a budget, independent of the number of processes.

The rows of an epoch are shuffled, sorted by length (so that ties are in random order), split into batches, and
consecutive batches are grouped into optimizer steps, which are then shuffled. A step is thus the same set of rows
regardless of the number of processes and accumulated batches.
"""

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from hf_seq2seq.configs import Optimization
from hf_seq2seq.data.training_rows import TrainingRows
from hf_seq2seq.errors import InputError

Step = list[np.ndarray]
ROWS_AT_A_TIME = 1 << 16


def padded_tokens(lengths: np.ndarray) -> int:
    """The cost of a batch, including padding: rows times the longest row of each side; `lengths` is `(rows, sides)`."""
    return int(len(lengths) * lengths.max(axis=0).sum()) if len(lengths) else 0


def length_order(lengths: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Rows from short to long: by source, then by target; rows of equal length stay in their order.

    Args:
        lengths: tokens of each row, `(rows, sides)`.
        rows: the rows that count, whose places among these are returned; None for all.
    """
    keys = _keys(lengths, rows)
    if keys is None:
        few = lengths if rows is None else lengths[rows]
        return np.lexsort(tuple(few[:, side] for side in reversed(range(few.shape[1]))))
    # Numbers that contain the row, too, are all different, and can be sorted in place.
    for start in range(0, len(keys), ROWS_AT_A_TIME):
        few = keys[start : start + ROWS_AT_A_TIME]
        few *= len(keys)
        few += np.arange(start, start + len(few))
    keys.sort()
    keys %= len(keys)
    return keys


class Runs(NamedTuple):
    """Rows in some order as runs of rows of equal lengths.

    Attributes:
        begins: where each run begins, and the number of rows, `(runs + 1,)`.
        sides: the lengths of its rows, `(runs, sides)`.
    """

    begins: np.ndarray
    sides: np.ndarray


def runs_of(lengths: np.ndarray) -> Runs:
    """The runs of rows in the order that they are in."""
    changes = np.flatnonzero((lengths[1:] != lengths[:-1]).any(axis=1)) + 1
    begins = np.concatenate([[0] * (len(lengths) > 0), changes, [len(lengths)]]).astype(np.int64)
    return Runs(begins, lengths[begins[:-1]])


def runs_in_order(lengths: np.ndarray, rows: np.ndarray) -> Runs:
    """The runs of some rows from short to long, in less memory than the sorted rows take."""
    keys = _keys(lengths, rows, narrow=True)
    if keys is None:
        return runs_of(lengths[rows][length_order(lengths[rows])])
    keys.sort()
    begins = np.concatenate([[0] * (len(keys) > 0), np.flatnonzero(keys[1:] != keys[:-1]) + 1, [len(keys)]])
    rest = keys[begins[:-1].astype(np.int64)].astype(np.int64)
    sides = np.empty((len(rest), lengths.shape[1]), dtype=np.int64)
    for side in reversed(range(lengths.shape[1])):
        rest, sides[:, side] = np.divmod(rest, int(lengths[:, side].max()) + 1)
    return Runs(begins.astype(np.int64), sides)


def _keys(lengths: np.ndarray, rows: np.ndarray | None, narrow: bool = False) -> np.ndarray | None:
    """One number per row, which orders rows like their lengths; None where it and the row number exceed 64 bits.

    `narrow` makes it one of 32 bits where that is enough.
    """
    widths = [int(width) + 1 for width in lengths.max(axis=0, initial=0)]
    if not len(lengths) or math.prod(widths) * len(lengths) >= 2**63:
        return None
    kind = np.int32 if narrow and math.prod(widths) < 2**31 else np.int64
    keys = np.empty(len(lengths) if rows is None else len(rows), dtype=kind)
    for start in range(0, len(keys), ROWS_AT_A_TIME):
        block = slice(start, start + ROWS_AT_A_TIME)
        few = lengths[block if rows is None else rows[block]].astype(np.int64)
        found = few[:, 0]
        for side, width in list(enumerate(widths))[1:]:
            found = found * width + few[:, side]
        keys[block] = found
    return keys


def cut(lengths: np.ndarray, batch_size: int, max_tokens: int | None) -> np.ndarray:
    """Splits sorted rows into batches.

    Args:
        lengths: tokens of the rows in order, `(rows, sides)`.
        batch_size: rows per batch, if there is no budget.
        max_tokens: maximum number of tokens in a batch, including padding.

    Returns:
        The batches' boundaries, `(batches + 1,)`.

    Raises:
        InputError: a single row exceeds the budget.
    """
    return _cut_runs(runs_of(lengths), batch_size, max_tokens)


def _cut_runs(runs: Runs, batch_size: int, max_tokens: int | None) -> np.ndarray:
    """The boundaries of batches of rows that are in runs, as for `cut`."""
    rows = int(runs.begins[-1])
    if max_tokens is None:
        return np.append(np.arange(0, rows, batch_size), rows)
    _check_budget(runs.sides, max_tokens)
    boundaries, start, widest = [0], 0, [0] * runs.sides.shape[1]
    for (begin, end), sides in zip(pairwise(runs.begins.tolist()), runs.sides.tolist(), strict=True):
        widest = [max(pair) for pair in zip(widest, sides, strict=True)]
        most, alone = (max_tokens // sum(each) if any(each) else rows for each in (widest, sides))
        if end - start > most:
            boundaries += range(max(begin, start + most), end, alone)
            start, widest = boundaries[-1], sides
    return np.append(boundaries, rows)


def padded_in_runs(runs: Runs, boundaries: np.ndarray) -> int:
    """The cost of batches of rows that are in runs, padding included."""
    if boundaries[-1] == 0:
        return 0
    pieces = np.union1d(runs.begins[:-1], boundaries[:-1])
    sides = runs.sides[np.searchsorted(runs.begins, pieces, side="right") - 1]
    longest = np.maximum.reduceat(sides, np.searchsorted(pieces, boundaries[:-1]))
    return int((np.diff(boundaries) * longest.sum(axis=1)).sum())


def _check_budget(lengths: np.ndarray, max_tokens: int | None) -> None:
    longest = int(lengths.sum(axis=1).max()) if len(lengths) else 0
    if max_tokens is not None and longest > max_tokens:
        raise InputError(
            f"--max-tokens-per-batch: {max_tokens} is too small; a single row has {longest} tokens "
            f"(raise it to {longest}, or lower --max-source-length)"
        )


def ordered_batches(lengths: np.ndarray, batch_size: int) -> Step:
    """All rows once, in batches of similar length, for evaluation."""
    order = length_order(lengths)
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


class BatchPlan:
    """The optimizer steps of every epoch.

    Args:
        rows: what is trained on.
        optimization: the token budget or the batch size, and the accumulation.
        processes: number of processes that share a step.
        seed: seed of the order.
    """

    def __init__(self, rows: TrainingRows, optimization: Optimization, processes: int, seed: int) -> None:
        self._training = rows
        self._lengths = rows.lengths
        self._optimization = optimization
        self._seed = seed
        self._counts: dict[int, int] = {}
        self._batches_a_step = optimization.gradient_accumulation_steps * processes
        _check_budget(self._lengths, optimization.max_tokens_per_batch)
        self._boundaries = self._cut(rows.parts(rows.usual), rows.lengths_of(rows.usual))

    def __len__(self) -> int:
        """Optimizer steps per epoch; if rows are drawn, in the usual one."""
        return self._steps(self._training.usual, self._boundaries)

    def steps(self, epochs: float) -> int:
        """Optimizer steps of this many epochs."""
        if not self._training.redrawn:
            return math.ceil(epochs * len(self))
        whole = int(epochs)
        rest = (epochs - whole) * self._steps(whole)
        return sum(self._steps(number) for number in range(whole)) + math.ceil(rest)

    def locate(self, step: int) -> tuple[int, int]:
        """The epoch of a step, and the number of earlier steps in that epoch.

        Raises:
            InputError: an epoch before it has no steps.
        """
        if not self._training.redrawn:
            return divmod(step, len(self))
        number, before = self._training.origin
        step -= before
        while step >= (steps := self._steps(number)):
            if not steps:
                raise InputError(f"no training rows: epoch {number + 1} has none, so that it cannot end")
            number, step = number + 1, step - steps
        return number, step

    def position(self, step: int) -> dict[str, Any]:
        """What a checkpoint before a step must keep to find the rows of that step."""
        number, done = self.locate(step)
        return self._training.position(number, step - done)

    def epoch(self, number: int) -> list[Step]:
        """The steps of one epoch in order; a step is a list of batches, a batch an array of rows."""
        random = np.random.default_rng([self._seed, number])
        parts, lengths = [*self._training.parts(number)], self._training.lengths_of(number)
        bounds = self._cut(parts, lengths) if self._training.redrawn else self._boundaries
        steps: list[Step] = []
        for boundaries in bounds:
            grouped = self._grouped(parts.pop(0), boundaries, lengths, random)
            steps += [grouped[index] for index in self._training.order(number, grouped, random)]
        steps = steps[: self._training.most_steps(number)]
        self._counts[number] = len(steps)
        return steps

    def _grouped(
        self, rows: np.ndarray, boundaries: np.ndarray, lengths: np.ndarray, random: np.random.Generator
    ) -> list[Step]:
        """The steps of an epoch's part, from short rows to long ones."""
        shuffled, kind = random.permutation(rows), rows.dtype
        del rows  # there may be very many, as of what follows
        order = length_order(lengths, shuffled)
        for start in range(0, len(order), ROWS_AT_A_TIME):  # in place
            order[start : start + ROWS_AT_A_TIME] = shuffled[order[start : start + ROWS_AT_A_TIME]]
        del shuffled
        order = order.astype(kind)
        batches = [order[a:b] for a, b in pairwise(boundaries)]
        size = self._batches_a_step
        return [batches[start : start + size] for start in range(0, len(batches), size)]

    @property
    def padding(self) -> float:
        """Share of an epoch's tokens that are padding; if rows are drawn, in the usual epoch."""
        tokens, padded, usual = 0, 0, self._training.usual
        lengths = self._training.lengths_of(usual)
        for rows, boundaries in zip(self._training.parts(usual), self._boundaries, strict=True):
            runs = runs_in_order(lengths, rows)
            tokens += int((np.diff(runs.begins) * runs.sides.sum(axis=1)).sum())
            padded += padded_in_runs(runs, boundaries)
        return 1 - tokens / max(1, padded)

    def tokens(self, step: Step) -> int:
        """Tokens of a step's rows on all sides, padding not counted."""
        return int(sum(self._lengths[rows].sum() for rows in step))

    @property
    def tokens_per_step(self) -> float:
        """Their mean over an epoch; where rows are drawn, over the usual one."""
        return float(self._lengths[self._training.drawn(self._training.usual)].sum()) / max(1, len(self))

    def _cut(self, parts: list[np.ndarray], lengths: np.ndarray) -> list[np.ndarray]:
        """The boundaries of the batches of each part of an epoch."""
        options, found = self._optimization, []
        for rows in parts:
            runs = runs_in_order(lengths, rows)
            found.append(_cut_runs(runs, options.per_device_train_batch_size, options.max_tokens_per_batch))
        return found

    def _steps(self, epoch: int, bounds: list[np.ndarray] | None = None) -> int:
        """Optimizer steps of an epoch; without draws they are the same in every epoch."""
        if epoch in self._counts:
            return self._counts[epoch]
        if bounds is None:
            redrawn = self._training.redrawn
            bounds = (
                self._cut(self._training.parts(epoch), self._training.lengths_of(epoch))
                if redrawn
                else self._boundaries
            )
        most = self._training.most_steps(epoch)
        steps = sum(-(-(len(boundaries) - 1) // self._batches_a_step) for boundaries in bounds)
        self._counts[epoch] = steps if most is None else min(steps, most)
        return self._counts[epoch]


def share(step: Step, rank: int, processes: int) -> list[np.ndarray | None]:
    """The batches of one process; None if it has none left but others do, so that all stay in step."""
    rounds = -(-len(step) // processes)
    mine = step[rank::processes]
    return [*mine, *[None] * (rounds - len(mine))]
