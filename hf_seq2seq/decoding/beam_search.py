"""Beam search: the best hypotheses of every source are extended together; finished sources leave the batch.

With the same settings the results equal those of transformers' `generate`. Several beams per source, each penalized for
similarity to the previous ones, are diverse beam search (`diversity.py`).
"""

from collections.abc import Hashable, Sequence
from typing import Self

import torch
from torch import Tensor

from hf_seq2seq.decoding.beams import Beam, Place, merge
from hf_seq2seq.decoding.rules import Prefixes, apply_rules
from hf_seq2seq.decoding.steps import Prediction, Rules, Running, Sources, Step


class BeamSearch(Running):
    """Searches for the best hypotheses of every source.

    Args:
        keys: as for `Running`.
        sources: as for `Running`.
        rules: as for `Running`.
        beams: one per group, which is as many for every source.
        count: hypotheses to return per source, at most.
    """

    def __init__(
        self, keys: Sequence[Hashable], sources: Sources, rules: Rules, beams: Sequence[Beam], count: int = 1
    ) -> None:
        super().__init__(keys, sources, rules)
        self.beams, self.count = beams, count

    def advance(self, prediction: Prediction) -> Step | None:
        """As `Running` says."""
        count, rows = len(self.keys), len(prediction.logits)
        begins = rows == count  # there are more hypotheses later
        lengths, sources = (part.repeat_interleave(rows // count) for part in (self.lengths, self.left))
        prefixes = Prefixes(_tokens(self.beams[:1] if begins else self.beams), lengths, sources)
        log_probs = apply_rules(self.rules, prefixes, prediction.logits.log_softmax(-1)).unflatten(0, (count, -1))
        attention = None if prediction.attention is None else prediction.attention.unflatten(0, (count, -1))
        self.lengths = self.lengths + 1
        parents = self._advance(log_probs, attention, begins)
        left = self._leave()
        if not len(left):
            return None
        leaving = len(left) < count
        if leaving:
            self.keep(left)
            parents = parents[left]
        return Step(parents.flatten(), left if leaving or begins else None, _tokens(self.beams)[:, -1])

    def _advance(self, log_probs: Tensor, attention: Tensor | None, begins: bool) -> Tensor:
        """Lets every beam choose its next tokens, and returns the rows that they extend, `(sources, hypotheses)`."""
        rows, place = [], Place(self.bounds, self.left, self.lengths)
        for number, beam in enumerate(self.beams):
            start = 0 if begins else number * beam.search.width
            own = slice(start, start + beam.tokens.shape[1])
            others = torch.cat([other.tokens for other in self.beams[:number]], 1) if number else None
            watched = None if attention is None else attention[:, own]
            rows.append(beam.advance(log_probs[:, own], watched, place, others) + start)
        first = torch.arange(len(log_probs), device=log_probs.device) * log_probs.shape[1]
        return torch.cat(rows, 1) + first[:, None]

    def _leave(self) -> Tensor:
        """Stores the outputs of sources whose beams have all ended, and returns the others, `(sources,)`."""
        done = torch.stack([beam.done for beam in self.beams]).all(0)
        for source in done.nonzero()[:, 0].tolist():
            found = merge([beam.finished[source] for beam in self.beams], self.count)
            self.ended.append((self.keys[source], found))
        return (~done).nonzero()[:, 0]

    def keep(self, left: Tensor) -> None:
        """As `Running` says."""
        super().keep(left)
        for beam in self.beams:
            beam.keep(left)

    def join(self, other: Self) -> None:
        """As `Running` says."""
        super().join(other)
        for beam, more in zip(self.beams, other.beams, strict=True):
            beam.join(more)


def _tokens(beams: Sequence[Beam]) -> Tensor:
    """Prompt and output of every row, `(rows, length)`."""
    return torch.cat([beam.tokens for beam in beams], 1).flatten(0, 1)
