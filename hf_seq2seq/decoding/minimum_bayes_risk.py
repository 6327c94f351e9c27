"""Minimum Bayes risk decoding: the output that is most similar to all candidates.

Paper: Eikema and Aziz, 2020, section 5, https://arxiv.org/abs/2005.10283, which uses METEOR over samples.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from hf_seq2seq.metrics.metric import with_sources
from hf_seq2seq.metrics.single_rows import row_scorer

Utility = Callable[[str, str], float]


def most_central(candidates: Sequence[str], utility: Utility) -> int:
    """The candidate with the highest mean utility over all candidates as references; ties go to the first.

    Args:
        candidates: outputs of one source; duplicates count each time.
        utility: utility of a candidate given a reference; higher is better.
    """
    counts = Counter(candidates)
    gains = {text: sum(n * utility(text, reference) for reference, n in counts.items()) for text in counts}
    return list(candidates).index(max(gains, key=lambda text: gains[text]))


def choose_output(candidates: Sequence[str], source: str, name: str) -> int:
    """The candidate that is most similar to all by a metric, or the best by one that needs no references.

    An empty candidate is compared with the others, but none with it: an error rate is not defined there.

    Args:
        candidates: outputs of one source; duplicates count each time.
        source: the source, for metrics that read it.
        name: the metric's.

    Raises:
        InputError: there is no such metric, or it is not defined for one output.
    """
    score, metric = row_scorer(name)
    sign = 1 if metric.greater_is_better else -1
    texts = list(dict.fromkeys(candidates))
    if not metric.needs_references:
        scores = score(texts, with_sources([[]] * len(texts), [source] * len(texts)))
        gains = {text: sign * score for text, score in zip(texts, scores, strict=True)}
        return list(candidates).index(max(gains, key=lambda text: gains[text]))
    given = [text for text in texts if text.strip()]
    if not given:
        return 0
    pairs = [(text, reference) for text in texts for reference in given]
    references = with_sources([[reference] for _, reference in pairs], [source] * len(pairs))
    found = dict(zip(pairs, score([text for text, _ in pairs], references), strict=True))
    return most_central(candidates, lambda text, reference: sign * found.get((text, reference), 0.0))


def utility_of(name: str) -> Utility:
    """The first score of a metric for one candidate and one reference.

    Raises:
        InputError: there is no such metric, or it is not defined for one output.
    """
    score, metric = row_scorer(name)
    sign = 1 if metric.greater_is_better else -1
    return lambda candidate, reference: sign * score([candidate], [[reference]])[0]
