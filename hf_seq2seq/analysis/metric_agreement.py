"""How well metrics agree with people: correlation with the ratings of texts and of systems, with intervals.

By row, each rated text is one observation: the metric's score of that text alone, and the mean of its ratings; texts of
all rows and systems are pooled. By system, each system is one: the score of all its rows, and the mean of their
ratings. Intervals resample rows with all their texts. Metrics of errors are negated: positive is agreement.

Paper: Callison-Burch et al. 2008, Further Meta-Evaluation of Machine Translation (both levels),
    https://aclanthology.org/W08-0309
Paper: Mathur et al. 2020, Tangled up in BLEU (correlations over few systems mislead),
    https://aclanthology.org/2020.acl-main.448
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hf_seq2seq.analysis.rating_report import Resampling, mean_sample
from hf_seq2seq.analysis.ratings import Key, Ratings
from hf_seq2seq.metrics.correlation import CORRELATIONS
from hf_seq2seq.metrics.metric import Metric
from hf_seq2seq.metrics.resampling import Sample, bootstrap, draws

Json = dict[str, Any]
FEWEST = 3
"""Observations below which a correlation is always 1 or -1."""


@dataclass(frozen=True)
class ScoredSheet:
    """The texts of a sheet, scored by one metric.

    Args:
        name: of the metric.
        metric: the metric.
        key: of the sheet.
        texts: those of the sheet, in the key's order.
        references: of each row, in the key's order.
    """

    name: str
    metric: Metric
    key: Key
    texts: Sequence[str]
    references: Sequence[Sequence[str]]

    @property
    def sign(self) -> int:
        """1, or -1 for a metric of errors."""
        return 1 if self.metric.greater_is_better else -1

    @cached_property
    def systems(self) -> list[Sample]:
        """The rows of every system."""
        found = []
        for authored in self.key.authored:
            texts = [self.texts[place] for place in authored]
            statistics = None if self.metric.statistics is None else self.metric.statistics(texts, self.references)
            found.append(Sample(self.metric, statistics, texts, list(self.references)))
        return found

    @cached_property
    def by_text(self) -> np.ndarray:
        """The score of every text alone, `(texts, keys)`; BLEU is that of sentences."""
        found = np.full((len(self.texts), len(self.metric.keys)), np.nan)
        family, _, argument = self.name.partition(":")
        if family == "bleu":
            from hf_seq2seq.metrics.bleu import make_sentence_bleu

            one = make_sentence_bleu(argument or "13a")
            for place, row in enumerate(self.key.rows):
                found[place] = one(self.texts[place], self.references[row])
            return found
        for authored, sample in zip(self.key.authored, self.systems, strict=True):
            found[authored] = sample.drawn(np.arange(len(sample)).reshape(-1, 1))
        return found


def metric_agreement(
    scored: Sequence[ScoredSheet], key: Key, ratings: Ratings, resampling: Resampling
) -> dict[str, dict[str, Json]]:
    """The correlations of every score with every criterion.

    Returns:
        By criterion and key of a metric: "rows" and "systems", each with the number of observations as `n` and, where
        defined, `pearson`, `spearman`, `kendall` and their intervals.
    """
    found: dict[str, dict[str, Json]] = {}
    for criterion, values in ratings.values.items():
        found[criterion] = {}
        for sheet in scored:
            for place, name in enumerate(sheet.metric.keys):
                found[criterion][name] = {
                    "rows": _by_row(sheet, place, key, values, resampling),
                    "systems": _by_system(sheet, place, key, values, resampling),
                }
    return found


def _by_row(sheet: ScoredSheet, place: int, key: Key, values: np.ndarray, resampling: Resampling) -> Json:
    rated = ~np.isnan(values).all(axis=1)
    if rated.sum() < FEWEST:
        return _undefined(int(rated.sum()))
    people = np.nanmean(values[rated], axis=1)
    scores = sheet.sign * sheet.by_text[rated, place]
    every = np.ones((1, len(people)))
    rows = key.authored.shape[1]
    counts = np.stack(
        [np.bincount(draw, minlength=rows) for draw in draws(rows, resampling.resamples, resampling.seed)]
    )
    drawn = counts[:, key.rows[rated]].astype(np.float64)
    return {"n": len(people)} | _summary(
        {name: float(function(scores, people, every)[0]) for name, function in CORRELATIONS.items()},
        {name: function(scores, people, drawn) for name, function in CORRELATIONS.items()},
        resampling,
    )


def _by_system(sheet: ScoredSheet, place: int, key: Key, values: np.ndarray, resampling: Resampling) -> Json:
    people = [mean_sample(values[authored]) for authored in key.authored]
    scored = [(mine, theirs) for mine, theirs in zip(sheet.systems, people, strict=True) if theirs.statistics.any()]
    if len(scored) < FEWEST:
        return _undefined(len(scored))
    drawn = [[bootstrap(s, resampling.resamples, resampling.seed) for s in pair] for pair in scored]
    real = [[s.score() for s in pair] for pair in scored]
    scores = sheet.sign * np.stack([[mine[place] for mine, _ in real]])
    means = np.stack([[theirs[0] for _, theirs in real]])
    scores_drawn = sheet.sign * np.stack([mine[:, place] for mine, _ in drawn], axis=1)
    means_drawn = np.stack([theirs[:, 0] for _, theirs in drawn], axis=1)
    return {"n": len(scored)} | _summary(
        {name: float(value[0]) for name, value in _each(scores, means).items()},
        _each(scores_drawn, means_drawn),
        resampling,
    )


def _each(scores: np.ndarray, means: np.ndarray) -> dict[str, np.ndarray]:
    """Correlations within each row of `(draws, systems)`; NaN where a system has no rating."""
    every = np.ones((1, scores.shape[1]))
    found = {name: np.full(len(scores), np.nan) for name in CORRELATIONS}
    for row in np.flatnonzero(~np.isnan(means).any(axis=1)):
        for name, function in CORRELATIONS.items():
            found[name][row] = function(scores[row], means[row], every)[0]
    return found


def _summary(real: Mapping[str, float], drawn: Mapping[str, np.ndarray], resampling: Resampling) -> Json:
    found: Json = {}
    for name, value in real.items():
        if np.isnan(value):
            found |= {name: None, f"{name}_low": None, f"{name}_high": None}
        else:
            found |= {name: value, **resampling.bounds(name, drawn[name])}
    return found


def _undefined(count: int) -> Json:
    return {"n": count} | {f"{name}{end}": None for name in CORRELATIONS for end in ("", "_low", "_high")}
