"""Raw text for language models: documents, and packing into blocks."""

import dataclasses
import logging

import numpy as np

from hf_seq2seq.configs import LabelledData, PairData
from hf_seq2seq.data.cells import row_sample, texts
from hf_seq2seq.data.columns.finding import named_column
from hf_seq2seq.data.columns.labels import find_text_columns
from hf_seq2seq.data.columns.pairs import find_source_column
from hf_seq2seq.data.evaluation_sets import sets_of
from hf_seq2seq.data.sources import OpenShare, load_splits
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged

logger = logging.getLogger(__name__)


def read_documents(
    data: PairData | LabelledData, one_document: bool = False, train: bool = True, share: OpenShare | None = None
) -> tuple[dict[str, list[str]], str]:
    """The documents of every split: its rows, except blank ones.

    Args:
        data: the data options, and the column (`source_column` or `text_column`) of the text.
        one_document: a split is one document, with a line per row. Held-out validation text is then the end of the
            training text, not random rows.
        train: whether training rows are required.
        share: as for `load_splits`; rows of one document are its lines.

    Returns:
        The documents by split, and their column.

    Raises:
        InputError: there are no rows, the column cannot be found, a cell is not text, or there is no text at all.
    """
    whole = dataclasses.replace(data, validation_split_percentage=None) if one_document else data
    splits = load_splits(whole, share=None if one_document else share)
    if train and "train" not in splits:
        raise InputError("no training rows: give --train-file or --dataset-name")
    first = splits.first
    seen = splits[first].column_names, row_sample(splits[first])
    if isinstance(data, LabelledData):
        option, column = "text_column", find_text_columns(*seen, data, splits.place(first))[0]
        assert column is not None
    else:
        option, column = "source_column", find_source_column(*seen, data, splits.place(first))
    documents = {}
    for split, rows in splits.items():
        place = splits.place(split)
        named_column(rows.column_names, row_sample(rows), option, column, place)
        found = texts(rows, column, place, may_be_empty=True)
        documents[split] = ["".join(f"{text}\n" for text in found)] if one_document else found
        blank = sum(not text.strip() for text in documents[split])
        documents[split] = [text for text in documents[split] if text.strip()]
        if not documents[split]:
            raise InputError(f"{place}: column {column!r} contains no text")
        if blank:
            logger.warning("%s: %s of %s rows have no text and are left out", place, f"{blank:,}", f"{len(found):,}")
    if one_document and "train" in documents and not sets_of(documents, "validation"):
        given, text = data.validation_split_percentage, documents["train"][0]
        count = len(splits["train"])
        percentage = share(count, count) if share and given is None else given
        if percentage:
            end = int(len(text) * (1 - percentage / 100))
            documents |= {"train": [text[:end]], "validation": [text[end:]]}
    return documents, column


def pack(documents: Ragged, block_size: int) -> tuple[Ragged, Ragged]:
    """Packs concatenated documents into blocks without padding; only the last may be shorter.

    A block has one token more than inputs: its last token is the label of the previous token, and the first input of
    the next block. So each token except a document's first is a label exactly once, in one block.

    Args:
        documents: token ids, at least two per document.
        block_size: inputs per block.

    Returns:
        Ids of every block, and each token's position in its document, or in the part of it in this block.
    """
    total = len(documents.values)
    starts = np.arange(0, total - 1, block_size)
    lengths = np.minimum(starts + block_size + 1, total) - starts
    offsets = np.append(0, np.cumsum(lengths))
    first = np.repeat(starts, lengths)
    places = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths) + first
    begun = documents.offsets[np.searchsorted(documents.offsets, places, side="right") - 1]
    positions = (places - np.maximum(begun, first)).astype(np.int32)
    return Ragged(documents.values[places], offsets), Ragged(positions, offsets)
