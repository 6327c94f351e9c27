"""A test set that is scored piece by piece, in memory that does not grow with it where the metrics allow."""

import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from hf_seq2seq.metrics.metric import Metric, Scores
from hf_seq2seq.metrics.resampling import Sample


class Corpus:
    """One system's rows under several metrics.

    Args:
        metrics: by name.
        keep: whether `sample` will be called: then each row's statistics are kept, 8 bytes a number.
    """

    def __init__(self, metrics: Mapping[str, Metric], keep: bool = False) -> None:
        self.rows = 0
        self._metrics, self._keep = metrics, keep
        self._sums: dict[str, np.ndarray] = {}
        self._statistics: dict[str, list[np.ndarray]] = {name: [] for name in metrics}
        self._pieces: list[tuple[Any, Any]] = []
        self._samples: dict[str, Sample] = {}
        self._doubts: dict[str, int] = {}
        self._shapes: dict[int, Any] = {}  # a row for every number of references

    def add(self, predictions: Any, truth: Any) -> None:
        """Takes rows as `Metric.compute` does.

        Raises:
            InputError: rows that a metric cannot score.
        """
        self.rows += len(truth)
        self._shapes |= {len(row): row for row in truth if isinstance(row, list | tuple)}
        for name, metric in self._metrics.items():
            if metric.doubts is not None:
                self._doubts[name] = self._doubts.get(name, 0) + metric.doubts(predictions, truth)
            if metric.streams and metric.statistics is not None:
                found = metric.statistics(predictions, truth)
                self._sums[name] = self._sums.get(name, 0) + found.sum(axis=0)
                if self._keep:
                    self._statistics[name].append(found)
        if not all(metric.streams for metric in self._metrics.values()):
            self._pieces.append((predictions, truth))

    def scores(self) -> Scores:
        """The scores of all rows."""
        found: Scores = {}
        for name, metric in self._metrics.items():
            if name in self._sums:
                assert metric.score is not None
                found |= metric.score(self._sums[name])
            else:
                found |= metric.compute(*self._whole())
        return found

    def signatures(self) -> dict[str, str]:
        """How the scores were computed, by the name of the metric, where a metric says so."""
        references = list(self._shapes.values())
        return {
            name: metric.signature(references)
            for name, metric in self._metrics.items()
            if metric.signature is not None and references
        }

    def doubts(self) -> list[str]:
        """What is to be said of scores that do not mean what they seem to."""
        return [
            f"{name}: in {count} of {self.rows} rows {self._metrics[name].doubt}"
            for name, count in self._doubts.items()
            if count
        ]

    def tell_doubts(self) -> None:
        """Says them on standard error."""
        for line in self.doubts():
            print(line, file=sys.stderr)

    def sample(self, name: str) -> Sample:
        """The rows under a metric, to be drawn again; needs `keep`."""
        if name not in self._samples:
            self._samples[name] = self._sample(name)
        return self._samples[name]

    def _sample(self, name: str) -> Sample:
        metric = self._metrics[name]
        if self._statistics[name]:
            return Sample(metric, np.concatenate(self._statistics[name]))
        predictions, truth = self._whole()
        statistics = None if metric.statistics is None else metric.statistics(predictions, truth)
        return Sample(metric, statistics, predictions, truth)

    def _whole(self) -> tuple[Any, Any]:
        if len(self._pieces) > 1:
            self._pieces = [tuple(map(_joined, zip(*self._pieces, strict=True)))]
        return self._pieces[0]


def _joined(pieces: Sequence[Any]) -> Any:
    return np.concatenate(pieces) if isinstance(pieces[0], np.ndarray) else list(chain.from_iterable(pieces))
