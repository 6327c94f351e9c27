"""Generates text for encoded sources: batches of like lengths, every result in its source's place."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.batches import ordered_batches
from hf_seq2seq.data.collation import source_batch
from hf_seq2seq.data.copying import Words, spell
from hf_seq2seq.data.ragged import Ragged
from hf_seq2seq.data.vocabulary import Tokenizers

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel

Advance = Callable[[int], None]


@torch.inference_mode()
def generate_ids(
    model: "PreTrainedModel", batch: dict[str, Tensor], decoding: Decoding, max_new_tokens: int
) -> list[list[int]]:
    """Generates the target of every row; a row's result does not depend on the rows beside it.

    Args:
        model: an encoder-decoder, or a decoder that goes on from the source, in evaluation mode.
        batch: `input_ids` and `attention_mask`, each `(batch, source)`, 1 on real tokens; other keys are left alone.
            Padding is on the left for a decoder alone.
        decoding: how to search.
        max_new_tokens: longest target in tokens, EOS counted.

    Returns:
        Ids of each row without the decoder's start token or the source, cut before EOS, without padding.
    """
    inputs = {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask")}
    settings = generation_settings(model, decoding, max_new_tokens)
    found: Tensor = model.generate(**inputs, generation_config=settings)  # type: ignore[operator]
    eos = settings.eos_token_id
    start = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
    return [
        clean_ids(row[start:], settings.pad_token_id, eos if isinstance(eos, list) else [eos]) for row in found.tolist()
    ]


def generation_settings(model: "PreTrainedModel", decoding: Decoding, max_new_tokens: int) -> "GenerationConfig":
    """The model's own generation settings (forced tokens, shortest length, …) with the search asked for."""
    settings = copy.deepcopy(model.generation_config)
    settings.max_length = None
    settings.max_new_tokens = max_new_tokens
    settings.do_sample = False
    settings.num_beams = decoding.num_beams
    settings.no_repeat_ngram_size = decoding.no_repeat_ngram_size
    settings.length_penalty = decoding.length_penalty if decoding.num_beams > 1 else None
    settings.early_stopping = settings.early_stopping if decoding.num_beams > 1 else None
    return settings


def clean_ids(row: Sequence[int], pad: int | None, eos: Sequence[int | None]) -> list[int]:
    """What a tokenizer can decode: cut before the first EOS, without padding and without the label filler -100."""
    end = next((place for place, token in enumerate(row) if token in eos), len(row))
    return [token for token in row[:end] if token != pad and token >= 0]


def generate_texts(
    model: "PreTrainedModel",
    tokenizers: Tokenizers,
    sources: Ragged,
    decoding: Decoding,
    max_new_tokens: int,
    advance: Advance | None = None,
    unknown: Sequence[Words] | None = None,
) -> list[str]:
    """Generates a text for every source, in order; batches hold sources of like lengths.

    Args:
        model: an encoder-decoder or a decoder alone; it is put in evaluation mode while it generates.
        tokenizers: that encoded the sources and decode the targets.
        sources: ids of every source, special tokens included.
        decoding: how to search, and rows a batch.
        max_new_tokens: longest target in tokens, EOS counted.
        advance: told the number of rows done after every batch.
        unknown: unknown words of every source that ids beyond the vocabulary name; None where there are none.
    """
    texts = [""] * len(sources)
    pad, left = tokenizers.source.pad_token_id or 0, not model.config.is_encoder_decoder
    with evaluating(model):
        # Longest first: what does not fit in memory fails at once.
        for rows in reversed(ordered_batches(sources.lengths[:, None], decoding.per_device_eval_batch_size)):
            ids = generate_ids(model, source_batch(sources, rows, pad, left), decoding, max_new_tokens)
            if unknown is None:
                found = tokenizers.target.batch_decode(ids, skip_special_tokens=True)
            else:
                words = [unknown[row] for row in rows]
                found = [spell(*pair, tokenizers.target) for pair in zip(ids, words, strict=True)]
            for row, text in zip(rows, found, strict=True):
                texts[row] = text
            if advance:
                advance(len(rows))
    return texts


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Puts a model in evaluation mode for a while."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
