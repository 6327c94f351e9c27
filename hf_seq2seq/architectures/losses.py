"""The loss that a model gives when it is handed labels."""

from torch import Tensor
from torch.nn import functional as F


def mean_loss(logits: Tensor, labels: Tensor, count: Tensor | int | None) -> Tensor:
    """Cross-entropy summed over the labels that are not -100, divided by `count` or by their number.

    Args:
        logits: `(batch, target, vocabulary)`.
        labels: `(batch, target)`.
        count: labels of the whole optimizer step, where the batch is only a part of it.
    """
    total = F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=-100, reduction="sum")
    return total / ((labels != -100).sum().clamp(min=1) if count is None else count)
