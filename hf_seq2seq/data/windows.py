"""Texts that are longer than an encoder's limit, in windows that overlap; the logits of a text's windows are pooled.

Of a pair, every window has the whole shorter text, up to half of the window, and a part of the longer one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MEAN, MAX, FIRST = "mean", "max", "first"
ROWS = {kind: f"{kind}_rows" for kind in (MEAN, MAX)}
"""The name in a batch under which each window has the index of its text, by how logits are pooled."""


@dataclass(frozen=True)
class Windows:
    """How long texts are read.

    Attributes:
        size: tokens of a window, special tokens included.
        stride: tokens that a window shares with the one before it.
        pooling: "mean" or "max" of the windows' logits, or "first": the first window alone.
        head: special tokens at the beginning of a text.
        tail: special tokens at its end.
        middle: special tokens between the two texts of a pair; 0 for single texts.
        special: ids of special tokens, to find those of a pair.
    """

    size: int
    stride: int
    pooling: str = MEAN
    head: int = 1
    tail: int = 1
    middle: int = 0
    special: frozenset[int] = frozenset()

    def cut(self, ids: np.ndarray) -> list[np.ndarray]:
        """The windows of a text, each with its special tokens; together they have all its tokens."""
        return [ids[places] for places in self.places(ids)]

    def places(self, ids: np.ndarray) -> list[np.ndarray]:
        """The places of each window's tokens in a text, or in a pair, of which the longer text is cut into windows."""
        everything, end = np.arange(len(ids)), len(ids) - self.tail
        if len(ids) <= self.size:
            return [everything]
        if not self.middle:
            return self._along(everything[: self.head], everything[self.head : end], everything[end:])
        first = self._length_of_first(ids)
        second = self.head + first + self.middle
        one, other = everything[self.head : self.head + first], everything[second:end]
        between = everything[self.head + first : second]
        if len(one) > len(other):
            other = other[: self._most_of_shorter]
            return self._along(everything[: self.head], one, np.concatenate([between, other, everything[end:]]))
        before = np.concatenate([everything[: self.head], one[: self._most_of_shorter], between])
        return self._along(before, other, everything[end:])

    def _along(self, before: np.ndarray, long: np.ndarray, after: np.ndarray) -> list[np.ndarray]:
        room = self.size - len(before) - len(after)
        count = 1 if self.pooling == FIRST else 1 + -(-max(0, len(long) - room) // (room - self.stride))
        starts = [number * (room - self.stride) for number in range(count)]
        return [np.concatenate([before, long[start : start + room], after]) for start in starts]

    @property
    def _most_of_shorter(self) -> int:
        """Tokens of a pair's shorter text in a window, so that half of it is left to the longer one."""
        return (self.size - self.head - self.middle - self.tail) // 2

    def _length_of_first(self, ids: np.ndarray) -> int:
        special = np.isin(ids[self.head :], list(self.special))
        return int(special.argmax())

    def shortened(self, source: Ragged) -> int:
        """How many pairs lose tokens of their shorter text, as it is longer than half a window."""
        if not self.middle or self.leaves_out:
            return 0
        long = [source[int(row)] for row in np.flatnonzero(source.lengths > self.size)]
        firsts = [self._length_of_first(ids) for ids in long]
        around = self.head + self.middle + self.tail
        shorter = [min(first, len(ids) - first - around) for ids, first in zip(long, firsts, strict=True)]
        return sum(length > self._most_of_shorter for length in shorter)

    def of(
        self, source: Ragged, rows: Sequence[int] | np.ndarray, types: Ragged | None = None
    ) -> tuple[list[np.ndarray], list[np.ndarray] | None, np.ndarray]:
        """The windows of some texts or pairs.

        Args:
            source: ids of all rows.
            rows: numbers of those to cut.
            types: segment ids aligned with `source`.

        Returns:
            The ids of each window; its segment ids if there are any; and the place among the rows of the text of each
            window, `(windows,)` int64.
        """
        found = [self.places(source[int(row)]) for row in rows]
        owners = np.repeat(np.arange(len(found)), [len(windows) for windows in found])
        pieces = [(int(row), places) for row, windows in zip(rows, found, strict=True) for places in windows]
        segments = None if types is None else [types[row][places] for row, places in pieces]
        return [source[row][places] for row, places in pieces], segments, owners

    @property
    def leaves_out(self) -> bool:
        """Whether it reads only the beginning of long texts."""
        return self.pooling == FIRST


def make_windows(
    tokenizer: "PreTrainedTokenizerBase", size: int, stride: int, pooling: str, pairs: bool = False
) -> Windows:
    """Windows for a tokenizer's texts, or pairs of texts.

    Raises:
        InputError: a window has no token that the one before it lacks.
    """
    special = frozenset(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    ids = tokenizer("a", *["a"] * pairs)["input_ids"]
    inside = [place for place, token in enumerate(ids) if token not in special]
    head, tail = (inside[0], len(ids) - 1 - inside[-1]) if inside else (len(ids), 0)
    middle = sum(token in special for token in ids) - head - tail if pairs and inside else 0
    room = size - head - middle - tail
    room -= room // 2 if pairs else 0
    if room < 1:
        raise InputError(
            f"--max-source-length {size}: the {size - room} special tokens leave no room for text; give more"
        )
    if stride >= room:
        shared = " and half of the rest may be the shorter text" if pairs else ""
        raise InputError(
            f"--stride: {stride} tokens are shared by windows of {size} (--max-source-length), of which "
            f"{head + middle + tail} are special tokens{shared}; choose at most {room - 1}"
        )
    return Windows(size, stride, pooling, head, tail, middle, special)


def pool_windows(logits: Tensor, owners: Tensor, rows: int, pooling: str) -> Tensor:
    """The mean or the maximum of the logits of each text's windows.

    Args:
        logits: `(windows, classes)`.
        owners: the index of each window's text, `(windows,)`.
        rows: texts.
        pooling: "mean" or "max"; "first" has one window each.
    """
    index = owners[:, None].expand_as(logits)
    if pooling == MAX:
        lowest = logits.new_full((rows, logits.shape[1]), -torch.inf)
        return lowest.scatter_reduce(0, index, logits, "amax")
    sums = logits.new_zeros(rows, logits.shape[1]).scatter_add(0, index, logits)
    return sums / torch.bincount(owners, minlength=rows)[:, None]


def logits_of(model: torch.nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """A classifier's logits for a batch, `(texts, classes)` float32; those of windows are pooled."""
    pooling = next((kind for kind, name in ROWS.items() if name in batch), None)
    inputs = {name: value for name, value in batch.items() if name not in ("labels", *ROWS.values())}
    logits: Tensor = model(**inputs).logits.float()
    if pooling is None:
        return logits
    owners = batch[ROWS[pooling]]
    return pool_windows(logits, owners, int(owners[-1]) + 1, pooling)
