"""Length regularization: the expected length of an output shall be that of the target."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.ragged import IGNORE


@dataclass(frozen=True)
class ExpectedLength:
    """Adds lambda |T - E| for every target of T tokens, EOS included, where E is its expected length.

    E is the sum over the positions t = 1 … T of the probability that no EOS comes before t under the gold prefix, the
    product of 1 - p(EOS) over the earlier positions. So E is at most T, and an EOS that comes too early is penalized.
    Each reply of a conversation and each of the documents in a block is a target of its own.

    Attributes:
        weight: lambda.
    """

    weight: float
    name = "length_gap"
    reads_attention = False

    def attach(self, objective: TokenCrossEntropy) -> None:
        """Checks that outputs end.

        Raises:
            InputError: the model has no EOS.
        """
        if not _ends(objective.model):
            raise InputError("--length-weight: the model's generation settings have no eos_token_id; leave it out")

    def __call__(
        self, objective: TokenCrossEntropy, batch: dict[str, Tensor], states: Tensor, loss: Tensor, outputs: Any
    ) -> Tensor:
        """The loss with this term."""
        ends = torch.tensor(_ends(objective.model), device=states.device)

        def goes_on(states: Tensor) -> Tensor:
            logits = objective.logits_of(states)
            others = logits.index_fill(1, ends, torch.finfo(logits.dtype).min)
            return others.logsumexp(1) - logits.logsumexp(1)  # log(1 - p(EOS)), also where p is almost 1

        parts = [checkpoint(goes_on, part, use_reentrant=False) for part in states.split(objective.chunk_size)]
        sizes = target_lengths(batch["labels"])
        # Position t needs the sum over the positions before it.
        before = [part.cumsum(0) - part for part in torch.cat(parts).double().split(sizes)]
        lengths = pad_sequence(before, True, -torch.inf).exp().sum(1)
        gaps = (torch.tensor(sizes, device=lengths.device) - lengths).abs().sum()
        objective.figures.add(self.name, gaps, len(sizes))
        return loss + self.weight * gaps.to(loss.dtype)


def target_lengths(labels: Tensor) -> list[int]:
    """The length of every run of real labels `(batch, target)`, row by row."""
    real = torch.nn.functional.pad((labels != IGNORE).int(), (1, 1))
    changes = real.diff(dim=1)
    firsts, lasts = ((changes == change).nonzero()[:, 1] for change in (1, -1))
    return (lasts - firsts).tolist()


def _ends(model: Any) -> list[int]:
    eos = model.generation_config.eos_token_id
    return [] if eos is None else [eos] if isinstance(eos, int) else list(eos)
