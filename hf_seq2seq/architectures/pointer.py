"""Pointer-generator: each step either generates a word from the vocabulary or copies one from the source.

Source words outside the vocabulary can be copied, too. The vocabulary is extended by `copy_vocab_size` ids, whose
meaning differs between rows: the first stands for the row's first unknown word, and so on. Sources, targets and outputs
use them; the embeddings see the unknown token in their place.

Paper: See et al., 2017, section 2.2, https://aclanthology.org/P17-1099
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration_rnn import RnnSeq2SeqConfig


def known_ids(ids: Tensor, config: RnnSeq2SeqConfig, target: bool = False) -> Tensor:
    """Ids of any shape, with the unknown token in place of those outside the embeddings."""
    if not config.copy_vocab_size:
        return ids
    size = config.vocab_size if target else config.source_vocab_size
    assert config.unk_token_id is not None
    assert size is not None
    return ids.where(ids < size, config.unk_token_id)


class CopyIds(nn.Module):
    """The id of a source token when it is copied, in the extended target vocabulary.

    Args:
        config: the sizes and, if there are two vocabularies, the map between them.
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__()
        assert config.source_vocab_size is not None
        self.source_vocab_size, self.vocab_size = config.source_vocab_size, config.vocab_size
        self.source_to_target_ids = config.source_to_target_ids
        self._table: Tensor | None = None  # created on demand, because a model being loaded starts without values

    def forward(self, input_ids: Tensor) -> Tensor:
        """Ids below `vocab_size + copy_vocab_size`, of the same shape as `input_ids`."""
        if self.source_to_target_ids is None:
            return input_ids
        if self._table is None or self._table.device != input_ids.device:
            self._table = torch.tensor(self.source_to_target_ids, device=input_ids.device)
        inside = self._table[input_ids.clamp(max=self.source_vocab_size - 1)]
        beyond = input_ids - self.source_vocab_size
        return torch.where(beyond < 0, inside, beyond + self.vocab_size)


class CopyGate(nn.Module):
    """p_gen = sigmoid(w .

    [context; state; input] + b), the probability to generate rather than copy; returns its logit.

    Paper: See et al., 2017, equation 8, https://aclanthology.org/P17-1099

    Args:
        config: gives the sizes.
    """

    def __init__(self, config: RnnSeq2SeqConfig) -> None:
        super().__init__()
        assert config.embedding_size is not None
        self.projection = nn.Linear(config.encoder_output_size + config.hidden_size + config.embedding_size, 1)

    def forward(self, contexts: Tensor, states: Tensor, embedded: Tensor) -> Tensor:
        """The logit `(batch, target, 1)` for the concatenation of parts, each `(batch, target, its width)`."""
        return self.projection(torch.cat([contexts, states, embedded], -1))


def mix(logits: Tensor, gate: Tensor, weights: Tensor, copy_ids: Tensor, copy_vocab_size: int) -> Tensor:
    """The log of P(w), where P(w) = p_gen P_vocab(w) + (1 - p_gen) (the attention on the source tokens that are w).

    Paper: See et al., 2017, equation 9, https://aclanthology.org/P17-1099

    Args:
        logits: over the vocabulary, `(batch, target, vocabulary)`.
        gate: logit of p_gen, `(batch, target, 1)`.
        weights: attention, `(batch, target, source)`, summing to 1.
        copy_ids: `(batch, source)`, from `CopyIds`.
        copy_vocab_size: ids beyond the vocabulary.

    Returns:
        `(batch, target, vocabulary + copy_vocab_size)`, at least float32; an id that can be neither copied nor
        generated gets the logarithm of the smallest normal number, not minus infinity, so that gradients stay finite.
    """
    exact = torch.promote_types(logits.dtype, torch.float32)
    gate, weights, tiny = gate.to(exact), weights.to(exact), torch.finfo(exact).tiny
    written = F.logsigmoid(gate) + logits.to(exact).log_softmax(-1)
    written = F.pad(written, (0, copy_vocab_size), value=math.log(tiny))
    places = copy_ids[:, None].expand(-1, weights.shape[1], -1)
    copied = torch.zeros_like(written).scatter_add(2, places, weights * torch.sigmoid(-gate))
    return torch.logaddexp(written, copied.clamp(min=tiny).log())
