"""Losses of labelled rows: one class, several classes, or a number."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_seq2seq.objectives.objective import Objective
from hf_seq2seq.saved.heads import plain_name


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

    def kept_beside(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights of the classes, which rows that are edited later would move."""
        return {} if self.class_weights is None else {"class_weights": self.class_weights.detach().cpu().clone()}

    def trained_weights(self, saved: dict[str, Tensor], beside: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights as they were saved; those of the classes are taken from a checkpoint, too."""
        if self.class_weights is not None and "class_weights" in beside:
            self.class_weights.copy_(beside["class_weights"])
        return saved


class MultiLabel(Objective):
    """Binary cross-entropy of every class, averaged over rows and classes."""

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """Rows times classes."""
        return torch.tensor(float(batch["labels"].numel()), dtype=torch.float64, device=batch["labels"].device)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Sum over rows and classes, in nats."""
        return F.binary_cross_entropy_with_logits(_logits(self.model, batch), batch["labels"], reduction="sum")


class Regression(Objective):
    """Squared error of one number a row, of labels with mean 0 and spread 1 if those of the data are given.

    A model's outputs and its learning rate are made for numbers of that size. Mean and spread are folded into the last
    layer of the weights that are saved, so that the saved model gives numbers in the data's units.

    Args:
        model: gives a logit a row.
        head: name of the model's last linear layer.
        labels: the training labels, `(rows,)`; without any, numbers are trained as they are. Where the layer has no
            bias, the mean counts as 0, and the spread is the root of the mean square.
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
        return F.mse_loss(_logits(self.model, batch).squeeze(1), labels, reduction="sum")

    def readable(self, outputs: np.ndarray) -> np.ndarray:
        """Numbers in the data's units."""
        return outputs.astype(np.float64) * self.spread + self.mean

    def saved_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights, with mean and spread folded into the last layer."""
        return weights | self._folded(weights, self.spread, self.mean)

    def kept_beside(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The last layer as it is trained, which the folded one would give back rounded; mean and spread."""
        layer = {part: weights[name].detach().clone() for part, name in _head_weights(weights, self.head).items()}
        return layer | {"mean_and_spread": torch.tensor([self.mean, self.spread], dtype=torch.float64)}

    def trained_weights(self, saved: dict[str, Tensor], beside: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights with the last layer as it was trained; mean and spread are taken from a checkpoint, too."""
        if not beside:
            return saved | self._folded(saved, 1 / self.spread, -self.mean / self.spread)
        self.mean, self.spread = beside["mean_and_spread"].tolist()
        return saved | {name: beside[part] for part, name in _head_weights(saved, self.head).items()}

    @torch.no_grad()
    def unfold(self) -> None:
        """Puts a last layer that gives numbers in the data's units into those of training."""
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
    """The names of a layer's weight and bias among a model's weights; with an adapter, of the copy that is trained."""
    found = {}
    for name in weights:
        plain = plain_name(name)
        for part in ("weight", "bias"):
            if plain == f"{head}.{part}":
                found[part] = name
    return found


def _logits(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    return model(**inputs).logits.float()
