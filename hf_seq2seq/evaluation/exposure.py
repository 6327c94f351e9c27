"""Exposure bias, measured: the loss on the model's own prefixes, and how errors accumulate.

A token is forced at step t, the model's own best one in place of the reference's. Its error is the change of the loss
at that step, log p(own) - log p(reference), both after the reference. Its influence on a later step k is the total
variation between the distributions of the token at k after the one and after the other, the model going on by itself in
both. What the draws of the continuations alone add to it is estimated from two halves of them, and taken off. The
products of errors and influences are summed over t. Where influences fade, the sum is about the same at every k and
grows linearly when added up; where they do not, it grows with k, and quadratically when added up.

Papers: Ranzato et al., 2016, https://arxiv.org/abs/1511.06732 (exposure bias); Ross and Bagnell, 2010, theorem 2.1,
https://proceedings.mlr.press/v9/ross10a.html (errors that add up quadratically)
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from torch import Tensor

Next = Callable[[Tensor], Tensor]
"""From prefixes `(rows, tokens)` to the log-probabilities of their next tokens, `(rows, vocabulary)` float64."""
PART = 256
"""Prefixes read at once."""
FEW = 100
"""Rows below which the power of accumulated errors is not to be relied on."""
ENOUGH = 10
"""Growth is judged on the positions that this many rows reach, or all rows where there are fewer."""
BETWEEN = 1.5
"""Growth with a power below this is called linear, and quadratic from there on."""


@dataclass(frozen=True)
class RowExposure:
    """What is measured on a row, at each position of its reference.

    Attributes:
        reference: loss of the reference after the reference, in nats.
        own: loss of the reference after the model's own output; NaN where that has ended.
        accumulated: sum over earlier steps of error times influence; by chance a little below 0 where there is none.
    """

    reference: np.ndarray
    own: np.ndarray
    accumulated: np.ndarray


def row_exposure(
    next_of: Next, target: Sequence[int], end: int, samples: int, generator: torch.Generator
) -> RowExposure:
    """Measures a row.

    Args:
        next_of: the model on the row's source.
        target: the reference, with its end.
        end: id of the token that ends an output.
        samples: continuations after each forced token, at least 2; the same random numbers are used after both tokens.
        generator: draws them.
    """
    gold = torch.tensor([target])
    reference, own, best = [], [], []
    output = gold[:, :0]
    for place, token in enumerate(target):
        after = next_of(gold[:, :place])[0]
        reference.append(-float(after[token]))
        best.append((int(after.argmax()), float(after.max()) + reference[-1]))
        ended = place > 0 and int(output[0, -1]) == end
        mine = None if ended else next_of(output)[0]
        own.append(math.nan if mine is None else -float(mine[token]))
        output = torch.cat([output, torch.tensor([[end if mine is None else int(mine.argmax())]])], 1)
    accumulated = [
        sum(error * influence for error, influence in step)
        for step in _influences(next_of, gold, best, end, samples, generator)
    ]
    return RowExposure(*(np.array(figures, dtype=float) for figures in (reference, own, accumulated)))


def beginning_with(next_of: Next, token: int) -> Next:
    """A model whose outputs have to begin with a token, such as the code of a language, which costs nothing."""

    def forced(prefixes: Tensor) -> Tensor:
        found = next_of(prefixes)
        if not prefixes.shape[1]:
            found = torch.full_like(found, -math.inf)
            found[:, token] = 0.0
        return found

    return forced


def _influences(
    next_of: Next, gold: Tensor, best: Sequence[tuple[int, float]], end: int, samples: int, generator: torch.Generator
) -> Iterator[list[tuple[float, float]]]:
    """For every step, the errors of the earlier ones with their influence on it.

    The prefixes are those of every earlier step, `samples` after the model's token and as many after the reference's.
    """
    prefixes, errors = gold.new_zeros(0, 0), list[float]()
    for place, (token, error) in enumerate(best):
        after = _distributions(next_of, prefixes, end).unflatten(0, (len(errors), 2, samples))
        yield list(zip(errors, _influence(after[:, 0] - after[:, 1]).tolist(), strict=True))
        draws = torch.rand(len(errors), 1, samples, 1, dtype=torch.float64, generator=generator).expand(-1, 2, -1, -1)
        drawn = torch.searchsorted(after.cumsum(-1), draws.contiguous()).clamp(max=after.shape[-1] - 1)
        prefixes = torch.cat([prefixes, drawn.flatten()[:, None]], 1)
        if token != int(gold[0, place]):
            forced = gold[:, : place + 1].repeat(2 * samples, 1)
            forced[:samples, -1] = token
            prefixes = torch.cat([prefixes, forced])
            errors.append(error)


def _influence(differences: Tensor) -> Tensor:
    """The total variation between two distributions, without what sampling adds to it.

    The distance of the sampled means has a floor, which does not vanish where the distributions are the same. The two
    halves of the samples differ by nothing else, so half of their distance is such a floor. Both are about as large
    where there is nothing but noise, and noise adds in squares; the sign keeps the expectation 0 there.

    Args:
        differences: of each pair of continuations, `(forced tokens, samples, vocabulary)`.

    Returns:
        The distances, `(forced tokens,)`.
    """
    samples = differences.shape[1]
    half = samples // 2
    apart = differences.mean(1).abs().sum(-1) / 2
    between = (differences[:, :half].mean(1) - differences[:, half:].mean(1)).abs().sum(-1) / 2
    noise = between * math.sqrt(half * (samples - half)) / samples
    squared = apart**2 - noise**2
    return squared.sign() * squared.abs().sqrt()


def _distributions(next_of: Next, prefixes: Tensor, end: int) -> Tensor:
    """Of the next token; certain to be the end after an end."""
    if not len(prefixes):
        return torch.zeros(0, 1, dtype=torch.float64)
    parts = [next_of(prefixes[start : start + PART]).exp() for start in range(0, len(prefixes), PART)]
    found = torch.cat(parts)
    ended = (prefixes[:, -1] == end).nonzero()[:, 0]
    if len(ended):
        found[ended] = 0.0
        found[ended, end] = 1.0
    return found


@dataclass(frozen=True)
class Exposure:
    """Means over rows at each position.

    Attributes:
        rows: rows that have the position.
        reference: as for a row.
        own: over the rows whose own output has not ended; NaN without any.
        accumulated: as for a row.
    """

    rows: np.ndarray
    reference: np.ndarray
    own: np.ndarray
    accumulated: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[RowExposure]) -> "Exposure":
        """Averages rows of different lengths."""
        longest = max(len(row.reference) for row in rows)
        tables = {
            name: np.array(
                [np.pad(getattr(row, name), (0, longest - len(row.own)), constant_values=np.nan) for row in rows]
            )
            for name in ("reference", "own", "accumulated")
        }
        counts = {name: (~np.isnan(table)).sum(0) for name, table in tables.items()}
        with np.errstate(invalid="ignore"):
            means = {name: np.nansum(table, 0) / counts[name] for name, table in tables.items()}
        return cls(counts["reference"], **means)

    @property
    def power(self) -> float:
        """The power of the position with which the accumulated errors grow when added up; NaN if there are none.

        A fit of logarithms by least squares, weighted by the rows of each position, over the positions that enough rows
        reach.
        """
        added = np.cumsum(self.accumulated[1 : self._judged])
        known = added > 0
        if known.sum() < 2:
            return math.nan
        places = np.log(np.arange(1, len(added) + 1)[known])
        return float(np.polyfit(places, np.log(added[known]), 1, w=np.sqrt(self.rows[1 : self._judged][known]))[0])

    @property
    def _judged(self) -> int:
        """The positions that enough rows reach, counted from the first; later ones are of long rows alone."""
        return int((self.rows >= min(ENOUGH, self.rows[0])).sum())

    @property
    def growth(self) -> str:
        """How they grow: "linear", "quadratic", or "none" without errors."""
        return "none" if math.isnan(self.power) else "linear" if self.power < BETWEEN else "quadratic"

    def as_json(self) -> dict[str, Any]:
        """Everything by name, null for NaN."""
        lists = {
            name: [None if math.isnan(value) else float(value) for value in getattr(self, name)]
            for name in ("reference", "own", "accumulated")
        }
        power = None if math.isnan(self.power) else self.power
        return {"rows": self.rows.tolist()} | lists | {"power": power, "growth": self.growth}

    def lines(self) -> list[str]:
        """A table by position, and what it says."""
        head = "position  rows  loss after reference  after own output     gap  accumulated"
        columns = (self.rows, self.reference, self.own, self.own - self.reference, self.accumulated)
        found = [
            f"{place:8}  {rows:4}  " + "  ".join(map(_number, figures, (20, 16, 6, 11), (3, 3, 3, 4)))
            for place, (rows, *figures) in enumerate(zip(*columns, strict=True), 1)
        ]
        return [head, *found, f"accumulation of errors: {self.growth}{self._fit_told()}"]

    def _fit_told(self) -> str:
        """The fitted power, what it was fitted to, and whether the rows are few; nothing without errors."""
        if math.isnan(self.power):
            return ""
        told = f": added up, they grow with the power {self.power:.2f} of the position"
        if self._judged < len(self.rows):
            told += f" up to {self._judged}, the last that {min(ENOUGH, self.rows[0])} rows reach"
        if self.rows[0] < FEW:
            told += f"; {self.rows[0]} rows are few for it, --max-predict-samples reads more"
        return told


@dataclass
class PositionSums:
    """Both losses of any number of rows, of which only sums by position are kept.

    Attributes:
        sums: of the rows, their losses after the reference and after the own output, and the gap and its square,
            `(5, positions)`, over the positions that the own output has.
    """

    sums: np.ndarray = field(default_factory=lambda: np.zeros((5, 0)))

    def add(self, reference: np.ndarray, own: np.ndarray) -> None:
        """Adds a row: losses in nats at the positions that its output has, `(positions,)` each."""
        longer = max(0, len(own) - self.sums.shape[1])
        self.sums = np.pad(self.sums, ((0, 0), (0, longer)))
        gap = own - reference
        self.sums[:, : len(own)] += np.stack([np.ones_like(gap), reference, own, gap, gap**2])

    def table(self, confidence: float, fewest: int) -> list[dict[str, float]]:
        """Means by position, from 1, and the gap's interval by the normal distribution of its mean.

        Args:
            confidence: of the interval, in percent.
            fewest: positions that fewer rows have are left out.
        """
        z, found = NormalDist().inv_cdf(0.5 + confidence / 200), []
        for place, (rows, reference, own, gap, squares) in enumerate(self.sums.T.tolist(), 1):
            if rows < max(fewest, 2):
                continue
            error = z * math.sqrt(max(0.0, squares - gap**2 / rows) / (rows - 1) / rows)
            mean = gap / rows
            means = {"reference": reference / rows, "own": own / rows, "gap": mean, "low": mean - error}
            rounded = {name: round(value, 6) + 0.0 for name, value in (means | {"high": mean + error}).items()}
            found.append({"position": place, "rows": int(rows)} | rounded)
        return found


def _number(value: float, width: int, digits: int) -> str:
    return f"{'–':>{width}}" if math.isnan(value) else f"{value:{width}.{digits}f}"
