"""ROUGE: n-grams and longest common subsequences as in the rouge_score package, and weighted subsequences.

Paper: Lin 2004, ROUGE: a package for automatic evaluation of summaries, https://aclanthology.org/W04-1013
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.metric import Metric, Scores, TextRows, averaged, check_rows
from hf_seq2seq.metrics.words import BY_SCRIPT, TOKENIZERS, check_tokenizer, letters

KEYS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
PACKAGE = "ascii"  # rouge_score's own tokenizer, which keeps only a-z and 0-9
WEIGHT = 1.2  # from the evaluations in section 5 of the paper; its worked example uses 2


class Words:
    """Words like those of rouge_score's `Tokenizer`, with Porter stems for long ASCII words, but in any script.

    Args:
        stem: stemmer of a word.
        tokenizer: a key of `TOKENIZERS`.
    """

    def __init__(self, stem: Callable[[str], str], tokenizer: str) -> None:
        self.stem, self.tokenizer = stem, tokenizer

    def tokenize(self, text: str) -> list[str]:
        """The words of a text."""
        return [self.stem(word) if len(word) > 3 and word.isascii() else word for word in letters(text, self.tokenizer)]


def _scorer(tokenizer: str) -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise InputError("metric 'rouge' needs one more package: pip install 'hf-seq2seq[rouge]'") from error
    scorer = RougeScorer(KEYS, use_stemmer=True)
    if tokenizer != PACKAGE:
        scorer._tokenizer = Words(scorer._tokenizer._stemmer.stem, tokenizer)
    return scorer


def _rows(tokenizer: str, predictions: Sequence[str], references: TextRows) -> np.ndarray:
    check_rows(predictions, references)
    scorer = _scorer(tokenizer)
    scores = [scorer.score_multi(list(row), text) for text, row in zip(predictions, references, strict=True)]
    return 100 * np.array([_ordered([score[key] for key in KEYS]) for score in scores])


def _ordered(scores: Sequence[Any]) -> list[float]:
    """F1 of every score, then precision and recall of each; these are of the reference with the best F1."""
    sides = [value for score in scores for value in (score.precision, score.recall)]
    return [score.fmeasure for score in scores] + sides


def _weighted_rows(tokenizer: str, predictions: Sequence[str], references: TextRows) -> np.ndarray:
    check_rows(predictions, references)
    tokens = _scorer(tokenizer)._tokenizer.tokenize
    best = [
        max((weighted(tokens(text), tokens(reference)) for reference in row), key=lambda found: found.fmeasure)
        for text, row in zip(predictions, references, strict=True)
    ]
    return 100 * np.array([_ordered([found]) for found in best])


class Weighted(NamedTuple):
    """ROUGE-W of a text, 0-1."""

    precision: float
    recall: float
    fmeasure: float


def weighted_f1(said: Sequence[str], wanted: Sequence[str], weight: float = WEIGHT) -> float:
    """F1 of `weighted`."""
    return weighted(said, wanted, weight).fmeasure


def weighted(said: Sequence[str], wanted: Sequence[str], weight: float = WEIGHT) -> Weighted:
    """ROUGE-W, 0-1: consecutive matches count for more.

    With f(k) = k ** weight for a run of k words, precision and recall are the inverse of f of WLCS / f(length).

    Paper: Lin 2004, section 4, equations 11-15, with equal weights of precision and recall.
    """
    if not said or not wanted:
        return Weighted(0.0, 0.0, 0.0)
    common = weighted_common_subsequence(said, wanted, weight)
    precision, recall = (float((common / len(side) ** weight) ** (1 / weight)) for side in (said, wanted))
    return Weighted(precision, recall, 2 * precision * recall / (precision + recall) if common else 0.0)


def weighted_common_subsequence(left: Sequence[str], right: Sequence[str], weight: float) -> float:
    """WLCS, the table of the paper's section 4: each step of a run of k matches adds f(k + 1) - f(k).

    Where two tokens match, the match is taken, as in the paper, even though another path may score higher.
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


def _signature(tokenizer: str, references: TextRows) -> str:
    return f"F1|words:{tokenizer}|stemmer:porter|sentences:lines|rouge_score:{version('rouge_score')}"


def _weighted_signature(tokenizer: str, references: TextRows) -> str:
    return f"F1|weight:{WEIGHT}|words:{tokenizer}|stemmer:porter|sentences:none|rouge_score:{version('rouge_score')}"


def _make(name: str, argument: str) -> Metric:
    tokenizer = check_tokenizer(name, argument, (*TOKENIZERS, PACKAGE)) if argument else BY_SCRIPT
    names = KEYS if name == "rouge" else ("rougeW",)
    plain = names + tuple(f"{key}_{side}" for key in names for side in ("precision", "recall"))
    keys = tuple(f"{key}_{argument}".replace("-", "_") for key in plain) if argument else plain
    if name == "rouge":
        return averaged(partial(_rows, tokenizer), True, keys, signature=partial(_signature, tokenizer))
    text = partial(_weighted_signature, tokenizer)
    return averaged(partial(_weighted_rows, tokenizer), True, keys, signature=text)


@lru_cache
def make_rouge(argument: str = "") -> Metric:
    """ROUGE with another tokenizer; `rouge:ascii` is rouge_score's own, and its scores are called `rouge1_ascii` etc.

    Raises:
        InputError: there is no such tokenizer, or what it needs is not installed.
    """
    return _make("rouge", argument)


@lru_cache
def make_rouge_w(argument: str = "") -> Metric:
    """ROUGE-W with another tokenizer; as for `make_rouge`."""
    return _make("rouge_w", argument)


ROUGE = make_rouge()
ROUGE_W = make_rouge_w()


def rouge(predictions: Sequence[str], references: TextRows) -> Scores:
    """Mean F1, precision and recall of ROUGE-1, -2, -L and -Lsum over rows, 0-100, with Porter's stemmer.

    The reference with the best F1 counts, separately for each score. For ROUGE-Lsum, sentences are the lines of the
    text. Words may be in any script, whereas the package keeps only a-z and 0-9; on ASCII text they are the package's.

    Raises:
        InputError: rouge_score is not installed.
    """
    return ROUGE.compute(predictions, references)


def rouge_w(predictions: Sequence[str], references: TextRows) -> Scores:
    """Mean F1, precision and recall of ROUGE-W with weight 1.2 over rows, 0-100; words as for `rouge`.

    Each text is one sequence.

    Raises:
        InputError: rouge_score is not installed.
    """
    return ROUGE_W.compute(predictions, references)
