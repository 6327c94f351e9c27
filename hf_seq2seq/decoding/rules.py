"""What a rule of decoding is: it changes the scores of the next token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

FORBIDDEN = float("-inf")


@dataclass(frozen=True)
class Prefixes:
    """Hypotheses so far.

    Attributes:
        tokens: prompt and output, `(rows, length)`, -1 at padding.
        length: tokens of the output.
        sources: the number of each row's source, `(rows,)`.
    """

    tokens: Tensor
    length: int
    sources: Tensor


class Rule(Protocol):
    """A rule; the rows know nothing of one another."""

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """New scores `(rows, vocabulary)`, minus infinity for what is forbidden; `scores` may be overwritten.

        Args:
            prefixes: the hypotheses.
            scores: of the next token: log-probabilities in beam search, else logits.
        """
        ...


def apply_rules(rules: Sequence[Rule], prefixes: Prefixes, scores: Tensor) -> Tensor:
    """One rule after the other."""
    for rule in rules:
        scores = rule(prefixes, scores)
    return scores
