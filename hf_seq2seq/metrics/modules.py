"""Every metric as a module of the `evaluate` library, which needs no network.

from hf_seq2seq.metrics.modules import load
load("bleu").compute(predictions=["a dog"], references=[["the dog", "a dog"]])
"""

from typing import Any

import datasets
import evaluate

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import LABEL_METRICS, TEXT_METRICS, check_metrics
from hf_seq2seq.metrics.metric import Metric, Scores

_TEXT = datasets.Value("string")
_LABEL, _NUMBER = datasets.Value("int64"), datasets.Value("float64")


class Module(evaluate.Metric):
    """One of this package's metrics.

    For texts it takes a prediction and a text or a list of texts a row; for labels the number of a class a row, and
    for numbers a number.

    Args:
        name: what `--metrics` calls it.

    Raises:
        InputError: no such metric, or one of several labels a row, which takes logits and has no form here.
    """

    def __init__(self, name: str, **options: Any) -> None:
        self._metric: Metric = check_metrics((name,), TEXT_METRICS | LABEL_METRICS)[name]
        if self._metric.problems == ("multi_label",):
            raise InputError(f"metric {name!r} is for several labels a row; call its `compute` with logits")
        self._title = name
        super().__init__(**{"keep_in_memory": True} | options)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=f"{self._title} of hf-seq2seq", citation="", inputs_description="", features=self._layouts()
        )

    def _layouts(self) -> list[datasets.Features]:
        problems = self._metric.problems
        if "seq2seq" in problems:
            kinds = [(_TEXT, datasets.List(_TEXT)), (_TEXT, _TEXT)]
        else:
            kinds = [(_NUMBER, _NUMBER)] if "regression" in problems else [(_LABEL, _LABEL)]
        return [datasets.Features({"predictions": said, "references": true}) for said, true in kinds]

    def _compute(self, predictions: Any, references: Any) -> Scores:
        import numpy as np

        if "seq2seq" in self._metric.problems:
            rows = [[row] if isinstance(row, str) else list(row) for row in references]
            return self._metric.compute(list(predictions), rows)
        said, true = np.asarray(predictions), np.asarray(references)
        if "regression" in self._metric.problems:
            return self._metric.compute(said, true)
        return self._metric.compute(np.eye(int(max(said.max(), true.max())) + 1)[said], true)


def load(name: str, **options: Any) -> Module:
    """A metric by the name that `--metrics` has for it; `options` are those of `evaluate.load`.

    Raises:
        InputError: as for `Module`.
    """
    return Module(name, **options)
