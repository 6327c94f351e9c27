"""Encoded sources with what belongs to them besides their ids."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hf_seq2seq.ragged import Ragged

SEARCHED = ("first_tokens", "start_tokens")


@dataclass(frozen=True)
class Inputs(Ragged):
    """Sources whose outputs begin with the code of a language.

    Attributes:
        codes: of the language of each row's output, `(rows,)` int64; -1 where it is not known.
        is_first: whether the code is the first token of an output; otherwise it starts the decoder.
    """

    codes: np.ndarray
    is_first: bool

    def select(self, rows: np.ndarray) -> "Inputs":
        """As `Ragged.select`."""
        chosen = Ragged.select(self, rows)
        return Inputs(chosen.values, chosen.offsets, self.codes[rows], self.is_first)


def searched(source: Ragged, rows: np.ndarray) -> dict[str, Tensor]:
    """What a search needs to know of sources besides their ids.

    Returns:
        `first_tokens`, the forced first token of each output, or `start_tokens`, the first input of the decoder, both
        `(batch,)` int64 and -1 where a model's settings say; empty if they say so for all rows.
    """
    if not isinstance(source, Inputs):
        return {}
    name = "first_tokens" if source.is_first else "start_tokens"
    return {name: torch.from_numpy(source.codes[np.asarray(rows)])}


def code_at(source: Ragged, row: int) -> tuple[int, bool] | None:
    """The code of a row's output, and whether that is its first token; None if there is none."""
    return (int(source.codes[row]), source.is_first) if isinstance(source, Inputs) else None


def with_codes(source: Ragged, codes: Sequence[tuple[int, bool] | None]) -> Ragged:
    """Sources with the codes of their outputs, as `code_at` gives them."""
    known = [code for code in codes if code is not None]
    if not known or len(known) < len(codes):
        return source
    return Inputs(source.values, source.offsets, np.array([code for code, _ in known], dtype=np.int64), known[0][1])


def joined(parts: Sequence[Ragged]) -> Ragged:
    """Sources of several requests to one model, one after the other."""
    whole = Ragged.of(part[row] for part in parts for row in range(len(part)))
    known = [part for part in parts if isinstance(part, Inputs)]
    if not known:
        return whole
    codes = [part.codes if isinstance(part, Inputs) else np.full(len(part), -1, dtype=np.int64) for part in parts]
    return Inputs(whole.values, whole.offsets, np.concatenate(codes), known[0].is_first)


def in_order(parts: Sequence[tuple[Sequence[int], Ragged]]) -> Ragged:
    """Rows that were encoded in parts, each by the numbers of its rows."""
    if len(parts) == 1:
        return parts[0][1]
    found = {row: ids[place] for rows, ids in parts for place, row in enumerate(rows)}
    return Ragged.of(found[row] for row in range(len(found)))
