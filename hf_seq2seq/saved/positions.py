"""The maximum sequence length of a model."""

from typing import Any

from torch import nn


def longest_sequence(model: Any) -> int | None:
    """The maximum number of tokens in a sequence; None if unlimited, as with relative positions.

    RoBERTa's, MPNet's and Longformer's positions begin after the padding id, so their tables have more rows than can be
    used. DeBERTa's are relative, and XLNet says -1.

    Args:
        model: a transformers model, or anything with its configuration.
    """
    config = model.config
    most = getattr(config, "max_position_embeddings", None)
    if not most or most < 0 or not getattr(config, "position_biased_input", True):
        return None
    for name, module in model.named_modules() if isinstance(model, nn.Module) else ():
        padding = getattr(module, "padding_idx", None)
        if name.rpartition(".")[2] == "position_embeddings" and padding is not None:
            return int(len(module.weight) - padding - 1)
    return int(most)
