"""ROUGE: n-grams and longest common subsequences as the rouge_score package has them, and the weighted kind.

Paper: Lin 2004, ROUGE: a package for automatic evaluation of summaries, https://aclanthology.org/W04-1013
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.metric import Scores, TextRows, averaged, check_rows

KEYS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
WEIGHT = 1.2  # of the evaluations in the paper's section 5; its worked example has 2


def _scorer() -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise InputError("metric 'rouge' needs one more package: pip install 'hf-seq2seq[rouge]'") from error
    return RougeScorer(KEYS, use_stemmer=True)


def _rows(predictions: Sequence[str], references: TextRows) -> np.ndarray:
    check_rows(predictions, references)
    scorer = _scorer()
    scores = [scorer.score_multi(list(row), text) for text, row in zip(predictions, references, strict=True)]
    return 100 * np.array([[score[key].fmeasure for key in KEYS] for score in scores])


def _weighted_rows(predictions: Sequence[str], references: TextRows) -> list[float]:
    check_rows(predictions, references)
    tokens = _scorer()._tokenizer.tokenize
    return [
        100 * max(weighted_f1(tokens(text), tokens(reference)) for reference in row)
        for text, row in zip(predictions, references, strict=True)
    ]


def weighted_f1(said: Sequence[str], wanted: Sequence[str], weight: float = WEIGHT) -> float:
    """F1 of ROUGE-W, 0-1: a common subsequence counts for more where its words are consecutive.

    With f(k) = k ** weight for a run of k words, precision and recall are the inverse of f of WLCS / f(length).

    Paper: Lin 2004, section 4, equations 11-15, with equal weights of precision and recall.
    """
    if not said or not wanted:
        return 0.0
    common = weighted_common_subsequence(said, wanted, weight)
    precision, recall = (float((common / len(side) ** weight) ** (1 / weight)) for side in (said, wanted))
    return 2 * precision * recall / (precision + recall) if common else 0.0


def weighted_common_subsequence(left: Sequence[str], right: Sequence[str], weight: float) -> float:
    """WLCS, the table of the paper's section 4: each step of a run of k matches adds f(k + 1) - f(k).

    Where two tokens match, the match is taken, as in the paper, although another path may weigh more.
    """
    gains = np.diff(np.arange(min(len(left), len(right)) + 1, dtype=np.float64) ** weight).tolist()
    totals, runs = [0.0] * (len(right) + 1), [0] * (len(right) + 1)
    for token in left:
        corner, corner_run = 0.0, 0
        for place, other in enumerate(right, start=1):
            above, above_run = totals[place], runs[place]
            if token == other:
                totals[place], runs[place] = corner + gains[corner_run], corner_run + 1
            else:
                totals[place], runs[place] = max(above, totals[place - 1]), 0
            corner, corner_run = above, above_run
    return totals[-1]


def _signature(references: TextRows) -> str:
    return f"F1|stemmer:porter|sentences:lines|rouge_score:{version('rouge_score')}"


def _weighted_signature(references: TextRows) -> str:
    return f"F1|weight:{WEIGHT}|stemmer:porter|sentences:none|rouge_score:{version('rouge_score')}"


ROUGE = averaged(_rows, True, KEYS, signature=_signature)
ROUGE_W = averaged(_weighted_rows, True, ("rougeW",), signature=_weighted_signature)


def rouge(predictions: Sequence[str], references: TextRows) -> Scores:
    """Mean F1 of ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum over rows, 0-100, with Porter's stemmer.

    Of several references the best counts, for each score by itself. For ROUGE-Lsum a sentence is a line of the text.
    The package keeps only a-z and 0-9, so text in other scripts scores 0.

    Raises:
        InputError: rouge_score is not installed.
    """
    return ROUGE.compute(predictions, references)


def rouge_w(predictions: Sequence[str], references: TextRows) -> Scores:
    """Mean F1 of ROUGE-W with weight 1.2 over rows, 0-100, a text as one sequence; words as for `rouge`.

    Raises:
        InputError: rouge_score is not installed.
    """
    return ROUGE_W.compute(predictions, references)
