"""Cross-entropy of masked tokens predicted by an encoder: alone, with sentence pairs, or together with a target."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_seq2seq.objectives.cross_entropy import (
    IGNORE,
    OutputProjection,
    TokenCrossEntropy,
    chunk_rows,
    chunked_cross_entropy,
    token_logits,
)
from hf_seq2seq.objectives.objective import Objective


class MaskedTokenCrossEntropy(Objective):
    """Cross-entropy of masked tokens and, for sentence pairs, of next-sentence prediction.

    The output layer only sees masked positions.

    BERT adds the mean over masked tokens to the mean over pairs. Here both are divided by the masked tokens of the
    optimizer step, so a pair's loss is first multiplied by the masked tokens of its row: pairs of equal length are
    weighted as in BERT, whose rows are full, and others by their lengths. So the step's loss is the sum of two means
    over the whole step, regardless of batches and processes.

    Paper: Devlin et al., 2019, section 3.1 and appendix A.2, https://aclanthology.org/N19-1423

    Args:
        model: returns `logits`, or `prediction_logits` and `seq_relationship_logits`.
        pairs: whether rows are pairs, with a `next_sentence_label`.
        label_smoothing: label smoothing of masked tokens in training.
    """

    def __init__(self, model: nn.Module, pairs: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(model)
        self.measures = ("loss", "masked_accuracy") + ("masked_loss", "next_sentence_accuracy") * pairs
        self.label_smoothing = label_smoothing
        projection = OutputProjection(model)
        self._projection = projection if projection.is_exact(model) else None

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """Masked tokens."""
        return (batch["labels"] != IGNORE).sum().double()

    def forward(self, batch: dict[str, Tensor], measuring: bool = False) -> Tensor:
        """Sum over masked tokens, and over pairs as above, in nats; with `measuring`, the result of `measure`."""
        if measuring:
            return self._measures(batch)
        states, outputs = self._run(batch)
        loss = self._masked_loss(states, batch)
        return loss + _pair_loss(outputs, batch) if "next_sentence_label" in batch else loss

    def measure(self, batch: dict[str, Tensor]) -> Tensor:
        """The loss and the accuracy of masked tokens; for pairs also the tokens' own loss, and the pairs' accuracy."""
        return self(batch, measuring=True)  # a module call, because sharded weights are gathered before one

    def _measures(self, batch: dict[str, Tensor]) -> Tensor:
        states, outputs = self._run(batch)
        masked, loss = self.weight(batch), self._masked_loss(states, batch).double()
        right = (self._best(states) == batch["labels"][batch["labels"] != IGNORE]).sum()
        if "next_sentence_label" not in batch:
            return torch.stack([loss, masked, 100 * right, masked]).view(2, 2)
        label = batch["next_sentence_label"]
        found = (outputs.seq_relationship_logits.argmax(-1) == label).sum()
        both, pairs = loss + _pair_loss(outputs, batch), torch.ones_like(label).sum()
        return torch.stack([both, masked, 100 * right, masked, loss, masked, 100 * found, pairs]).view(4, 2)

    def _run(self, batch: dict[str, Tensor]) -> tuple[Tensor, Any]:
        """At masked positions, the input of the output layer, or the logits if it cannot be bypassed.

        And the other outputs.
        """
        inputs = {name: value for name, value in batch.items() if name not in ("labels", "next_sentence_label")}
        masked = batch["labels"] != IGNORE
        if self._projection is None:
            outputs = self.model(**inputs)
            return token_logits(outputs)[masked], outputs
        states, outputs = self._projection.run(self.model, inputs)
        return states[masked], outputs

    def _masked_loss(self, states: Tensor, batch: dict[str, Tensor]) -> Tensor:
        labels = batch["labels"][batch["labels"] != IGNORE]
        smoothing = self.label_smoothing if self.training else 0.0
        if self._projection is None:
            return F.cross_entropy(states.float(), labels, reduction="sum", label_smoothing=smoothing)
        weight, bias = self._projection.weight, self._projection.bias
        return chunked_cross_entropy(states, weight, labels, bias=bias, label_smoothing=smoothing)

    def _best(self, states: Tensor) -> Tensor:
        """The most probable token at every masked position."""
        if self._projection is None:
            return states.argmax(-1)
        weight, bias = self._projection.weight, self._projection.bias
        parts = states.split(chunk_rows(weight))
        return torch.cat([F.linear(part, weight, bias).argmax(-1) for part in parts])


def _pair_loss(outputs: Any, batch: dict[str, Tensor]) -> Tensor:
    """The sum of the pairs' cross-entropies, each times the masked tokens of its row."""
    masked = (batch["labels"] != IGNORE).sum(1)
    losses = F.cross_entropy(outputs.seq_relationship_logits.float(), batch["next_sentence_label"], reduction="none")
    return (losses * masked).sum()


class TargetAndMaskedCrossEntropy(TokenCrossEntropy):
    """Cross-entropy of target tokens by the decoder, and of masked source tokens by the encoder.

    Both are summed and divided by target and masked tokens together: every predicted token has the same weight; the
    paper gives no weights. PEGASUS checkpoints have no head for the encoder, so its last states go through the
    embedding shared by input and output, without a bias.

    Paper: Zhang et al., 2020, section 3.2, https://proceedings.mlr.press/v119/zhang20ae.html
    """

    measures = ("loss", "target_loss", "masked_loss")

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """Real target tokens and masked source tokens."""
        return super().weight(batch) + _masked(batch)

    def forward(self, batch: dict[str, Tensor], measuring: bool = False) -> Tensor:
        """Sum over both, in nats; with `measuring`, the result of `measure`."""
        if measuring:
            return self._measures(batch)
        target, masked = self._losses(batch)
        return target + masked

    def measure(self, batch: dict[str, Tensor]) -> Tensor:
        """The total loss, that of target tokens and that of masked tokens."""
        return self(batch, measuring=True)

    def _measures(self, batch: dict[str, Tensor]) -> Tensor:
        target, masked = (loss.double() for loss in self._losses(batch))
        counts = super().weight(batch), _masked(batch)
        return torch.stack([target + masked, counts[0] + counts[1], target, counts[0], masked, counts[1]]).view(3, 2)

    def _losses(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        target, outputs = self.run(batch)
        masked = batch["source_labels"] != IGNORE
        states, labels = outputs.encoder_last_hidden_state[masked], batch["source_labels"][masked]
        smoothing = self.label_smoothing if self.training else 0.0
        embedding = self.model.get_output_embeddings().weight  # type: ignore[operator]
        return target, chunked_cross_entropy(states, embedding, labels, label_smoothing=smoothing)


def _masked(batch: dict[str, Tensor]) -> Tensor:
    return (batch["source_labels"] != IGNORE).sum().double()
