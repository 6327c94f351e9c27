"""The interface of decoding rules, which change the scores of the next token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

FORBIDDEN = float("-inf")


@dataclass(frozen=True)
class Prefixes:
    """Partial hypotheses.

    Attributes:
        tokens: prompt and output, `(rows, length)`, -1 at padding.
        length: tokens of the output.
        sources: the index of each row's source, `(rows,)`.
    """

    tokens: Tensor
    length: int
    sources: Tensor


class Rule(Protocol):
    """A rule; rows are independent of each other."""

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """New scores `(rows, vocabulary)`, minus infinity for forbidden tokens; `scores` may be overwritten.

        Args:
            prefixes: the hypotheses.
            scores: scores of the next token: log-probabilities in beam search, else logits.
        """
        ...


def apply_rules(rules: Sequence[Rule], prefixes: Prefixes, scores: Tensor) -> Tensor:
    """Applies rules in sequence."""
    for rule in rules:
        scores = rule(prefixes, scores)
    return scores
