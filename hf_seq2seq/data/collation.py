"""Rows of a split, padded into one batch of tensors."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.frames import Frames
from hf_seq2seq.data.inputs import Inputs
from hf_seq2seq.data.windows import ROWS, Windows
from hf_seq2seq.ragged import IGNORE, Ragged


def pad(rows: list[np.ndarray], filler: int, left: bool = False) -> Tensor:
    """`(rows, longest)` int64, padded on the right or on the left."""
    padded = np.full((len(rows), max(map(len, rows), default=0)), filler, dtype=np.int64)
    for index, row in enumerate(rows):
        start = padded.shape[1] - len(row) if left else 0
        padded[index, start : start + len(row)] = row
    return torch.from_numpy(padded)


def source_batch(source: Ragged, rows: np.ndarray, pad_token_id: int, left: bool = False) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask` (1 is real), both `(batch, source)`; prompts are padded on the `left`.

    Features of tokens are `feature_ids`, `(batch, source, slots)`; in place of ids, matrices have `input_features`,
    `(batch, source, width)` float32.
    """
    if isinstance(source, Frames):
        mask = pad([np.ones(int(source.lengths[row]), dtype=np.int64) for row in rows], 0)
        return {"input_features": torch.from_numpy(source.padded(np.asarray(rows))), "attention_mask": mask}
    batch = _input_batch([source[row] for row in rows], pad_token_id, left)
    if isinstance(source, Inputs) and source.features is not None:
        slots = [source.features[source.offsets[row] : source.offsets[row + 1]].T for row in rows]
        columns = [pad([part[slot] for part in slots], 0, left) for slot in range(source.features.shape[1])]
        batch["feature_ids"] = torch.stack(columns, 2)
    return batch


def _input_batch(ids: list[np.ndarray], pad_token_id: int, left: bool = False) -> dict[str, Tensor]:
    mask = pad([np.ones(len(row), dtype=np.int64) for row in ids], 0, left)
    return {"input_ids": pad(ids, pad_token_id, left), "attention_mask": mask}


@dataclass(frozen=True)
class Seq2SeqCollator:
    """Pads pairs: `input_ids`, `attention_mask`, and `labels` padded with -100, each `(batch, length)`.

    If the encoder predicts masked source tokens, `source_labels` has their labels.

    Attributes:
        pad_token_id: padding id of the source.
        rows: whether the batch includes the rows' indices as `rows`, `(batch,)`.
        preferences: whether it includes, where rows have them, `chosen` and `rejected`, padded as `labels` are.
    """

    pad_token_id: int
    rows: bool = False
    preferences: bool = False

    def __call__(self, examples: Examples, rows: np.ndarray) -> dict[str, Tensor]:
        """Pads the rows at these indices."""
        batch = source_batch(examples.source, rows, self.pad_token_id)
        if examples.target is not None:
            batch["labels"] = pad([examples.target[row] for row in rows], IGNORE)
        if examples.source_labels is not None:
            batch["source_labels"] = pad([examples.source_labels[row] for row in rows], IGNORE)
        if self.preferences and examples.chosen is not None and examples.rejected is not None:
            batch["chosen"] = pad([examples.chosen[row] for row in rows], IGNORE)
            batch["rejected"] = pad([examples.rejected[row] for row in rows], IGNORE)
        return _with_rows(batch, rows) if self.rows else batch


def _with_rows(batch: dict[str, Tensor], rows: np.ndarray) -> dict[str, Tensor]:
    return batch | {"rows": torch.from_numpy(np.asarray(rows, dtype=np.int64))}


@dataclass(frozen=True)
class MaskedCollator:
    """Pads masked text: `input_ids`, `attention_mask`, and `labels`, -100 where there is none, each `(batch, length)`.

    Pairs of sentences also have `token_type_ids`, and `next_sentence_label`, `(batch,)`, 0 if the second follows.
    """

    pad_token_id: int

    def __call__(self, examples: Examples, rows: np.ndarray) -> dict[str, Tensor]:
        """Pads the rows at these indices."""
        assert examples.source_labels is not None
        batch = source_batch(examples.source, rows, self.pad_token_id)
        batch["labels"] = pad([examples.source_labels[row] for row in rows], IGNORE)
        if examples.token_types is not None and examples.labels is not None:
            batch["token_type_ids"] = pad([examples.token_types[row] for row in rows], 0)
            batch["next_sentence_label"] = torch.from_numpy(examples.labels[rows])
        return batch


