"""Losses of labelled rows: a single class, multiple classes, or a number."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_seq2seq.data.windows import logits_of
from hf_seq2seq.objectives.divergences import symmetric_divergence
from hf_seq2seq.objectives.objective import Objective
from hf_seq2seq.saved.heads import plain_name


class Classification(Objective):
    """Cross-entropy of one class per row, optionally weighted by class.

    With class weights the sum is divided by the weights of the rows' classes, as `torch.nn.CrossEntropyLoss` does.

    With `r_drop`, training takes two passes as `objectives.r_drop` describes; the divergence of a row has the weight of
    its class.
    """

    def __init__(
        self,
        model: nn.Module,
        class_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
        r_drop: float = 0.0,
    ) -> None:
        super().__init__(model)
        self.r_drop = r_drop
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
        logits = logits_of(self.model, batch)
        loss = self._loss(logits, batch["labels"])
        if not (self.training and self.r_drop):
            return loss
        again = logits_of(self.model, batch)
        apart = symmetric_divergence(logits, again)
        if self.class_weights is not None:
            apart = apart * self.class_weights[batch["labels"]]
        return (loss + self._loss(again, batch["labels"])) / 2 + self.r_drop / 2 * apart.sum()

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        smoothing = self.label_smoothing if self.training else 0.0
        return F.cross_entropy(logits, labels, self.class_weights, reduction="sum", label_smoothing=smoothing)

    def extra_state(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The class weights, which would change if the rows were edited."""
        return {} if self.class_weights is None else {"class_weights": self.class_weights.detach().cpu().clone()}

    def trained_weights(self, saved: dict[str, Tensor], extra: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights as saved; the class weights are also restored from a checkpoint."""
        if self.class_weights is not None and "class_weights" in extra:
            self.class_weights.copy_(extra["class_weights"])
        return saved


class MultiLabel(Objective):
    """Binary cross-entropy of every class, averaged over rows and classes."""

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """Rows times classes."""
        return torch.tensor(float(batch["labels"].numel()), dtype=torch.float64, device=batch["labels"].device)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Sum over rows and classes, in nats."""
        return F.binary_cross_entropy_with_logits(logits_of(self.model, batch), batch["labels"], reduction="sum")


class Regression(Objective):
    """Squared error of one number per row, with labels standardized to mean 0 and deviation 1 if the data's are given.

    A model's outputs and learning rate suit numbers of that scale. Mean and deviation are folded into the last layer of
    the saved weights, so that the saved model predicts in the data's units.

    Args:
        model: returns one logit per row.
        head: name of the model's last linear layer.
        labels: the training labels, `(rows,)`; without any, numbers are not standardized. If the layer has no bias, the
            mean is 0, and the deviation is the root mean square.
    """

    def __init__(self, model: nn.Module, head: str = "", labels: np.ndarray | None = None) -> None:
        super().__init__(model)
        self.head = head
        self.mean, self.spread = 0.0, 1.0
        found = _head_weights(model.state_dict(), head)
        if labels is not None and "weight" in found:
            exact = labels.astype(np.float64)
            self.mean = float(exact.mean()) if "bias" in found else 0.0
            self.spread = float(np.sqrt(np.square(exact - self.mean).mean())) or 1.0

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """Rows."""
        return torch.tensor(float(len(batch["labels"])), dtype=torch.float64, device=batch["labels"].device)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Sum of squared errors, in units of the labels' variance."""
        labels = (batch["labels"] - self.mean) / self.spread
        return F.mse_loss(logits_of(self.model, batch).squeeze(1), labels, reduction="sum")

    def readable(self, outputs: np.ndarray) -> np.ndarray:
        """Numbers in the data's units."""
        return outputs.astype(np.float64) * self.spread + self.mean

    def saved_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights, with mean and deviation folded into the last layer."""
        return weights | self._folded(weights, self.spread, self.mean)

    def extra_state(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The last layer as trained, which could be recovered from the folded one only with rounding.

        Mean and deviation.
        """
        layer = {part: weights[name].detach().clone() for part, name in _head_weights(weights, self.head).items()}
        return layer | {"mean_and_spread": torch.tensor([self.mean, self.spread], dtype=torch.float64)}

    def trained_weights(self, saved: dict[str, Tensor], extra: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights with the last layer as trained; mean and deviation are also restored from a checkpoint."""
        if not extra:
            return saved | self._folded(saved, 1 / self.spread, -self.mean / self.spread)
        self.mean, self.spread = extra["mean_and_spread"].tolist()
        return saved | {name: extra[part] for part, name in _head_weights(saved, self.head).items()}

    @torch.no_grad()
    def unfold(self) -> None:
        """Converts a last layer from the data's units to standardized ones."""
        weights = self.model.state_dict()
        for name, value in self._folded(weights, 1 / self.spread, -self.mean / self.spread).items():
            weights[name].copy_(value)

    def _folded(self, weights: dict[str, Tensor], spread: float, mean: float) -> dict[str, Tensor]:
        shifts = {"weight": 0.0, "bias": mean}
        return {
            name: (weights[name].double() * spread + shifts[part]).to(weights[name].dtype)
            for part, name in _head_weights(weights, self.head).items()
        }


def _head_weights(weights: dict[str, Tensor], head: str) -> dict[str, str]:
    """The names of a layer's weight and bias among a model's weights; with an adapter, of the trained copy."""
    found = {}
    for name in weights:
        plain = plain_name(name)
        for part in ("weight", "bias"):
            if plain == f"{head}.{part}":
                found[part] = name
    return found
