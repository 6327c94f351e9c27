"""The loss that a model returns when given labels."""

from torch import Tensor
from torch.nn import functional as F


def mean_loss(logits: Tensor, labels: Tensor, count: Tensor | int | None, auxiliary: Tensor | None = None) -> Tensor:
    """Losses summed over the labels that are not -100, divided by `count` or by their number.

    Args:
        logits: `(batch, target, vocabulary)`.
        labels: `(batch, target)`.
        count: labels of the whole optimizer step, if the batch is only a part of it.
        auxiliary: added to each position's cross-entropy, `(batch, target)`; None for nothing.
    """
    total = F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=-100, reduction="sum")
    if auxiliary is not None:
        total = total + auxiliary[labels != -100].float().sum()
    return total / ((labels != -100).sum().clamp(min=1) if count is None else count)


def classification_loss(logits: Tensor, labels: Tensor, problem: str | None, count: Tensor | int | None) -> Tensor:
    """Loss of labelled rows, summed and divided by `count` or by the number of labels.

    Args:
        logits: `(batch, labels)`.
        labels: classes `(batch,)`; or 0 and 1 `(batch, labels)` in floating point; or numbers `(batch,)`.
        problem: "regression" (squared error), "single_label_classification" (cross-entropy) or
            "multi_label_classification" (binary cross-entropy); None infers it from shapes and types.
        count: labels of the whole optimizer step, where the batch is only a part of it.
    """
    if problem is None and logits.shape[-1] > 1:
        problem = "multi_label_classification" if labels.is_floating_point() else "single_label_classification"
    if problem == "single_label_classification":
        total = F.cross_entropy(logits.float(), labels, reduction="sum")
    elif problem == "multi_label_classification":
        total = F.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="sum")
    else:
        total = F.mse_loss(logits.float().view_as(labels), labels.float(), reduction="sum")
    return total / (labels.numel() if count is None else count)
