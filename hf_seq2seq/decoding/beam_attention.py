"""Cross-attention whose keys and values are kept once a source, whatever the number of its hypotheses.

While a search runs, the hypotheses of a source attend to it together, as if their queries were positions of one
target, and nothing is repeated.
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
"""Types of models whose layers take fewer rows of keys than of queries; other models get their sources repeated."""


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
    """Attention of one target position, in the form that Hugging Face's models call.

    Args:
        module: whose attention it is.
        query: `(rows, heads, 1, d)`; the hypotheses of a source are neighbours.
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
    """Whether a model's decoder takes fewer sources than hypotheses; a recurrent one does so by itself."""
    return _switches(model) or getattr(model.config, "reads_source_afresh", False)


def _switches(model: PreTrainedModel) -> bool:
    """Whether a model's attention can be exchanged for `attend_together`."""
    config = model.config
    known = getattr(config, "_attn_implementation", None) in ("sdpa", "eager")
    # The hand-built Transformer adds its bias to the mask, which is one of true and false here.
    biased = getattr(config, "position_embedding_type", None) == "relative_bias"
    return config.model_type in FOLDING and known and not biased


@contextmanager
def attending_together(model: PreTrainedModel) -> Iterator[None]:
    """Lets a Transformer that `folds` attend this way for a while, one target position at a time."""
    if not _switches(model):
        yield
        return
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
