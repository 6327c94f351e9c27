"""Rows of a split, padded into one batch of tensors."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.ragged import Ragged

IGNORE = -100


def pad(rows: list[np.ndarray], filler: int) -> Tensor:
    """`(rows, longest)` int64, filled on the right."""
    padded = np.full((len(rows), max(map(len, rows), default=0)), filler, dtype=np.int64)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return torch.from_numpy(padded)


def source_batch(source: Ragged, rows: np.ndarray, pad_token_id: int) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask` (1 is real), both `(batch, source)`."""
    ids = [source[row] for row in rows]
    mask = pad([np.ones(len(row), dtype=np.int64) for row in ids], 0)
    return {"input_ids": pad(ids, pad_token_id), "attention_mask": mask}


@dataclass(frozen=True)
class Seq2SeqCollator:
    """Pads pairs: `input_ids`, `attention_mask`, and `labels` padded with -100, each `(batch, length)`."""

    pad_token_id: int

    def __call__(self, examples: Examples, rows: np.ndarray) -> dict[str, Tensor]:
        """Pads the named rows."""
        batch = source_batch(examples.source, rows, self.pad_token_id)
        if examples.target is not None:
            batch["labels"] = pad([examples.target[row] for row in rows], IGNORE)
        return batch


@dataclass(frozen=True)
class LabelCollator:
    """Pads texts, and stacks their labels: `(batch,)` class ids or numbers, or `(batch, classes)`."""

    pad_token_id: int

    def __call__(self, examples: Examples, rows: np.ndarray) -> dict[str, Tensor]:
        """Pads the named rows."""
        batch = source_batch(examples.source, rows, self.pad_token_id)
        if examples.token_types is not None:
            batch["token_type_ids"] = pad([examples.token_types[row] for row in rows], 0)
        if examples.labels is not None:
            batch["labels"] = torch.from_numpy(examples.labels[rows])
        return batch
