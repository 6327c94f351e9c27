"""Cross-attention whose keys and values are stored once per source, whatever the number of its hypotheses.

During a search the hypotheses of a source attend to it together, as if their queries were positions of one target, and
nothing is repeated.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

NAME = "hypotheses_together"
FOLDING = {
    "bart",
    "blenderbot",
    "blenderbot-small",
    "m2m_100",
    "marian",
    "mbart",
    "mt5",
    "pegasus",
    "t5",
    "transformer-seq2seq",
}
"""Model types whose layers accept fewer rows of keys than of queries; for other models, sources are repeated."""


def attend_together(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention of one target position, with the signature of Hugging Face's attention functions.

    Args:
        module: the attention module.
        query: `(rows, heads, 1, d)`; the hypotheses of a source are adjacent.
        key: `(sources, heads, keys, d)`, where rows is a multiple of sources.
        value: as `key`.
        attention_mask: True where a query may look, `(sources, 1, 1, keys)`; None where it may look everywhere.
        scaling: of the products; None for 1 / sqrt(d).
        position_bias: added to the scores, `(1, heads, 1, keys)`.

    Returns:
        `(rows, 1, heads, d)`, and the weights `(rows, heads, 1, keys)`.
    """
    rows, heads, length, width = query.shape
    assert length == 1
    folded = query.view(key.shape[0], -1, heads, width).transpose(1, 2)
    scores = folded @ key.transpose(2, 3) * (width**-0.5 if scaling is None else scaling)
    if position_bias is not None:
        scores = scores + position_bias
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1)
    attended = (weights @ value).transpose(1, 2).reshape(rows, 1, heads, width)
    return attended, weights.transpose(1, 2).reshape(rows, heads, 1, -1)


AttentionInterface.register(NAME, attend_together)
AttentionMaskInterface.register(NAME, sdpa_mask)


def folds(model: PreTrainedModel) -> bool:
    """Whether a model's decoder accepts fewer sources than hypotheses; recurrent ones always do."""
    return _switches(model) or getattr(model.config, "reads_source_afresh", False)


def _switches(model: PreTrainedModel) -> bool:
    """Whether a model's attention function can be replaced by `attend_together`."""
    config = model.config
    known = getattr(config, "_attn_implementation", None) in ("sdpa", "eager")
    # The hand-built Transformer adds its bias to the mask, which is Boolean here.
    biased = getattr(config, "position_embedding_type", None) == "relative_bias"
    return config.model_type in FOLDING and known and not biased


@contextmanager
def attending_together(model: PreTrainedModel) -> Iterator[None]:
    """Context manager in which a Transformer that `folds` attends this way, one target position at a time."""
    if not _switches(model):
        yield
        return
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
