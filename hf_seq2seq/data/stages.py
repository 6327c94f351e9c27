"""Training rows that come in stages, each with a mix of named sets, an end and modifiers.

A stage is laid out in chunks, which take the place of epochs: a chunk's rows, and what is modified in them, depend on
the seed and the chunk's number alone. Each set is a stream of permutations of its rows that goes on from one stage to
the next, so that no row comes again before all others of its set have come.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from hf_seq2seq.data.batches import cut, length_order
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.modifiers import Modifier
from hf_seq2seq.data.stage_files import Stage
from hf_seq2seq.data.training_rows import TrainingRows
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged

Encode = Callable[[list[str], list[str]], Examples]
"""Encodes sources and targets."""
TRIES = 12
"""In which as many rows are looked for as some steps take."""
MOST_PASSES = 10_000
"""Passes over all rows that a stage may take; more come from a share that was meant to be 0."""
KEPT = 3
"""Chunks whose rows are kept: this step's, the next one's, and one."""


@dataclass(frozen=True)
class Steps:
    """How rows become optimizer steps.

    Attributes:
        batch_size: rows per batch, if there is no budget.
        max_tokens: of a batch, including padding.
        batches: per optimizer step, over all processes.
    """

    batch_size: int
    max_tokens: int | None
    batches: int

    def count(self, lengths: np.ndarray) -> int:
        """The optimizer steps that rows of these lengths make, `(rows, sides)`."""
        bounds = cut(lengths[length_order(lengths)], self.batch_size, self.max_tokens)
        return -(-(len(bounds) - 1) // self.batches)

    def rows(self, steps: int, tokens: float) -> int:
        """About as many rows as so many steps take, if a row has so many tokens on average; rather too many."""
        if self.max_tokens is None:
            return steps * self.batches * self.batch_size
        return int(steps * self.batches * (self.max_tokens / max(1.0, tokens) + 1))


@dataclass(frozen=True)
class Chunk:
    """A part of a stage.

    Attributes:
        stage: its number.
        starts: how many rows of each set came before, `(sets,)`.
        counts: how many come now, `(sets,)`.
        steps: the optimizer steps after which it ends, if steps end the stage.
    """

    stage: int
    starts: np.ndarray
    counts: np.ndarray
    steps: int | None = None


class StageRows(TrainingRows):
    """The rows of several sets, in stages.

    Args:
        rows: those of all sets, unmodified, one set after the other.
        sizes: the rows of each set, by name.
        stages: in order.
        steps: how rows become steps.
        encode: encodes modified texts.
        seed: of the draws and the modifiers.

    Attributes:
        chunks: of all stages; the last stage goes on after them, where a run is longer: with more steps, or until its
            time is over if the stage has no end.

    Raises:
        InputError: a stage ends before its first row; names the line of its end.
    """

    redrawn = True
    logged = ("stage",)

    def __init__(
        self,
        rows: TrainingRows,
        sizes: dict[str, int],
        stages: Sequence[Stage],
        steps: Steps,
        encode: Encode,
        seed: int,
    ) -> None:
        super().__init__(rows.examples, rows.renewed)
        last = stages[-1]
        self.end = "" if last.until is None and last.steps is None else f"the last stage, {last.name!r}, is over"
        self.stages, self._sizes, self._steps, self._encode, self._seed = stages, sizes, steps, encode, seed
        self._first = np.cumsum([0, *sizes.values()])[:-1]
        self.chunks: list[Chunk] = []
        starts = np.zeros(len(sizes), dtype=np.int64)
        for number in range(len(stages)):
            starts = self._lay_out(number, starts)
        self._made = lru_cache(KEPT)(self._make)

    def _lay_out(self, number: int, starts: np.ndarray) -> np.ndarray:
        """Adds the chunks of a stage; returns how many rows of each set came until its end."""
        stage, usual = self.stages[number], len(self.examples)
        shares = np.array([stage.shares.get(name, 0.0) for name in self._sizes])
        if stage.until is not None:
            name, passes = stage.until
            total = max(1, round(passes * self._sizes[name] / stage.shares[name]))
        else:
            total = usual if stage.steps is None else self._steps.rows(stage.steps, self._tokens(shares))
        if total > MOST_PASSES * usual:
            raise InputError(f"{stage.place}: stage {stage.name!r}: its end takes {total:,} rows; give larger shares")
        parts = max(1, round(total / usual))
        if stage.steps is not None:
            parts = min(parts, stage.steps)
        bounds = np.round(np.outer(np.linspace(0, total, parts + 1), shares)).astype(np.int64)
        if not bounds[-1].any():
            raise InputError(_too_short(stage, self._sizes))
        done = np.linspace(0, stage.steps or 0, parts + 1).astype(int)
        for part in range(parts):
            counts = bounds[part + 1] - bounds[part]
            steps = int(done[part + 1] - done[part]) if stage.steps is not None else None
            chunk = Chunk(number, starts, counts, steps)
            self.chunks.append(chunk if steps is None else self._fitted(chunk, steps, shares))
            chunk = self.chunks[-1]
            starts = starts + chunk.counts
        return starts

    def _tokens(self, shares: np.ndarray) -> float:
        """The mean tokens of a row of a mix."""
        totals = self.examples.lengths.sum(axis=1)
        means = [part.mean() for part in np.split(totals, self._first[1:])]
        return float(shares @ np.array(means))

    def _fitted(self, chunk: Chunk, steps: int, shares: np.ndarray) -> Chunk:
        """The next chunk with the rows that its steps take as they are modified in it, so that none is skipped."""
        least = math.ceil(1 / shares.max())
        rows, tries = float(self._steps.rows(steps, self._tokens(shares))), 0
        while True:
            rows, tries = max(rows, least), tries + 1
            chunk = replace(chunk, counts=np.round(rows * shares).astype(np.int64))
            made = self._steps.count(self._modified(chunk, len(self.chunks)).lengths[self._rows_of(chunk)])
            if made == steps or (made > steps and tries > TRIES):
                return chunk
            # The last step may be of any size, so half of it is meant; after many tries, rows only grow.
            rows *= (steps - 0.5) / (made - 0.5) if tries < TRIES else 1 + 1 / steps

    def chunk(self, epoch: int) -> Chunk:
        """A chunk of the stages, or of the last stage continued."""
        if epoch < len(self.chunks):
            return self.chunks[epoch]
        last, beyond = self.chunks[-1], epoch - len(self.chunks) + 1
        return replace(last, starts=last.starts + beyond * last.counts)

    def drawn(self, epoch: int) -> np.ndarray:
        """Numbers of the rows of a chunk, `(rows,)`."""
        return self._rows_of(self.chunk(epoch))

    def _rows_of(self, chunk: Chunk) -> np.ndarray:
        streams = zip(self._first, self._sizes.values(), chunk.starts, chunk.counts, strict=True)
        return np.concatenate(
            [
                first + self._stream(number, size, int(start), int(count))
                for number, (first, size, start, count) in enumerate(streams)
            ]
        )

    def _stream(self, number: int, size: int, start: int, count: int) -> np.ndarray:
        """Part of a set's endless stream of permutations, `(count,)`."""
        passes = range(start // size, -(-(start + count) // size))
        rows = [np.random.default_rng([self._seed, number, each]).permutation(size) for each in passes]
        whole = np.concatenate([*rows, np.zeros(0, dtype=np.int64)]).astype(np.int64)
        skipped = start - size * (start // size)
        return whole[skipped : skipped + count]

    def of_epoch(self, epoch: int) -> Examples:
        """All rows, those of the chunk as modified in it."""
        return self._made(epoch)

    def lengths_of(self, epoch: int) -> np.ndarray:
        """The tokens of each row in a chunk, `(rows, sides)`."""
        return self._made(epoch).lengths

    def most_steps(self, epoch: int) -> int | None:
        """The steps of a chunk, where steps end its stage."""
        return self.chunk(epoch).steps

    def _make(self, epoch: int) -> Examples:
        return self._modified(self.chunk(epoch), epoch)

    def _modified(self, chunk: Chunk, epoch: int) -> Examples:
        """All rows, those of a chunk as modified in an epoch."""
        rows = super().of_epoch(epoch)
        if not (modifiers := self.stages[chunk.stage].modifiers):
            return rows
        texts = modified(self.examples, np.unique(self._rows_of(chunk)), modifiers, (self._seed, epoch))
        if not texts:
            return rows
        sources, targets = (list(side) for side in zip(*texts.values(), strict=True))
        return replaced(rows, list(texts), self._encode(sources, targets))

    def figures(self, progress: float, rows: np.ndarray) -> dict[str, float]:
        """The number of the stage, from 1."""
        return {"stage": self.chunk(int(progress)).stage + 1.0}

    def describe(self) -> list[str]:
        """A line per stage: its rows and steps, the passes of each set, the modifiers."""
        lines = []
        for number, stage in enumerate(self.stages):
            chunks = [epoch for epoch, chunk in enumerate(self.chunks) if chunk.stage == number]
            counts = np.sum([self.chunks[epoch].counts for epoch in chunks], axis=0)
            made = [self._steps.count(self.lengths_of(epoch)[self.drawn(epoch)]) for epoch in chunks]
            steps = stage.steps or sum(made)
            sets = ", ".join(
                f"{name} {count / size:.3g} {'pass' if count == size else 'passes'} of {size:,}"
                for (name, size), count in zip(self._sizes.items(), counts, strict=True)
                if count
            )
            names = "".join(f"; {modifier.name} {modifier.probability:g}" for modifier in stage.modifiers)
            lines.append(f"stage {stage.name}: {steps:,} steps: {sets}{names}")
        return lines if self.end else [*lines[:-1], f"{lines[-1]}; continues until the end of the run"]


def _too_short(stage: Stage, sizes: dict[str, int]) -> str:
    """That a stage holds no row, and how many passes its end needs for one."""
    name, passes = stage.until or ("", 0.0)
    least = math.ceil(1e6 / sizes[name]) / 1e6
    return (
        f"{stage.place}: stage {stage.name!r}: {passes:g} passes of the {sizes[name]:,} rows of {name!r} are less than "
        f"a row; write at least 'until {name} {least:g}'"
    )


def modified(
    examples: Examples, rows: np.ndarray, modifiers: Sequence[Modifier], seed: tuple[int, int]
) -> dict[int, tuple[str, str]]:
    """Source and target of the rows that modifiers change, by number; one modifier after the other.

    Args:
        examples: have the texts.
        rows: numbers of rows that may be modified, `(rows,)`.
        modifiers: each with a probability.
        seed: of the draws.
    """
    if not modifiers or examples.references is None:
        return {}
    draws = np.random.default_rng(seed).random((len(rows), len(modifiers)))
    chosen = draws < np.array([modifier.probability for modifier in modifiers])
    found = {}
    for place in np.flatnonzero(chosen.any(axis=1)):
        row = int(rows[place])
        before = pair = examples.texts[row], examples.references[row][0]
        draw = random.Random(f"{seed[0]} {seed[1]} {row}")
        for modifier, applies in zip(modifiers, chosen[place], strict=True):
            pair = modifier(*pair, draw) if applies else pair
        if pair != before and all(text.strip() for text in pair):
            found[row] = pair
    return found


def replaced(examples: Examples, rows: list[int], others: Examples) -> Examples:
    """The examples with some of their rows replaced by others, in order."""
    by_row = dict(zip(rows, range(len(rows)), strict=True))

    def ragged(old: Ragged | None, new: Ragged | None) -> Ragged | None:
        if old is None or new is None:
            return old
        return Ragged.of(new[by_row[row]] if row in by_row else old[row] for row in range(len(old)))

    source = ragged(examples.source, others.source)
    assert source is not None
    texts = list(examples.texts)
    references = list(examples.references or ())
    unknown = None if examples.unknown is None else list(examples.unknown)
    for row, place in by_row.items():
        texts[row] = others.texts[place]
        references[row] = [others.references[place][0]] if others.references else references[row]
        if unknown is not None and others.unknown is not None:
            unknown[row] = others.unknown[place]
    target = ragged(examples.target, others.target)
    return replace(examples, source=source, target=target, texts=texts, references=references, unknown=unknown)
