"""Texts that are longer than an encoder's limit, in windows that overlap; the logits of a text's windows are pooled."""

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
    """

    size: int
    stride: int
    pooling: str = MEAN
    head: int = 1
    tail: int = 1

    def cut(self, ids: np.ndarray) -> list[np.ndarray]:
        """The windows of a text, each with its special tokens; together they have all its tokens."""
        if len(ids) <= self.size:
            return [ids]
        head, tail = ids[: self.head], ids[len(ids) - self.tail :]
        content = ids[self.head : len(ids) - self.tail]
        room = self.size - self.head - self.tail
        count = 1 if self.pooling == FIRST else 1 + -(-(len(content) - room) // (room - self.stride))
        starts = [number * (room - self.stride) for number in range(count)]
        return [np.concatenate([head, content[start : start + room], tail]) for start in starts]

    def of(self, source: Ragged, rows: Sequence[int] | np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """The windows of some texts, and the place among these of the text of each window, `(windows,)` int64."""
        found = [self.cut(source[int(row)]) for row in rows]
        owners = np.repeat(np.arange(len(found)), [len(windows) for windows in found])
        return [window for windows in found for window in windows], owners

    @property
    def leaves_out(self) -> bool:
        """Whether it reads only the beginning of long texts."""
        return self.pooling == FIRST


def make_windows(tokenizer: "PreTrainedTokenizerBase", size: int, stride: int, pooling: str) -> Windows:
    """Windows for a tokenizer's texts.

    Raises:
        InputError: a window has no token that the one before it lacks.
    """
    special, ids = set(tokenizer.all_special_ids), tokenizer("a")["input_ids"]
    inside = [place for place, token in enumerate(ids) if token not in special or token == tokenizer.unk_token_id]
    head, tail = (inside[0], len(ids) - 1 - inside[-1]) if inside else (len(ids), 0)
    if stride >= size - head - tail:
        raise InputError(
            f"--stride: {stride} tokens are shared by windows of {size} (--max-source-length), of which {head + tail} "
            f"are special tokens; choose at most {size - head - tail - 1}"
        )
    return Windows(size, stride, pooling, head, tail)


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
