"""Every metric as a module of the `evaluate` library; needs no network.

from hf_seq2seq.metrics.modules import load
load("bleu").compute(predictions=["a dog"], references=[["the dog", "a dog"]])
"""

from typing import Any

import datasets
import evaluate

from hf_seq2seq.metrics import LABEL_METRICS, LIKELIHOOD_METRICS, TEXT_METRICS, check_metrics
from hf_seq2seq.metrics.metric import Metric, Scores

_TEXT = datasets.Value("string")
_LABEL, _NUMBER = datasets.Value("int64"), datasets.Value("float64")


class Module(evaluate.Metric):
    """One of this package's metrics.

    Each row has, for texts, a prediction and a text or a list of texts; for single labels, a class index; for multiple
    labels, 0 or 1 for every class; for regression, a number. Perplexity and bits per byte take the log-probabilities of
    a row's tokens, and its text.

    Args:
        name: its name in `--metrics`.

    Raises:
        InputError: there is no such metric.
    """

    def __init__(self, name: str, **options: Any) -> None:
        self._metric: Metric = check_metrics((name,), TEXT_METRICS | LABEL_METRICS | LIKELIHOOD_METRICS)[name]
        self._title = name
        super().__init__(**{"keep_in_memory": True} | options)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=f"{self._title} of hf-seq2seq", citation="", inputs_description="", features=self._layouts()
        )

    def _layouts(self) -> list[datasets.Features]:
        texts, labels, numbers = (datasets.List(kind) for kind in (_TEXT, _LABEL, _NUMBER))
        kinds = {
            "seq2seq": [(_TEXT, texts), (_TEXT, _TEXT)],
            "likelihood": [(numbers, texts), (numbers, _TEXT)],
            "regression": [(_NUMBER, _NUMBER)],
            "single_label": [(_LABEL, _LABEL)],
            "multi_label": [(labels, labels)],
        }
        return [
            datasets.Features({"predictions": said, "references": true})
            for problem in self._metric.problems
            for said, true in kinds[problem]
        ]

    def _compute(self, predictions: Any, references: Any) -> Scores:
        import numpy as np

        if "seq2seq" in self._metric.problems or "likelihood" in self._metric.problems:
            rows = [[row] if isinstance(row, str) else list(row) for row in references]
            texts = "seq2seq" in self._metric.problems
            said = list(predictions) if texts else np.array([(sum(row), len(row)) for row in predictions])
            return self._metric.compute(said, rows)
        said, true = np.asarray(predictions), np.asarray(references)
        if "regression" in self._metric.problems:
            return self._metric.compute(said, true)
        if true.ndim == 2:
            return self._metric.compute(said - 0.5, true)
        return self._metric.compute(np.eye(int(max(said.max(), true.max())) + 1)[said], true)


def load(name: str, **options: Any) -> Module:
    """A metric by its name in `--metrics`; `options` are those of `evaluate.load`.

    Raises:
        InputError: as for `Module`.
    """
    return Module(name, **options)
