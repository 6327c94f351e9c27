"""A test set scored in chunks, in constant memory where the metrics allow it."""

import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from hf_seq2seq.metrics.metric import Metric, Scores, Table, total

if TYPE_CHECKING:
    from hf_seq2seq.metrics.resampling import Sample


class Corpus:
    """The rows of one system, scored by several metrics.

    Args:
        metrics: by name.
        keep: whether `sample` will be called: if so, each row's statistics are kept, 8 bytes per number.
    """

    def __init__(self, metrics: Mapping[str, Metric], keep: bool = False) -> None:
        self.rows = 0
        self._metrics, self._keep = metrics, keep
        self._sums: dict[str, Any] = {}
        self._statistics: dict[str, list[Table]] = {name: [] for name in metrics}
        self._pieces: list[tuple[Any, Any]] = []
        self._samples: dict[str, Sample] = {}
        self._doubts: dict[str, int] = {}
        self._shapes: dict[int, Any] = {}  # one row per number of references

    def add(self, predictions: Any, truth: Any) -> None:
        """Adds rows, given as for `Metric.compute`.

        Raises:
            InputError: a metric cannot score the rows.
        """
        self.rows += len(truth)
        self._shapes |= {len(row): row for row in truth if isinstance(row, list | tuple)}
        for name, metric in self._metrics.items():
            if metric.doubts is not None:
                self._doubts[name] = self._doubts.get(name, 0) + metric.doubts(predictions, truth)
            if metric.streams and metric.statistics is not None:
                found = metric.statistics(predictions, truth)
                sums = total(found)
                self._sums[name] = _sum(self._sums[name], sums) if name in self._sums else sums
                if self._keep:
                    self._statistics[name].append(_array(found))
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
        """How the scores were computed, keyed by metric, for metrics that have a signature."""
        references = list(self._shapes.values())
        return {
            name: metric.signature(references)
            for name, metric in self._metrics.items()
            if metric.signature is not None and references
        }

    def doubts(self) -> list[str]:
        """Warnings about misleading scores."""
        said = [
            f"{name}: in {count} of {self.rows} rows {self._metrics[name].doubt}"
            for name, count in self._doubts.items()
            if count
        ]
        for name, sums in self._sums.items():
            if (empty := self._metrics[name].emptiness) is not None and (why := empty(sums)):
                said.append(f"{name}: {why}")
        return said

    def tell_doubts(self) -> None:
        """Prints the warnings to standard error."""
        for line in self.doubts():
            print(line, file=sys.stderr)

    def sample(self, name: str) -> "Sample":
        """The rows scored by a metric, for resampling; requires `keep`."""
        if name not in self._samples:
            self._samples[name] = self._sample(name)
        return self._samples[name]

    def _sample(self, name: str) -> "Sample":
        import numpy as np

        from hf_seq2seq.metrics.resampling import Sample

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


def _sum(left: Any, right: Any) -> Any:
    return total([left, right]) if isinstance(left, list) else left + right


def _joined(pieces: Sequence[Any]) -> Any:
    if isinstance(pieces[0], list | tuple):
        return list(chain.from_iterable(pieces))
    import numpy as np

    return np.concatenate(pieces)


def _array(table: Table) -> Any:
    import numpy as np

    return np.asarray(table, dtype=np.float64)
