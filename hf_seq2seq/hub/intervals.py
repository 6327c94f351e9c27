"""Confidence intervals of the scores of a model card."""

from typing import Any

from hf_seq2seq.data.evaluation_sets import RESULTS, kind_of, name_of, split_of
from hf_seq2seq.metrics import LABEL_METRICS, TEXT_METRICS, check_metrics
from hf_seq2seq.metrics.resampling import Sample, bootstrap, interval
from hf_seq2seq.task import Task

Intervals = dict[str, tuple[float, float]]


def score_intervals(task: Task, predictions: dict[str, Any]) -> Intervals:
    """Bootstrap 95 % confidence intervals, keyed by the score's name in the results.

    A metric that would have to be recomputed for every resample, at a thousand times the cost of the score, has none.

    Args:
        task: the trained task.
        predictions: texts or `(rows, classes)` logits, for every split that has any.
    """
    found: Intervals = {}
    for split, predicted in predictions.items():
        examples = task.splits[split]
        truth: Any = examples.labels if examples.references is None else examples.references
        for metric in check_metrics(task.metrics_of(split), TEXT_METRICS | LABEL_METRICS).values():
            if metric.statistics is not None:
                drawn = bootstrap(Sample(metric, metric.statistics(predicted, truth)))
                start = split_of(RESULTS[kind_of(split)], name_of(split))
                for key, least, most in zip(metric.keys, *interval(drawn), strict=True):
                    found[f"{start}_{key}"] = float(least), float(most)
    return found
