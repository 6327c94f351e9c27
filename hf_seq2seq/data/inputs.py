"""Encoded sources with more than their ids, and the names of models' inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hf_seq2seq.data.frames import Frames
from hf_seq2seq.ragged import Ragged, gathered

SEARCHED = ("first_tokens", "start_tokens")
"""Inputs of a search that the model does not read."""
SOURCE = ("input_ids", "input_features", "feature_ids", "attention_mask")
"""Inputs of models that describe sources."""


def source_of(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The part of a batch that an encoder reads."""
    return {name: batch[name] for name in SOURCE if name in batch}


@dataclass(frozen=True)
class Inputs(Ragged):
    """Sources with more than their ids.

    Attributes:
        codes: of the language of each row's output, `(rows,)` int64, -1 where it is not known; None for no languages.
        is_first: whether the code is the first token of an output; otherwise it starts the decoder.
        features: of every token of all rows, `(tokens, slots)` int32, 0 where there is none; None for no features.
    """

    codes: np.ndarray | None = None
    is_first: bool = False
    features: np.ndarray | None = None

    def select(self, rows: np.ndarray) -> "Inputs":
        """As `Ragged.select`."""
        chosen, features = Ragged.select(self, rows), self.features
        if features is not None:
            features = gathered(features, self.offsets[:-1][rows], self.lengths[rows])
        codes = None if self.codes is None else self.codes[rows]
        return Inputs(chosen.values, chosen.offsets, codes, self.is_first, features)


def as_inputs(source: Ragged) -> Inputs:
    """Sources as a record to which more can be added."""
    return source if isinstance(source, Inputs) else Inputs(source.values, source.offsets)


def searched(source: Ragged, rows: np.ndarray) -> dict[str, Tensor]:
    """What a search needs to know of sources besides what a model reads.

    Returns:
        `first_tokens`, the forced first token of each output, or `start_tokens`, the first input of the decoder, both
        `(batch,)` int64 and -1 where a model's settings say; empty if they say so for all rows.
    """
    if not isinstance(source, Inputs) or source.codes is None:
        return {}
    name = "first_tokens" if source.is_first else "start_tokens"
    return {name: torch.from_numpy(source.codes[np.asarray(rows)])}


def joined(parts: Sequence[Ragged]) -> Ragged:
    """Sources of several requests to one model, one after the other."""
    if any(isinstance(part, Frames) for part in parts):
        return Frames.joined([part[row] for part in parts for row in range(len(part))])
    whole = Ragged.of(part[row] for part in parts for row in range(len(part)))
    known = [part for part in parts if isinstance(part, Inputs)]
    if not known:
        return whole
    return Inputs(
        whole.values,
        whole.offsets,
        _filled([(part.codes if isinstance(part, Inputs) else None, len(part)) for part in parts], -1),
        any(part.is_first for part in known),
        _filled([(part.features if isinstance(part, Inputs) else None, len(part.values)) for part in parts], 0),
    )


def _filled(parts: Sequence[tuple[np.ndarray | None, int]], filler: int) -> np.ndarray | None:
    """Arrays one after the other, padded to the same width; for a missing one, as many rows of filler."""
    known = [part for part, _ in parts if part is not None]
    if not known:
        return None
    width = max((part.shape[1] for part in known if part.ndim > 1), default=None)
    found = []
    for part, rows in parts:
        shape = (rows,) if width is None else (rows, width)
        whole = np.full(shape, filler, dtype=known[0].dtype)
        if part is not None:
            whole[..., : part.shape[-1] if width else rows] = part
        found.append(whole)
    return np.concatenate(found)


def in_order(parts: Sequence[tuple[Sequence[int], Ragged]]) -> Ragged:
    """Rows that were encoded in parts, each by the numbers of its rows."""
    if len(parts) == 1:
        return parts[0][1]
    found = {row: ids[place] for rows, ids in parts for place, row in enumerate(rows)}
    return Ragged.of(found[row] for row in range(len(found)))
