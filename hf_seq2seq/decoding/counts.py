"""Counts returned alongside results: truncated texts, unknown tokens, searches without an output."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hf_seq2seq.data.tokenizers.unknown import Unknown

T = TypeVar("T")


@dataclass(frozen=True)
class Counts:
    """Counts of one call, or the sums of several.

    Attributes:
        texts: input rows.
        truncated: sources that were truncated.
        unknown: source tokens that stand for something outside the vocabulary.
        unknown_targets: the same for scored targets.
        impossible: texts without an output, because the constraints of the search allow none.
        unended: texts whose output reached the maximum length without ending.
        split: texts that were read in several pieces.
        pieces: pieces that were read; 0 if no text was to be split.
        conflicting: texts whose maximum length by --max-length-ratio is below the minimum.
    """

    texts: int = 0
    truncated: int = 0
    unknown: Unknown = field(default_factory=Unknown)
    unknown_targets: Unknown = field(default_factory=Unknown)
    impossible: int = 0
    conflicting: int = 0
    unended: int = 0
    split: int = 0
    pieces: int = 0

    @property
    def read(self) -> int:
        """What the model read: pieces if texts were split, otherwise texts."""
        return self.pieces or self.texts

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Counts":
        """Counts as written by `dataclasses.asdict`."""
        unknown = {name: Unknown(**values[name]) for name in ("unknown", "unknown_targets")}
        return cls(**{**values, **unknown})

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.texts + other.texts,
            self.truncated + other.truncated,
            self.unknown + other.unknown,
            self.unknown_targets + other.unknown_targets,
            self.impossible + other.impossible,
            self.conflicting + other.conflicting,
            self.unended + other.unended,
            self.split + other.split,
            self.pieces + other.pieces,
        )


class Counted(list[T]):
    """The results of a call, a list, with its counts.

    Attributes:
        counts: counts of the texts of this call.
    """

    counts: Counts = Counts()

    @classmethod
    def of(cls, results: list[T], counts: Counts) -> "Counted[T]":
        """Results with their counts."""
        found = cls(results)
        found.counts = counts
        return found
