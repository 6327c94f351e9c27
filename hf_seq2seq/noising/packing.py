"""Documents in blocks of one length, with what keeps attention inside a document."""

from typing import NamedTuple

import numpy as np

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.rows import Rows, enclose


class Packed(NamedTuple):
    """Blocks of tokens.

    Attributes:
        tokens: a block a row; the last may be shorter.
        positions: position of each token in its part of a document, from 0, `(tokens,)` int32.
        segments: number of the part in its block, from 0, `(tokens,)` int32: a token may attend to earlier ones of the
            same number alone.
        documents: the document of each token, `(tokens,)` int64.
    """

    tokens: Rows
    positions: np.ndarray
    segments: np.ndarray
    documents: np.ndarray


def pack(documents: Rows, block: int, end: int | None = None) -> Packed:
    """Writes all documents one after the other and cuts them into blocks; no token is lost or repeated.

    A document that a cut divides goes on in the next block as a part of its own, at position 0 again, because nothing
    before the cut can be seen there. Nothing is random: shuffle the documents before, if at all.

    Args:
        documents: their tokens.
        block: tokens of a block.
        end: id that is put behind every document, so that a model learns to stop.

    Raises:
        InputError: a block of less than one token.
    """
    if block < 1:
        raise InputError(f"block size: {block} is less than one token")
    if end is not None:
        documents = enclose(documents, after=[end])
    tokens = len(documents.values)
    place = np.arange(tokens)
    starts = place % block == 0
    starts[documents.offsets[:-1][documents.lengths > 0]] = True
    part = np.cumsum(starts) - 1
    begins = np.flatnonzero(starts)
    blocks = Rows(documents.values, np.append(np.arange(0, tokens, block), tokens))
    return Packed(
        tokens=blocks,
        positions=(place - begins[part]).astype(np.int32),
        segments=(part - part[place - place % block]).astype(np.int32),
        documents=np.repeat(np.arange(len(documents.offsets) - 1), documents.lengths),
    )
