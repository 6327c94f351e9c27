"""ROUGE, as the rouge_score package computes it.

Paper: Lin 2004, ROUGE: a package for automatic evaluation of summaries, https://aclanthology.org/W04-1013
"""

from collections.abc import Sequence
from importlib.metadata import version

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.metric import Metric, TextRows, check_rows

KEYS = ("rouge1", "rouge2", "rougeL", "rougeLsum")


def rouge(predictions: Sequence[str], references: TextRows) -> dict[str, float]:
    """Mean F1 of ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum over rows, 0-100, with Porter's stemmer.

    Of several references the best counts, for each score by itself. For ROUGE-Lsum a sentence is a line of the text.
    The package keeps only a-z and 0-9, so text in other scripts scores 0.

    Raises:
        InputError: rouge_score is not installed.
    """
    check_rows(predictions, references)
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise InputError("metric 'rouge' needs one more package: pip install 'hf-seq2seq[rouge]'") from error
    scorer = RougeScorer(KEYS, use_stemmer=True)
    scores = [scorer.score_multi(list(row), text) for text, row in zip(predictions, references, strict=True)]
    return {key: 100 * sum(score[key].fmeasure for score in scores) / len(scores) for key in KEYS}


def _signature(references: TextRows) -> str:
    return f"F1|stemmer:porter|sentences:lines|rouge_score:{version('rouge_score')}"


ROUGE = Metric(rouge, True, KEYS, signature=_signature)
