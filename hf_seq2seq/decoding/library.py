"""The library's own `generate`, for models and settings that the search engine of this package does not serve."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hf_seq2seq.configs import Decoding

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel

UNSERVED = (
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "epsilon_cutoff",
    "eta_cutoff",
    "exponential_decay_length_penalty",
    "guidance_scale",
    "renormalize_logits",
    "sequence_bias",
    "stop_strings",
    "top_h",
    "watermarking_config",
)
"""Generation settings that a model may come with, and that only the library knows."""
FACTORS = ("encoder_repetition_penalty", "guidance_scale")
"""Those of them that do nothing at 1."""


def needs_library(model: "PreTrainedModel") -> bool:
    """Whether only the library decodes a model: its state is no cache of ours, or its settings ask for more."""
    settings: Any = model.generation_config
    stateful = getattr(model, "_is_stateful", False) and model.config.model_type != "rnn-seq2seq"
    phrases = any(len(ids) > 1 for ids in settings.bad_words_ids or ())
    return stateful or phrases or any(_asks(name, getattr(settings, name, None)) for name in UNSERVED)


def _asks(name: str, value: Any) -> bool:
    return bool(value) and not (name in FACTORS and value == 1)


@torch.inference_mode()
def generate_ids(
    model: "PreTrainedModel", batch: dict[str, Tensor], decoding: Decoding, max_new_tokens: int
) -> list[list[int]]:
    """Generates the target of every row.

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
