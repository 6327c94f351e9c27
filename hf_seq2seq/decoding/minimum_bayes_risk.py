"""Minimum Bayes risk decoding: the output that is most similar to all candidates.

Paper: Eikema and Aziz, 2020, section 5, https://arxiv.org/abs/2005.10283, which uses METEOR over samples.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from hf_seq2seq.metrics import check_metrics, metrics_for

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


def utility_of(name: str) -> Utility:
    """The first score of a metric for one candidate and one reference.

    Raises:
        InputError: there is no such metric.
    """
    (metric,) = check_metrics((name,), metrics_for("seq2seq")).values()
    sign = 1 if metric.greater_is_better else -1

    def utility(candidate: str, reference: str) -> float:
        return sign * metric.compute([candidate], [[reference]])[metric.keys[0]]

    return utility
