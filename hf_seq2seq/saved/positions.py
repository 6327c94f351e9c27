"""How long a sequence a model has positions for."""

from typing import Any

from torch import nn


def longest_sequence(model: Any) -> int | None:
    """The most tokens of a sequence; None where nothing limits it, as with relative positions alone.

    RoBERTa's, MPNet's and Longformer's positions begin behind the padding id, so that their tables hold more rows than
    can be used. DeBERTa's are relative, and XLNet says -1.

    Args:
        model: of transformers; anything with its configuration is taken at the configuration's word.
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
