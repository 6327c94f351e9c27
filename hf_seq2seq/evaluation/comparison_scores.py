"""Scores of systems and of the differences between them, with intervals that hold both rows and seeds to be samples.

Every bootstrap draw takes rows with replacement, the same for all runs. A system of several seeds is scored by the mean
of its runs, and each draw also takes seeds with replacement. Deviations from the mean of K seeds are scaled by
sqrt(K / (K - 1)), without which a bootstrap of so few would understate their spread. Resampling rows alone answers how
the score of these weights would vary with the test set, not whether another seed would give the same ranking.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hf_seq2seq.metrics.corpus import Corpus
from hf_seq2seq.metrics.metric import Metric
from hf_seq2seq.metrics.resampling import Sample, bootstrap, interval

Found = dict[str, Any]


@dataclass(frozen=True)
class Resampling:
    """How intervals and p-values are drawn.

    Attributes:
        confidence: coverage of the intervals in percent.
        resamples: draws.
        seed: of the draws.
    """

    confidence: float = 95.0
    resamples: int = 1000
    seed: int = 12345

    def interval(self, draws: np.ndarray) -> tuple[float, float]:
        """The interval of draws of one score, `(resamples,)`."""
        low, high = interval(draws.reshape(-1, 1), self.confidence)
        return float(low[0]), float(high[0])


class Scored:
    """The outputs of a system's runs, scored.

    Args:
        name: of the system.
        number: of the system, which decides its draws of seeds.
        outputs: of every run.
        references: of every row.
        metrics: by name.
    """

    def __init__(
        self,
        name: str,
        number: int,
        outputs: Sequence[list[str]],
        references: list[list[str]],
        metrics: Mapping[str, Metric],
    ) -> None:
        self.name, self.number, self.outputs, self.metrics = name, number, list(outputs), metrics
        self.corpora = [Corpus(metrics, keep=True) for _ in outputs]
        for corpus, texts in zip(self.corpora, outputs, strict=True):
            corpus.add(texts, references)

    @cached_property
    def runs(self) -> dict[str, np.ndarray]:
        """The scores of the runs by key, `(seeds,)`."""
        found = [corpus.scores() for corpus in self.corpora]
        return {
            key: np.array([scores[key] for scores in found]) for metric in self.metrics.values() for key in metric.keys
        }

    def samples(self, metric: str, rows: np.ndarray | None = None) -> list[Sample]:
        """The runs' rows, or some of them, for resampling."""
        found = [corpus.sample(metric) for corpus in self.corpora]
        return found if rows is None else [part_of(sample, rows) for sample in found]

    def row_scores(self, name: str) -> np.ndarray:
        """The score of every row alone, of the first run, by a metric with statistics per row: `(rows,)`."""
        metric = self.metrics[name]
        assert metric.score is not None
        return np.array([metric.score(row)[metric.keys[0]] for row in self.corpora[0].sample(name).statistics])


def part_of(sample: Sample, rows: np.ndarray) -> Sample:
    """Some rows of a sample."""
    if sample.statistics is not None:
        return replace(sample, statistics=sample.statistics[rows])
    predictions, truth = ([values[row] for row in rows] for values in (sample.predictions, sample.truth))
    return replace(sample, predictions=predictions, truth=truth)


def system_draws(samples: Sequence[Sample], resampling: Resampling, number: int) -> np.ndarray:
    """Bootstrap scores of a system: the mean over drawn seeds, on drawn rows: `(resamples, keys)`.

    Args:
        samples: one per seed, of the same rows.
        resampling: the draws of rows are the same for all systems.
        number: of the system: the seeds of different systems are drawn independently.
    """
    each = np.stack([bootstrap(sample, resampling.resamples, resampling.seed) for sample in samples])
    mean, seeds = each.mean(0), len(each)
    if seeds == 1:
        return np.asarray(mean)
    generator = np.random.default_rng([resampling.seed, number])
    chosen = generator.integers(seeds, size=(resampling.resamples, seeds))
    drawn = each[chosen, np.arange(resampling.resamples)[:, None]].mean(1)
    spread_out = mean + math.sqrt(seeds / (seeds - 1)) * (drawn - mean)
    return np.asarray(np.clip(spread_out, each.min((0, 1)), each.max((0, 1))))  # no score below 0


def p_value(differences: np.ndarray, observed: float) -> float:
    """Two-sided add-one p-value of a difference: how often draws, shifted to a mean of zero, are as far from it.

    Args:
        differences: of two systems, by the same draws, `(resamples,)`.
        observed: on all rows; 0 gives 1.
    """
    if observed == 0:
        return 1.0
    far = np.abs(differences - differences.mean()) > abs(observed) - 1e-9
    return float((far.sum() + 1) / (len(far) + 1))


