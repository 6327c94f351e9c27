"""Coverage loss: attention that returns to the same source positions is penalized."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.ragged import IGNORE


@dataclass(frozen=True)
class Coverage:
    """Adds lambda sum_i min(c_{t,i}, a_{t,i}) for every target position t and source position i.

    a is the attention on the source, averaged over the heads of a layer, and c its sum over the positions before t; the
    mean over layers counts. A Transformer's weights are those that it multiplies with, after dropout on attention; they
    exist only where attention is not fused, so training takes more memory and time.

    Paper: See et al., 2017, equations 11 to 13, https://aclanthology.org/P17-1099

    Attributes:
        weight: lambda.
    """

    weight: float
    name = "coverage_loss"
    reads_attention = True

    def attach(self, objective: TokenCrossEntropy) -> None:
        """Lets the model compute its attention in the open.

        Raises:
            InputError: it has no attention on the source, or a coverage loss of its own.
        """
        model: Any = objective.model
        if not objective.has_encoder or getattr(model.config, "attention", "") == "none":
            raise InputError("--coverage-weight: the model has no attention on the source; leave it out")
        if model.config.model_type == "prophetnet":
            raise InputError("--coverage-weight: ProphetNet attends to the source for several streams; leave it out")
        if getattr(model.config, "coverage", False) and model.config.coverage_loss_weight:
            raise InputError(
                f"--coverage-weight {self.weight:g}: --coverage brings this loss, with a weight of "
                f"{model.config.coverage_loss_weight:g}; set that by --coverage-loss-weight {self.weight:g} instead"
            )
        if isinstance(model, PreTrainedModel) and not getattr(model, "_is_stateful", False):
            model.set_attn_implementation("eager")

    def __call__(
        self, objective: TokenCrossEntropy, batch: dict[str, Tensor], states: Tensor, loss: Tensor, outputs: Any
    ) -> Tensor:
        """The loss with this term."""
        real = batch["labels"] != IGNORE
        layers = [coverage_losses(weights.to(loss.dtype).mean(1)) for weights in outputs.cross_attentions]
        total = torch.stack(layers).mean(0)[real].sum()
        objective.figures.add(self.name, total, real.sum())
        return loss + self.weight * total


def coverage_losses(weights: Tensor) -> Tensor:
    """The loss of every target position, `(batch, target)`, from attention `(batch, target, source)`."""
    before = weights.cumsum(1) - weights
    return torch.minimum(weights, before).sum(-1)
