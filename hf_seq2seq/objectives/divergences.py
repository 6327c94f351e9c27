"""Divergences between two distributions over the vocabulary, per position.

Each takes the log-probabilities of teacher and student, `(positions, vocabulary)`, and returns nats, `(positions,)`.
"""

import math
from collections.abc import Callable

from torch import Tensor


def kullback_leibler(first: Tensor, second: Tensor) -> Tensor:
    """KL(first || second) of log-probabilities, `(positions,)`; a token that the first rules out counts 0."""
    return (first.exp() * (first - second).masked_fill(first == -math.inf, 0)).sum(-1)


def symmetric_divergence(first: Tensor, second: Tensor) -> Tensor:
    """(KL(P1 || P2) + KL(P2 || P1)) / 2 of the distributions of two logits, `(positions,)`."""
    one, two = first.log_softmax(-1), second.log_softmax(-1)
    return (kullback_leibler(one, two) + kullback_leibler(two, one)) / 2


def forward(teacher: Tensor, student: Tensor, beta: float = 0.5) -> Tensor:
    """KL(teacher || student): the student covers all that the teacher may say."""
    return kullback_leibler(teacher, student)


def reverse(teacher: Tensor, student: Tensor, beta: float = 0.5) -> Tensor:
    """KL(student || teacher): the student keeps to what the teacher would say."""
    return kullback_leibler(student, teacher)


def jensen_shannon(teacher: Tensor, student: Tensor, beta: float = 0.5) -> Tensor:
    """The generalized divergence: beta KL(teacher || m) + (1 - beta) KL(student || m), m = beta t + (1 - beta) s.

    Paper: Agarwal et al., 2024, equation 1, https://arxiv.org/abs/2306.13649
    """
    mixed = (teacher + math.log(beta)).logaddexp(student + math.log1p(-beta))
    return beta * kullback_leibler(teacher, mixed) + (1 - beta) * kullback_leibler(student, mixed)


DIVERGENCES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "forward": forward,
    "reverse": reverse,
    "jensen_shannon": jensen_shannon,
}
