"""How much passes through the context c of a recurrent model without attention, in bits.

Estimates are an entropy minus the cross-entropy of a decoder that reads c alone. With a known entropy of what is read,
they are a lower bound of the information: a better decoder could only find more (Barber and Agakov 2003, The IM
Algorithm). With an entropy that is itself the cross-entropy of a model without c they are estimates, and no bound. What
d numbers of b bits hold, d x b bits, bounds the information from above.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.contexts import Context
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration

PAD, START, END = 0, 1, 2
WHOLE = 32
"""Bits of an unrounded number."""


@dataclass(frozen=True)
class Sizes:
    """Of a model that reads its source through a context.

    Attributes:
        source: size of the source's vocabulary.
        target: size of the target's.
        width: numbers of the context.
        hidden: width of the layers.
    """

    source: int
    target: int
    width: int
    hidden: int


def rounded(values: Tensor, bits: int) -> Tensor:
    """Numbers from -1 to 1 at the nearest of 2^bits equally spaced ones; unchanged from 32 bits on."""
    if bits >= WHOLE:
        return values
    steps = 2**bits - 1
    return torch.round((values + 1) / 2 * steps) / steps * 2 - 1


class Narrow(nn.Module):
    """`rnn --attention none --context-feeding` whose context passes through few numbers from -1 to 1.

    Attributes:
        sizes: of vocabularies and layers.
        bits: to which they are rounded.

    Args:
        sizes: see above.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        config = RnnSeq2SeqConfig(
            source_vocab_size=sizes.source, vocab_size=sizes.target, hidden_size=sizes.hidden, attention="none",
            context_feeding=True, pad_token_id=PAD, bos_token_id=START, eos_token_id=END, dropout=0.0,
            tie_word_embeddings=False,
        )  # fmt: skip
        self.network, self.bits = RnnForConditionalGeneration(config), WHOLE
        self.down = nn.Linear(config.encoder_output_size, sizes.width)
        self.up = nn.Linear(sizes.width, config.encoder_output_size)
        self._code = torch.empty(0)
        self._given: Tensor | None = None
        context = next(part for part in self.network.modules() if isinstance(part, Context))
        context.register_forward_hook(self._squeeze)

    def _squeeze(self, module: nn.Module, args: Any, context: Tensor) -> Tensor:
        code = self.down(context).tanh() if self._given is None else self._given
        self._code = rounded(code, self.bits)
        return self.up(self._code)

    def nats(self, sources: Tensor, targets: Tensor, given: Tensor | None = None) -> Tensor:
        """Negative log-likelihood of each target, end included, in nats: `(rows,)`.

        Args:
            sources: `(rows, source)`, padded.
            targets: `(rows, target)`, padded.
            given: a context to read in place of the source's, `(rows, width)`.
        """
        self._given = given
        inputs = torch.cat([targets.new_full((len(targets), 1), START), targets[:, :-1]], 1)
        mask = (sources != PAD).long()
        logits = self.network(input_ids=sources, attention_mask=mask, decoder_input_ids=inputs, use_cache=False).logits
        self._given = None
        losses = nn.functional.cross_entropy(logits.transpose(1, 2), targets, ignore_index=PAD, reduction="none")
        return losses.sum(1)

    @torch.no_grad()
    def code(self, sources: Tensor) -> Tensor:
        """The context of each source, rounded: `(rows, width)`."""
        self.nats(sources, sources.new_full((len(sources), 1), END))
        return self._code

    @torch.no_grad()
    def write(self, sources: Tensor, most: int, given: Tensor | None = None) -> list[list[int]]:
        """The target that the model finds greedily, without its end.

        Args:
            sources: `(rows, source)`, padded.
            most: its maximum length.
            given: as for `nats`.
        """
        self._given = given
        mask = (sources != PAD).long()
        network: Any = self.network
        found = network.generate(input_ids=sources, attention_mask=mask, max_new_tokens=most, num_beams=1)
        self._given = None
        return [[token for token in row.tolist() if token not in (PAD, START, END)] for row in found]


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of ids with their end, padded to the longest: `(rows, longest + 1)`."""
    ended = [torch.tensor([*row, END]) for row in rows]
    return nn.utils.rnn.pad_sequence(ended, batch_first=True, padding_value=PAD)


@dataclass(frozen=True)
class Fitting:
    """How a model is trained.

    Attributes:
        steps: of the optimizer.
        rate: the learning rate, which falls to 0 linearly.
        batch: rows of a step, drawn at random.
        seed: of the draws.
    """

    steps: int
    rate: float = 3e-3
    batch: int = 256
    seed: int = 1


def fit(model: Narrow, sources: Tensor, targets: Tensor, how: Fitting, codes: Tensor | None = None) -> None:
    """Trains a model to write targets.

    Args:
        model: is changed.
        sources: `(rows, source)`.
        targets: `(rows, target)`.
        how: steps and learning rate.
        codes: contexts to read in place of the sources', `(rows, width)`: the decoder alone is trained.
    """
    draw = torch.Generator().manual_seed(how.seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=how.rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, how.steps)
    model.train()
    for _ in range(how.steps):
        rows = torch.randint(len(sources), (min(how.batch, len(sources)),), generator=draw)
        loss = model.nats(sources[rows], targets[rows], None if codes is None else codes[rows]).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


@torch.no_grad()
def bits_per_row(model: Narrow, sources: Tensor, targets: Tensor, codes: Tensor | None = None) -> float:
    """Cross-entropy of the targets in bits per row."""
    parts = [slice(start, start + 500) for start in range(0, len(sources), 500)]
    nats = [model.nats(sources[part], targets[part], None if codes is None else codes[part]) for part in parts]
    return float(torch.cat(nats).double().mean()) / math.log(2)
