"""Scores of single outputs, as for their risk or their likeness to one another."""

from collections.abc import Callable, Sequence

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import check_metrics, metrics_for
from hf_seq2seq.metrics.bleu import make_sentence_bleu
from hf_seq2seq.metrics.metric import Metric

ScoreRows = Callable[[Sequence[str], Sequence[Sequence[str]]], list[float]]
"""The score of each of some texts against its references."""
OF_A_CORPUS = ("cider", "cider_d")
"""Metrics that weight n-grams by their frequency over all rows."""


def row_scorer(name: str) -> tuple[ScoreRows, Metric]:
    """Scores rows one by one, by the first score of a metric, which is returned, too; BLEU is that of sentences.

    Raises:
        InputError: there is no such metric, or it is not defined for one row.
    """
    (metric,) = check_metrics((name,), metrics_for("seq2seq")).values()
    family, _, tokenizer = name.partition(":")
    if family in OF_A_CORPUS:
        raise InputError(f"metric {name}: weights n-grams by all rows, so that it is not defined for one output")
    if family == "bleu":
        bleu = make_sentence_bleu(tokenizer or "13a")
        return lambda texts, references: [*map(bleu, texts, references)], metric
    return lambda texts, references: _scores(metric, texts, references), metric


def _scores(metric: Metric, texts: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """The first score of every row alone; rows are scored together where the metric allows it."""
    if metric.streams and metric.statistics is not None and metric.score is not None:
        return [metric.score(row)[metric.keys[0]] for row in metric.statistics(texts, references)]
    return [metric.compute([text], [row])[metric.keys[0]] for text, row in zip(texts, references, strict=True)]
