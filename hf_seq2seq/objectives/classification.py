"""Losses of labelled rows: one class, several classes, or a number."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_seq2seq.objectives.objective import Objective


class Classification(Objective):
    """Cross-entropy of one class a row, weighted by class on request.

    With class weights the sum is divided by the weights of the rows' classes, as `torch.nn.CrossEntropyLoss` does.
    """

    def __init__(self, model: nn.Module, class_weights: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__(model)
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.label_smoothing = label_smoothing

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """Rows, or the sum of their classes' weights."""
        labels = batch["labels"]
        if self.class_weights is None:
            return torch.tensor(float(len(labels)), dtype=torch.float64, device=labels.device)
        return self.class_weights.to(labels.device)[labels].double().sum()

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Sum over rows, in nats."""
        smoothing = self.label_smoothing if self.training else 0.0
        return F.cross_entropy(
            _logits(self.model, batch),
            batch["labels"],
            self.class_weights,
            reduction="sum",
            label_smoothing=smoothing,
        )


class MultiLabel(Objective):
    """Binary cross-entropy of every class, averaged over rows and classes."""

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """Rows times classes."""
        return torch.tensor(float(batch["labels"].numel()), dtype=torch.float64, device=batch["labels"].device)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Sum over rows and classes, in nats."""
        return F.binary_cross_entropy_with_logits(_logits(self.model, batch), batch["labels"], reduction="sum")


class Regression(Objective):
    """Squared error of one number a row."""

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """Rows."""
        return torch.tensor(float(len(batch["labels"])), dtype=torch.float64, device=batch["labels"].device)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Sum of squared errors."""
        return F.mse_loss(_logits(self.model, batch).squeeze(1), batch["labels"], reduction="sum")


def _logits(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    return model(**inputs).logits.float()