@dataclass(frozen=True)
class LabelCollator:
    """Pads texts and stacks their labels: `(batch,)` class ids or numbers, or `(batch, classes)`.

    With windows, the batch has a row per window, and the index of each one's text under `mean_rows` or `max_rows`.

    Attributes:
        pad_token_id: the padding.
        windows: how texts are cut that are too long; None if there are none.
    """

    pad_token_id: int
    windows: Windows | None = None

    def __call__(self, examples: Examples, rows: np.ndarray) -> dict[str, Tensor]:
        """Pads the rows at these indices."""
        if self.windows is None:
            batch = source_batch(examples.source, rows, self.pad_token_id)
        else:
            ids, types, owners = self.windows.of(examples.source, rows, examples.token_types)
            batch = _input_batch(ids, self.pad_token_id)
            if types is not None:
                batch["token_type_ids"] = pad(types, 0)
            if not self.windows.leaves_out:
                batch[ROWS[self.windows.pooling]] = torch.from_numpy(owners)
        if self.windows is None and examples.token_types is not None:
            batch["token_type_ids"] = pad([examples.token_types[row] for row in rows], 0)
        if examples.labels is not None:
            batch["labels"] = torch.from_numpy(examples.labels[rows])
        return batch


@dataclass(frozen=True)
class CausalCollator:
    """Pads pairs, each as one sequence: source and then target, without its last token, which is not an input.

    `input_ids`, `attention_mask` and `labels` are `(batch, length)`; a label is the token after its input, -100 where
    that is padding, or a token of the source that is not learned. Any token may serve as padding, even EOS.

    Attributes:
        pad_token_id: the padding.
        rows: as for `Seq2SeqCollator`.
    """

    pad_token_id: int
    rows: bool = False

    def __call__(self, examples: Examples, rows: np.ndarray) -> dict[str, Tensor]:
        """Pads the rows at these indices."""
        assert examples.target is not None
        pairs = [(examples.source[row], examples.target[row]) for row in rows]
        labels = [np.concatenate([np.full(len(source) - 1, IGNORE), target]) for source, target in pairs]
        if examples.learned is not None:
            for label, (source, _), row in zip(labels, pairs, rows, strict=True):
                places = np.flatnonzero(examples.learned[row][1:])
                label[places] = source[places + 1]
        batch = _input_batch([np.concatenate(pair)[:-1] for pair in pairs], self.pad_token_id)
        batch["labels"] = pad(labels, IGNORE)
        return _with_rows(batch, rows) if self.rows else batch


@dataclass(frozen=True)
class PackedCollator:
    """Pads blocks of packed documents: `CausalCollator`'s tensors, and `position_ids` that restart with each document.

    The first token of a document is not a label: it must not be predicted from another document. Any token may serve as
    padding: it is a separate document without labels.

    Attributes:
        filler: the padding.
        rows: as for `Seq2SeqCollator`.
    """

    filler: int
    rows: bool = False

    def __call__(self, examples: Examples, rows: np.ndarray) -> dict[str, Tensor]:
        """Pads the rows at these indices."""
        assert examples.positions is not None
        blocks = [(examples.source[row], examples.positions[row]) for row in rows]
        labels = [np.where(positions[1:] > 0, ids[1:], IGNORE) for ids, positions in blocks]
        batch = _input_batch([ids[:-1] for ids, _ in blocks], self.filler)
        places = pad([positions[:-1] for _, positions in blocks], 0)
        batch |= {"position_ids": places, "labels": pad(labels, IGNORE)}
        return _with_rows(batch, rows) if self.rows else batch
