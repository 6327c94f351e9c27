"""Options that were left open for raw text and for decoder-only models, chosen by `hf_seq2seq.defaults`."""

from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hf_seq2seq.configs import LabelledData, PairData
from hf_seq2seq.data.documents import read_documents
from hf_seq2seq.data.encoding import encode_documents
from hf_seq2seq.data.evaluation_sets import rows_of
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.prompts import wrap_texts
from hf_seq2seq.data.sources import OpenShare
from hf_seq2seq.data.text_kinds import Side, look_at
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.defaults.choosing import settle
from hf_seq2seq.defaults.pairs import transformer_choices
from hf_seq2seq.defaults.raw_text import (
    block_choices,
    continued_choices,
    dropout_choices,
    rate_choices,
    row_length_choices,
    text_passes,
    vocabulary_choices,
)
from hf_seq2seq.defaults.schedules import Lengths, settle_given, shared_length_choices, step_choices
from hf_seq2seq.run_configs import DecoderRun, PretrainedRun
from hf_seq2seq.saved.positions import longest_sequence
from hf_seq2seq.sections import Choice
from hf_seq2seq.tasks.open_conversations import longest_rows
from hf_seq2seq.tasks.open_options import (
    longest_text,
    measure,
    read_validated,
    settle_fine_tuning,
    width_of,
)
from hf_seq2seq.training.processes import shared_by

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

C = TypeVar("C", bound=PretrainedRun)
D = TypeVar("D", bound=DecoderRun)


def open_documents(
    config: C, data: PairData | LabelledData, one_document: bool = False
) -> tuple[C, dict[str, list[str]], str]:
    """Reads the documents, and chooses what the options leave open about validation text and a new vocabulary.

    Returns:
        The configuration, the documents of every split, and their column.

    Raises:
        InputError: as for `read_documents`.
    """
    columns: list[str] = []

    def read(sources: PairData | LabelledData, share: OpenShare) -> dict[str, list[str]]:
        documents, column = read_documents(sources, one_document, share=share)
        columns.append(column)
        return documents

    config, documents = read_validated(config, data, read)
    if config.model.from_scratch and config.given is not None:
        texts = look_at([line for text in documents["train"] for line in text.splitlines() if line.strip()])
        config = settle(config, [*vocabulary_choices(texts), *dropout_choices(texts)])
    return config, documents, columns[0]


def settle_blocks(
    config: D, documents: Mapping[str, list[str]], tokenizer: "PreTrainedTokenizerBase", most: int | None
) -> D:
    """Chooses the size of a block of documents."""
    if config.given is None:
        return config
    longest = longest_rows(documents["train"], len)
    return settle(config, block_choices(int(encode_documents(longest, tokenizer).lengths.max()), most))


def settle_rows_of_text(
    config: C, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str]
) -> C:
    """Chooses the maximum length of a row of text."""
    if config.given is None:
        return config
    return settle(config, row_length_choices(longest_text(texts, tokenizer), longest_sequence(model)))


def settle_text(config: C, recipe: str, model: "PreTrainedModel", rows: np.ndarray, splits: Mapping[str, Sized]) -> C:
    """Chooses learning rate, passes and, for a model from scratch, batches, steps and evaluations.

    Args:
        config: the recipe's.
        recipe: its name.
        model: what is trained.
        rows: tokens of the training rows, `(rows, sides)`.
        splits: all rows.
    """
    if not config.model.from_scratch:
        adapter = config.adaptation.has_adapter
        return settle_fine_tuning(settle(config, continued_choices()), recipe, len(rows), model, adapter)
    config = settle(config, rate_choices(recipe, width_of(model)))
    found, validation = lengths_of(rows), rows_of(splits, "validation")
    passes = text_passes(found, shared_by(config.run))
    config = settle(config, step_choices(found, passes, validation, bool(config.schedule.limits())))
    return settle_given(config, found, passes.epochs, passes.processes)


def lengths_of(rows: np.ndarray) -> Lengths:
    """The tokens of encoded rows, `(rows, sides)`."""
    longest = [int(side) for side in rows.max(axis=0)] + [0]
    return Lengths(len(rows), longest[0], longest[1], float(rows.sum(axis=1).mean()))


def decoder_choices(width: int, source: Side, target: Side) -> Iterator[Choice]:
    """Learning rate and dropout of a decoder-only model of pairs; the dropout is that of an encoder-decoder."""
    yield from rate_choices("gpt", width)
    dropout = next(choice for choice in transformer_choices(source, target) if choice.name == "dropout")
    yield Choice("dropout", dropout.value, dropout.reason)


def settle_joined(config: D, pairs: Mapping[str, Pairs], tokenizer: "PreTrainedTokenizerBase", most: int | None) -> D:
    """Chooses the lengths of sources and targets that share one sequence."""
    if config.given is None:
        return config
    wrap_texts(tokenizer, config.tokens.separator)
    found = measure(pairs, Tokenizers(tokenizer, tokenizer), config.data.source_prefix)
    return settle(config, shared_length_choices(found, most))