def holm(values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number by Holm's step-down procedure, in the order given."""
    order = sorted(range(len(values)), key=lambda place: values[place])
    found, largest = [1.0] * len(values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        found[place] = largest
    return found


class Draws:
    """Bootstrap scores of all systems by key, each drawn once.

    Args:
        systems: in the order of the table.
        resampling: how they are drawn.
        rows: some rows only; None for all.
        only: the one metric that is needed; None for all.
    """

    def __init__(
        self, systems: Sequence[Scored], resampling: Resampling, rows: np.ndarray | None = None, only: str | None = None
    ) -> None:
        self.resampling = resampling
        self.draws: list[dict[str, np.ndarray]] = []
        self.scores: list[dict[str, float]] = []
        for system in systems:
            drawn: dict[str, np.ndarray] = {}
            score: dict[str, float] = {}
            for name, metric in system.metrics.items():
                if only not in (None, name):
                    continue
                samples = system.samples(name, rows)
                found = system_draws(samples, resampling, system.number)
                means = np.mean([sample.score() for sample in samples], axis=0)
                drawn |= {key: found[:, place] for place, key in enumerate(metric.keys)}
                score |= {key: float(means[place]) for place, key in enumerate(metric.keys)}
            self.draws.append(drawn)
            self.scores.append(score)

    def score(self, system: int, key: str) -> Found:
        """A system's score with its interval."""
        low, high = self.resampling.interval(self.draws[system][key])
        return {"score": self.scores[system][key], "low": low, "high": high}

    def difference(self, first: int, second: int, key: str) -> Found:
        """How much higher the first of two systems scores, with interval and p-value."""
        return self.mean_difference([(first, second)], key)

    def mean_difference(self, pairs: Sequence[tuple[int, int]], key: str) -> Found:
        """The mean over pairs of how much higher the first of two systems scores, with interval and p-value."""
        drawn = np.mean([self.draws[first][key] - self.draws[second][key] for first, second in pairs], axis=0)
        observed = float(np.mean([self.scores[first][key] - self.scores[second][key] for first, second in pairs]))
        low, high = self.resampling.interval(drawn)
        return {"difference": observed, "low": low, "high": high, "p": p_value(drawn, observed)}


def spread(runs: np.ndarray) -> Found:
    """The scores of a system's seeds and their spread; nothing where there is one, whose spread is unknown."""
    if len(runs) == 1:
        return {}
    return {"seeds_sd": float(runs.std(ddof=1)), "runs": [float(score) for score in runs]}


def score_systems(systems: Sequence[Scored], draws: Draws) -> list[Found]:
    """Every system's scores by key, with intervals and the spread between seeds."""
    return [
        {key: draws.score(place, key) | spread(system.runs[key]) for key in system.runs}
        for place, system in enumerate(systems)
    ]


def compare_pairs(systems: Sequence[Scored], draws: Draws) -> list[Found]:
    """The differences of all pairs of systems by key; p-values also adjusted for the number of pairs."""
    places = [(a, b) for b in range(len(systems)) for a in range(b)]
    found: list[Found] = [
        {
            "first": systems[b].name,
            "second": systems[a].name,
            "scores": {key: draws.difference(b, a, key) for key in systems[0].runs},
        }
        for a, b in places
    ]
    for key in systems[0].runs:
        adjusted = holm([pair["scores"][key]["p"] for pair in found])
        for pair, value in zip(found, adjusted, strict=True):
            pair["scores"][key]["p_holm"] = value
    return found


def part_worth(names: Sequence[str], settings: Mapping[str, Found], draws: Draws, keys: Sequence[str]) -> list[Found]:
    """What each value of a setting is worth against the setting's first value, whatever else varies.

    Args:
        names: of the systems, in the order of the draws.
        settings: of each system.
        draws: of the systems.
        keys: of the scores.

    Returns:
        For every setting and further value: the mean difference over the pairs of systems that differ in this setting
        alone, with interval and p-value by the same draws.
    """
    found: list[Found] = []
    for name in settings[names[0]]:
        values = list(dict.fromkeys(settings[each][name] for each in names))
        for value in values[1:]:
            others = [{**settings[each], name: values[0]} for each in names]
            pairs = [
                (place, other)
                for place, each in enumerate(names)
                if settings[each][name] == value
                for other, base in enumerate(names)
                if settings[base] == others[place]
            ]
            if pairs:
                scores = {key: draws.mean_difference(pairs, key) for key in keys}
                found.append(
                    {"setting": name, "value": value, "against": values[0], "pairs": len(pairs), "scores": scores}
                )
    return found


def length_groups(lengths: Sequence[int], most: int = 6, least: int = 20) -> list[tuple[str, np.ndarray]]:
    """Rows in groups of about equal size by length: a label such as "5–9" and the rows of each.

    Args:
        lengths: of the rows.
        most: groups.
        least: rows of a group, as far as there are so many.
    """
    values = np.asarray(lengths)
    groups = max(1, min(most, len(values) // least))
    edges: np.ndarray = np.unique(np.quantile(values, np.linspace(0, 1, groups + 1)[1:-1], method="lower"))
    place = np.searchsorted(edges, values, side="left")
    found = []
    for group in np.unique(place):
        rows = np.flatnonzero(place == group)
        low, high = values[rows].min(), values[rows].max()
        found.append((f"{low}" if low == high else f"{low}–{high}", rows))
    return found


def by_length(systems: Sequence[Scored], lengths: Sequence[int], metric: str, resampling: Resampling) -> list[Found]:
    """The score of every system by length, and its difference to the first one's, with intervals."""
    key, found = systems[0].metrics[metric].keys[0], []
    for label, rows in length_groups(lengths):
        draws = Draws(systems, resampling, rows, metric)
        found.append(
            {
                "length": label,
                "rows": len(rows),
                "systems": {system.name: draws.score(place, key) for place, system in enumerate(systems)},
                "differences": {
                    system.name: draws.difference(place, 0, key) for place, system in enumerate(systems) if place
                },
            }
        )
    return found
