"""ProphetNet's relative positions, whose rows transformers confuses when it reads more than one target token at once.

The losses of a training batch would then depend on its padding, and be those of another model than the one that
generates token by token.
"""

from types import MethodType
from typing import Any

from torch import Tensor


def order_streams(model: Any) -> None:
    """Corrects the attention of the predicting streams.

    Args:
        model: modified in place if it is a ProphetNet.
    """
    for module in model.modules():
        if type(module).__name__ == "ProphetNetNgramSelfAttention":
            module._by_step = module.get_predict_relative_pos_embeddings
            module.get_predict_relative_pos_embeddings = MethodType(_relative_scores, module)


def _relative_scores(
    self: Any, hidden_states: Tensor, attn_weights: Tensor, position_ids: Tensor, buckets: Tensor | None
) -> Tensor:
    """Scores of relative positions, `(batch, streams, heads, target, 2 * target)`.

    Args:
        self: the attention.
        hidden_states: `(batch, target, streams, width)`.
        attn_weights: `(batch, streams, heads, target, 2 * target)`.
        position_ids: `(batch, target)`.
        buckets: of each pair of positions, `(batch, target, 2 * target)`; None if there is one target token.
    """
    if buckets is None:
        found: Tensor = self._by_step(hidden_states, attn_weights, position_ids, None)
        return found
    scores = self.relative_pos_embeddings(hidden_states.transpose(1, 2))
    scores = scores.unflatten(-1, (self.num_buckets, self.num_attn_heads)).permute(0, 1, 4, 2, 3)
    return scores.gather(-1, buckets.long()[:, None, None].expand(*scores.shape[:-1], -1))
