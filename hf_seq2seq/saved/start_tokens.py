"""What an encoder-decoder's decoder starts with and reads."""

from typing import Any

import torch
from torch import Tensor

from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import IGNORE


def start_token(model: Any) -> int:
    """The first input of an encoder-decoder's decoder.

    Raises:
        InputError: neither the settings of generation nor the configuration name one.
    """
    own, config = model.generation_config, model.config
    named = (own.decoder_start_token_id, getattr(config, "decoder_start_token_id", None), own.bos_token_id)
    found = next((token for token in named if token is not None), None)
    if found is None:
        raise InputError("decoder_start_token_id: neither generation_config.json nor config.json has it")
    return int(found)


def given_start(model: Any) -> int | None:
    """The start token if the decoder is given it alone; None if it also has to generate it as its first output."""
    start = start_token(model)
    return None if model.generation_config.forced_bos_token_id == start else start


def shifted_labels(model: Any, labels: Tensor) -> Tensor:
    """The decoder's inputs under teacher forcing: the labels, shifted by the start token, `(batch, target)`.

    Several families (M2M100, BlenderBot) shift in their `forward` alone.
    """
    if hasattr(model, "prepare_decoder_input_ids_from_labels"):
        found: Tensor = model.prepare_decoder_input_ids_from_labels(labels=labels)
        return found
    shifted = labels.roll(1, dims=1)
    shifted[:, 0] = model.config.decoder_start_token_id
    return shifted.masked_fill(shifted == IGNORE, model.config.pad_token_id)


def shifted_after(starts: Tensor, labels: Tensor, pad_token_id: int) -> Tensor:
    """The decoder's inputs under teacher forcing after given start tokens, `(batch, target)`.

    Args:
        starts: first input of each row, `(batch, 1)`.
        labels: -100 at padding, `(batch, target)`.
        pad_token_id: read at padding.
    """
    return torch.cat([starts, labels[:, :-1].masked_fill(labels[:, :-1] == IGNORE, pad_token_id)], 1)


def starts_with_last(model: Any) -> bool:
    """Whether a model shifts by taking the last label as the start token, as mBART does with `x </s> language`."""
    pad = getattr(model.config, "pad_token_id", None)
    one, other = [token for token in range(3) if token != pad][:2]
    starts = shifted_labels(model, torch.tensor([[one, one], [one, other]]))[:, 0]
    return bool(starts[0] != starts[1])
