"""Compression of a recurrent model's context: how much the decoder may learn about the source has a price."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hf_seq2seq.architectures.contexts import Context
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy


@dataclass(frozen=True)
class Compression:
    """The decoder reads c + noise, and lambda KL(N(c, I) || N(0, I)) = lambda |c|^2 / 2 is added for every row.

    The noise is drawn from a unit Gaussian in training only; evaluations and generation read c itself. The divergence
    bounds the information about the source that passes, in nats. Unlike in the paper the variance of the noise is fixed
    and only the mean is learned, so that the model has no other parameters than without this term.

    Paper: Alemi et al., 2017, section 3 (equations 14 to 17), https://arxiv.org/abs/1612.00410

    Attributes:
        weight: lambda.
    """

    weight: float
    name = "context_kl"
    reads_attention = False
    _seen: list[Tensor] = field(default_factory=list, compare=False)

    def attach(self, objective: TokenCrossEntropy) -> None:
        """Adds the noise to the model's context.

        Raises:
            InputError: the decoder reads the source, or parts of it, in another way than as one vector.
        """
        config: Any = objective.model.config
        context = next((part for part in objective.model.modules() if isinstance(part, Context)), None)
        if context is None or config.attention != "none" or config.decoder_start == "transfer":
            raise InputError(
                "--compression-weight: is for recurrent models that read the source as one vector: "
                "rnn with --attention none and --decoder-start bridge"
            )
        context.register_forward_hook(self._add_noise)

    def _add_noise(self, module: nn.Module, args: Any, context: Tensor) -> Tensor:
        if not module.training:
            return context
        self._seen[:] = [context]
        return context + torch.randn_like(context)

    def __call__(
        self, objective: TokenCrossEntropy, batch: dict[str, Tensor], states: Tensor, loss: Tensor, outputs: Any
    ) -> Tensor:
        """The loss with this term."""
        context = self._seen.pop().to(loss.dtype)
        total = context.square().sum() / 2
        objective.figures.add(self.name, total, len(context))
        return loss + self.weight * total
