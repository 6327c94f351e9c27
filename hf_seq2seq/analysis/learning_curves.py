"""Power laws of learning curves: quality by the number of training rows, with intervals of what more rows would bring.

y(n) = a - b n^-c for scores that rise, and a + b n^-c for errors and losses, with b >= 0. The exponent is found on a
grid, a and b in closed form; a is bounded by the perfect score. Intervals are of a parametric bootstrap whose noise
variance is drawn as well, because a handful of sizes tells little of it.

Paper: Kolachina et al. 2012, Prediction of Learning Curves in Machine Translation, section 3 (pow3),
    https://aclanthology.org/P12-1003
Paper: Gordon et al. 2021, Data and Parameter Scaling Laws for Neural Machine Translation, section 3,
    https://aclanthology.org/2021.emnlp-main.478
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Json = dict[str, Any]
EXPONENTS = np.geomspace(0.02, 2.0, 150)
FEWEST = 4
"""Sizes that a fit needs: it has three parameters."""


@dataclass(frozen=True)
class Curve:
    """A fitted curve, and those of the bootstrap.

    Attributes:
        largest: rows of the largest size, the unit of the law.
        sign: 1 where higher is better, else -1.
        laws: a, b and c in rows of `largest`, of scores times `sign`: the fit, then the draws, `(1 + draws, 3)`.
        noise: standard deviation of a score about each law, `(1 + draws,)`.
        confidence: level of intervals, in percent.
        seed: of draws.
    """

    largest: int
    sign: int
    laws: np.ndarray
    noise: np.ndarray
    confidence: float
    seed: int

    def at(self, rows: float) -> np.ndarray:
        """The score at a number of rows, by every law."""
        asymptote, factor, exponent = self.laws.T
        found: np.ndarray = self.sign * (asymptote - factor * (rows / self.largest) ** -exponent)
        return found

    def predicted(self, rows: float) -> tuple[float, float, float]:
        """What a run on so many rows would score: the fit, and the interval with the noise of runs."""
        values = self.at(rows)
        noise = np.random.default_rng(self.seed).normal(size=len(values) - 1) * self.noise[1:]
        return (float(values[0]), *self._bounds(values[1:] + noise))

    def gained(self, rows: float) -> tuple[float, float, float]:
        """The change of the score from the largest size to so many rows."""
        values = self.at(rows) - self.at(self.largest)
        return (float(values[0]), *self._bounds(values[1:]))

    def more_rows(self, gain: float) -> tuple[float, float, float]:
        """How many more rows than the largest size a better score takes, with the interval; inf where none suffice."""
        _, factor, exponent = self.laws.T
        left = factor - gain  # at the largest size the law is `factor` below its asymptote
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            times = np.where(left > 0, (factor / np.where(left > 0, left, 1.0)) ** (1 / exponent), np.inf)
        more = (times - 1) * self.largest
        return (float(more[0]), *self._bounds(more[1:]))

    def _bounds(self, values: np.ndarray) -> tuple[float, float]:
        ordered = np.sort(values)
        outside = int(len(ordered) * (100 - self.confidence) / 200)
        return float(ordered[outside]), float(ordered[-1 - outside])

    def law(self) -> Json:
        """The fit in rows: score = asymptote -+ factor * rows ** -exponent."""
        asymptote, factor, exponent = self.laws[0].tolist()
        in_rows = factor * self.largest**exponent
        low, high = self._bounds(self.laws[1:, 2])
        return {"asymptote": self.sign * asymptote, "factor": in_rows, "exponent": exponent} | {
            "exponent_low": low, "exponent_high": high
        }  # fmt: skip


def fit_curve(
    sizes: np.ndarray,
    scores: np.ndarray,
    greater: bool,
    confidence: float = 95,
    draws: int = 2000,
    seed: int = 12345,
    perfect: float = 100.0,
) -> Curve:
    """Fits a power law.

    Args:
        sizes: training rows, `(sizes,)`, at least `FEWEST`.
        scores: one per size.
        greater: whether a greater score is better.
        confidence: level of intervals, in percent.
        draws: of the bootstrap.
        seed: of the bootstrap.
        perfect: the best possible score where a greater one is better; errors end at 0.
    """
    generator = np.random.default_rng(seed)
    sign, largest = (1 if greater else -1), int(sizes.max())
    parts, wanted = sizes / largest, sign * np.asarray(scores, dtype=np.float64)
    most = max(perfect if greater else 0.0, float(wanted.max()))
    law, error = _fit(parts, wanted[None], most)
    freedom = len(sizes) - 3
    noise = np.sqrt(error[0] / generator.chisquare(freedom, size=draws))
    fitted = law[0, 0] - law[0, 1] * parts ** -law[0, 2]
    drawn = fitted + generator.normal(size=(draws, len(sizes))) * noise[:, None]
    laws, _ = _fit(parts, drawn, most)
    spread = math.sqrt(error[0] / freedom)
    return Curve(largest, sign, np.concatenate([law, laws]), np.concatenate([[spread], noise]), confidence, seed)


def _fit(parts: np.ndarray, scores: np.ndarray, most: float) -> tuple[np.ndarray, np.ndarray]:
    """The least-squares law of each row of rising scores, `(draws, sizes)`: `(draws, 3)`, and its squared error."""
    decays = parts ** -EXPONENTS[:, None]  # (exponents, sizes)
    centred = decays - decays.mean(axis=1, keepdims=True)
    means = scores.mean(axis=1, keepdims=True)
    factor = np.maximum(-(scores @ centred.T) / np.square(centred).sum(axis=1), 0.0)  # (draws, exponents)
    asymptote = means + factor * decays.mean(axis=1)
    bounded = np.maximum((most - scores) @ decays.T / np.square(decays).sum(axis=1), 0.0)
    factor = np.where(asymptote > most, bounded, factor)
    asymptote = np.minimum(asymptote, most)
    errors = np.zeros_like(factor)
    for place in range(len(parts)):
        errors += np.square(scores[:, place, None] - asymptote + factor * decays[:, place])
    best, rows = errors.argmin(axis=1), np.arange(len(scores))
    laws = np.stack([asymptote[rows, best], factor[rows, best], EXPONENTS[best]], axis=1)
    return laws, errors[rows, best]
