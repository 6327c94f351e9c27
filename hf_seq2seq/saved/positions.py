"""The maximum sequence length of a model."""

from typing import Any

from torch import nn

from hf_seq2seq.saved.joined_pairs import is_joined
from hf_seq2seq.saved.prompts import prompt_length

SIDES = ("encoder", "decoder")


def longest_sequence(model: Any, side: str | None = None) -> int | None:
    """The maximum number of tokens in a sequence; None if unlimited, as with relative positions.

    RoBERTa's, MPNet's and Longformer's positions begin after the padding id, so their tables have more rows than can be
    used. DeBERTa's are relative, and XLNet says -1.

    Args:
        model: a transformers model, or anything with its configuration.
        side: "encoder" for sources or "decoder" for targets, which differ in LED, T5Gemma and joined models; None for
            the smaller. A prompt in front of every source takes its share.
    """
    most = _longest(model, side)
    return most if most is None or side == "decoder" else most - prompt_length(model)


def _longest(model: Any, side: str | None) -> int | None:
    config = model.config
    if all(hasattr(config, _field(each)) for each in SIDES):  # LED's
        found = [getattr(config, _field(each)) for each in SIDES if side in (None, each)]
    elif all(hasattr(getattr(config, each, None), "model_type") for each in SIDES):
        parts = [_part(model, each) for each in SIDES if side in (None, each)]
        found = [_table(*part) for part in parts]
    else:
        return _table(config, model)
    return min((number for number in found if number), default=None)


def longest_of_sides(model: Any) -> tuple[int | None, int | None]:
    """`longest_sequence` of sources and of targets."""
    return longest_sequence(model, "encoder"), longest_sequence(model, "decoder")


def _field(side: str) -> str:
    return f"max_{side}_position_embeddings"


def _part(model: Any, side: str) -> tuple[Any, Any]:
    """The configuration of one side, and its model if that is one of its own; T5Gemma's have rotary positions."""
    config = getattr(model.config, side)
    return getattr(config, "text_config", None) or config, getattr(model, side) if is_joined(model.config) else None


def _table(config: Any, model: Any) -> int | None:
    most = getattr(config, "max_position_embeddings", None)
    if not most or most < 0 or not getattr(config, "position_biased_input", True):
        return None
    for name, module in model.named_modules() if isinstance(model, nn.Module) else ():
        padding = getattr(module, "padding_idx", None)
        if name.rpartition(".")[2] == "position_embeddings" and padding is not None:
            return int(len(module.weight) - padding - 1)
    return int(most)
