"""The interface of decoding rules, which change the scores of the next token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

FORBIDDEN = float("-inf")
PADDING = -1
"""Stands before shorter prompts and outputs."""


@dataclass(frozen=True)
class Prefixes:
    """Partial hypotheses, whose outputs may differ in length.

    Attributes:
        tokens: prompt and output, `(rows, length)`, -1 at padding on the left.
        lengths: tokens of the output of each row, `(rows,)`.
        sources: the index of each row's source, `(rows,)`.
    """

    tokens: Tensor
    lengths: Tensor
    sources: Tensor

    def outputs(self) -> list[list[int]]:
        """The tokens of the output of each row."""
        return last(self.tokens, self.lengths)


def last(tokens: Tensor, lengths: Tensor) -> list[list[int]]:
    """So many of the last tokens of each row.

    Args:
        tokens: `(rows, length)`.
        lengths: `(rows,)`.
    """
    return [ids[len(ids) - length :] for ids, length in zip(tokens.tolist(), lengths.tolist(), strict=True)]


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
