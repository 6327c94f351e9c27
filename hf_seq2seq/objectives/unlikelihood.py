"""Unlikelihood training: tokens of the target so far become less likely to be repeated."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.ragged import IGNORE


@dataclass(frozen=True)
class Unlikelihood:
    """Adds -alpha log(1 - p(c)) for every token c that occurs in the target before a position and is not its label.

    A token counts once per position, however often it occurs. The target before a position is that of the labels; of
    documents packed into one block, only the position's own.

    Paper: Welleck et al., 2020, section 5.1 (equations 4 and 5), https://arxiv.org/abs/1908.04319

    Attributes:
        alpha: weight.
    """

    alpha: float

    def __call__(
        self, objective: TokenCrossEntropy, batch: dict[str, Tensor], states: Tensor, loss: Tensor, outputs: Any
    ) -> Tensor:
        """The loss with these penalties."""
        labels = batch["labels"]
        rows, places = (labels != IGNORE).nonzero(as_tuple=True)
        starts = places - batch["position_ids"][rows, places] if "position_ids" in batch else torch.zeros_like(places)

        def penalties(states: Tensor, rows: Tensor, places: Tensor, starts: Tensor) -> Tensor:
            log_probs = objective.logits_of(states).log_softmax(-1)
            size = log_probs.shape[1]
            column = torch.arange(labels.shape[1], device=labels.device)
            before = (column < places[:, None]) & (column >= starts[:, None]) & (labels[rows] != IGNORE)
            found = labels[rows].masked_fill(~before, size)  # a column of its own, for none
            negative = torch.zeros(len(rows), size + 1, dtype=torch.bool, device=labels.device)
            negative.scatter_(1, found, True).scatter_(1, labels[rows, places][:, None], False)
            smallest = torch.finfo(log_probs.dtype).eps
            kept = (-torch.expm1(log_probs)).clamp(min=smallest).log()
            return -kept.masked_fill(~negative[:, :size], 0).sum()

        return loss + self.alpha * objective.sum_in_chunks(penalties, states, rows, places, starts)
