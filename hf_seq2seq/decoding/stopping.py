"""Outputs that end with certain texts, and outputs that begin with given ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from hf_seq2seq.data.copying import decode_known
from hf_seq2seq.decoding.rules import FORBIDDEN, Prefixes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class StopStrings:
    """Whether an output ends because its text contains a string, which stays in it.

    Args:
        strings: at least one.
        tokenizer: decodes outputs.
    """

    def __init__(self, strings: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> None:
        self.strings, self.tokenizer = tuple(strings), tokenizer

    def __call__(self, ids: Sequence[int]) -> bool:
        """Whether an output of these tokens ends."""
        text = decode_known(ids, self.tokenizer)
        return any(string in text for string in self.strings)


@dataclass(frozen=True)
class ForcedPrefix:
    """Forces the first tokens of outputs, which cost nothing.

    Attributes:
        ids: the tokens of each source; none where nothing is forced.
    """

    ids: Sequence[Sequence[int]]

    @property
    def matters(self) -> bool:
        """Whether it has any effect."""
        return any(self.ids)

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """See `Rule`."""
        for row, (source, length) in enumerate(zip(prefixes.sources.tolist(), prefixes.lengths.tolist(), strict=True)):
            if length < len(self.ids[source]):
                scores[row] = FORBIDDEN
                scores[row, self.ids[source][length]] = 0
        return scores
