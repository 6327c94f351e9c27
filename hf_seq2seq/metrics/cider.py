"""CIDEr and CIDEr-D: agreement with the consensus of several references, rare n-grams counting for more.

Paper: Vedantam et al. 2015, CIDEr: consensus-based image description evaluation, https://arxiv.org/abs/1411.5726

Deviation: words are not stemmed, as in the authors' published code.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

from hf_seq2seq.metrics.metric import Metric, Scores, TextRows, averaged, check_rows
from hf_seq2seq.metrics.words import BY_SCRIPT, TOKENIZERS, check_tokenizer, signature, words

ORDERS = 4
SIGMA = 6.0  # standard deviation of the length penalty
SCALE = 10.0

Vector = dict[tuple[str, ...], float]


def _counts(text: str, tokenizer: str) -> Counter[tuple[str, ...]]:
    found = words(text, punctuation=False, tokenizer=tokenizer)
    return Counter(tuple(found[start : start + n]) for n in range(1, ORDERS + 1) for start in range(len(found) - n + 1))


def _vectors(counts: Counter[tuple[str, ...]], rows_with: Counter[tuple[str, ...]], rows: int) -> list[Vector]:
    """TF-IDF for each order: a term's count times the log of all rows over the rows whose references contain it."""
    vectors: list[Vector] = [{} for _ in range(ORDERS)]
    for gram, count in counts.items():
        vectors[len(gram) - 1][gram] = count * math.log(rows / max(rows_with[gram], 1))
    return vectors


def _norm(vector: Vector) -> float:
    return math.sqrt(math.fsum(weight * weight for weight in vector.values()))


def _cosine(said: Vector, wanted: Vector, clip: bool) -> float:
    """Equation 2 of the paper; clipped, the product of equation 4."""
    norms = _norm(said) * _norm(wanted)
    if not norms:
        return 0.0
    shared = ((said[gram], wanted[gram]) for gram in said.keys() & wanted.keys())
    return math.fsum((min(a, b) if clip else a) * b for a, b in shared) / norms


def _rows(clip: bool, tokenizer: str) -> Callable[[Sequence[str], TextRows], list[float]]:
    def score(predictions: Sequence[str], references: TextRows) -> list[float]:
        check_rows(predictions, references)
        counted = [[_counts(reference, tokenizer) for reference in row] for row in references]
        rows_with = Counter(gram for row in counted for gram in set().union(*row))
        found = []
        for text, row in zip(predictions, counted, strict=True):
            said = _counts(text, tokenizer)
            vectors = _vectors(said, rows_with, len(counted))
            agreements = []
            for reference in row:
                wanted = _vectors(reference, rows_with, len(counted))
                mean = math.fsum(_cosine(a, b, clip) for a, b in zip(vectors, wanted, strict=True)) / ORDERS
                penalty = math.exp(-((_length(said) - _length(reference)) ** 2) / (2 * SIGMA**2)) if clip else 1.0
                agreements.append(mean * penalty)
            found.append(SCALE * math.fsum(agreements) / len(row))
        return found

    return score


def _length(counts: Counter[tuple[str, ...]]) -> int:
    """The number of bigrams, which the authors' code uses as the length."""
    return sum(count for gram, count in counts.items() if len(gram) == 2)


def _metric(name: str, clip: bool, argument: str) -> Metric:
    tokenizer = check_tokenizer(name, argument, TOKENIZERS) if argument else BY_SCRIPT
    penalty = f"sigma:{SIGMA:g}|clip:yes|" if clip else ""
    text = f"n:{ORDERS}|{penalty}{signature(tokenizer)}|punct:no|stem:no|idf:references|scale:10"
    key = f"{name}_{argument}".replace("-", "_") if argument else name
    # Document frequencies are those of all references, even when rows are resampled.
    return averaged(_rows(clip, tokenizer), True, (key,), streams=False, signature=lambda references: text)


@lru_cache
def make_cider(argument: str = "") -> Metric:
    """CIDEr with another tokenizer; its score is called `cider_zh` for `cider:zh`.

    Raises:
        InputError: there is no such tokenizer, or what it needs is not installed.
    """
    return _metric("cider", False, argument)


@lru_cache
def make_cider_d(argument: str = "") -> Metric:
    """CIDEr-D with another tokenizer; as for `make_cider`."""
    return _metric("cider_d", True, argument)


CIDER = make_cider()
CIDER_D = make_cider_d()


def cider(predictions: Sequence[str], references: TextRows) -> Scores:
    """Mean CIDEr over rows, 0-10: TF-IDF cosine of 1- to 4-grams, averaged over orders and references.

    Inverse document frequencies are those of the given references, so that a single row scores 0.
    """
    return CIDER.compute(predictions, references)


def cider_d(predictions: Sequence[str], references: TextRows) -> Scores:
    """Mean CIDEr-D over rows, 0-10: repeated words are clipped, and differences in length are penalized.

    This is what captioning papers call CIDEr, often multiplied by 100.
    """
    return CIDER_D.compute(predictions, references)
