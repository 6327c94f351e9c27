"""One token per step: the best (greedy search), or one sampled from the model's distribution.

Each row has its own random generator, so its output does not depend on its batch.
"""

from collections.abc import Hashable, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from hf_seq2seq.decoding.hypothesis import Hypothesis
from hf_seq2seq.decoding.normalization import LengthNormalization
from hf_seq2seq.decoding.rules import FORBIDDEN, Prefixes, apply_rules, last
from hf_seq2seq.decoding.steps import Prediction, Rules, Running, Sources, Step, join_tokens


class Draw:
    """Samples with random numbers per row: the first token whose cumulative probability exceeds the number.

    Args:
        seeds: the seed of each source.
        numbers: indices that identify the sources independently of their batch.
        samples: outputs per source.
        longest: maximum output length in tokens.
    """

    def __init__(self, seeds: Sequence[int], numbers: Sequence[int], samples: int, longest: int) -> None:
        each = zip(seeds, numbers, strict=True)
        self.uniform = torch.stack([_uniform(seed, number, samples, longest) for seed, number in each])

    def __call__(self, lengths: Tensor, scores: Tensor) -> Tensor:
        """Tokens `(rows,)` from `softmax(scores)`, given the tokens of each source's outputs so far, `(sources,)`."""
        numbers = self.uniform.to(scores.device)
        index = lengths[:, None, None].expand(-1, numbers.shape[1], 1)
        return choose_tokens(scores, numbers.gather(2, index).flatten())


def choose_tokens(scores: Tensor, numbers: Tensor) -> Tensor:
    """Tokens `(rows,)` from `softmax(scores)`, `(rows, vocabulary)`, by numbers in [0, 1), `(rows,)` float64."""
    sums = scores.double().softmax(-1).cumsum(-1)
    wanted = numbers[:, None] * sums[:, -1:]
    return torch.searchsorted(sums, wanted, right=True)[:, 0].clamp(max=scores.shape[1] - 1)


def _uniform(seed: int, number: int, samples: int, longest: int) -> Tensor:
    """Numbers in [0, 1), `(samples, longest)` float64; the first samples are the same however many are drawn."""
    mixed = int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)
    return torch.rand(samples, longest, dtype=torch.float64, generator=torch.Generator().manual_seed(mixed))


class OneByOne(Running):
    """Generates outputs token by token; finished sources leave the batch.

    There are `samples` outputs of every source, fewer if the rules allow no token; their scores are relative to the
    distribution after the rules.

    Args:
        prompt: tokens before the output, `(sources, length)`, -1 at padding.
        normalization: of their scores.
        draw: chooses the tokens; None for the best ones.
        samples: outputs per source.
    """

    def __init__(
        self,
        keys: Sequence[Hashable],
        sources: Sources,
        rules: Rules,
        prompt: Tensor,
        normalization: LengthNormalization,
        draw: Draw | None = None,
        samples: int = 1,
    ) -> None:
        super().__init__(keys, sources, rules)
        self.normalization, self.draw, self.samples, self.begun = normalization, draw, samples, False
        self.tokens = prompt.repeat_interleave(samples, 0)
        self.sums = torch.zeros(len(self.tokens), device=prompt.device)
        self.writing = torch.ones(len(self.tokens), dtype=torch.bool, device=prompt.device)
        self.found: list[dict[int, Hypothesis]] = [{} for _ in self.keys]

    def advance(self, prediction: Prediction) -> Step | None:
        """As `Running` says."""
        begins, self.begun = not self.begun, True
        logits = prediction.logits.repeat_interleave(self.samples, 0) if begins else prediction.logits
        scores = apply_rules(self.rules, self._prefixes(), logits)
        chosen = scores.argmax(-1) if self.draw is None else self.draw(self.lengths, scores)
        self.writing = self.writing & (scores.amax(-1) > FORBIDDEN)
        self.sums = self.sums + scores.gather(1, chosen[:, None])[:, 0] - scores.logsumexp(-1)
        self.tokens, self.lengths = torch.cat([self.tokens, chosen[:, None]], 1), self.lengths + 1
        self._finish(chosen)
        staying = self.writing.view(-1, self.samples).any(1)
        left = staying.nonzero()[:, 0]
        leaving = len(left) < len(staying)
        if leaving:
            self._leave(staying.tolist())
            if not len(left):
                return None
            self.keep(left)
        if begins:
            return Step(left.repeat_interleave(self.samples), left, self.tokens[:, -1])
        return Step(self._rows(left) if leaving else None, left if leaving else None, self.tokens[:, -1])

    def _prefixes(self) -> Prefixes:
        if self.samples == 1:
            return Prefixes(self.tokens, self.lengths, self.left)
        lengths, sources = (part.repeat_interleave(self.samples) for part in (self.lengths, self.left))
        return Prefixes(self.tokens, lengths, sources)

    def _rows(self, sources: Tensor) -> Tensor:
        if self.samples == 1:
            return sources
        return (sources[:, None] * self.samples + torch.arange(self.samples, device=sources.device)).flatten()

    def _finish(self, chosen: Tensor) -> None:
        """Stores the outputs that end with the chosen tokens."""
        prefixes = self._prefixes()
        ends = self.bounds.ends(chosen, prefixes.lengths, prefixes.sources)
        if self.bounds.stops is not None:
            ends = ends | self.bounds.stopped(prefixes.outputs())
        rows = (self.writing & ends).nonzero()[:, 0]
        if not len(rows):
            return
        self.writing = self.writing & ~ends
        lengths = prefixes.lengths[rows]
        scores = (self.sums[rows] / self.normalization.divisor(lengths)).tolist()
        for row, ids, score in zip(rows.tolist(), last(self.tokens[rows], lengths), scores, strict=True):
            hypothesis = Hypothesis.of(ids, score, self.bounds.ends_with)
            self.found[row // self.samples][row % self.samples] = hypothesis

    def _leave(self, staying: list[bool]) -> None:
        for key, outputs, stays in zip(self.keys, self.found, staying, strict=True):
            if not stays:
                self.ended.append((key, [outputs[sample] for sample in sorted(outputs)]))

    def keep(self, left: Tensor) -> None:
        """As `Running` says."""
        super().keep(left)
        rows = self._rows(left)
        self.tokens, self.sums, self.writing = self.tokens[rows], self.sums[rows], self.writing[rows]
        self.found = [self.found[source] for source in left.tolist()]
        if self.draw is not None:
            self.draw.uniform = self.draw.uniform[left]

    def join(self, other: Self) -> None:
        """As `Running` says."""
        super().join(other)
        self.tokens, self.found = join_tokens(self.tokens, other.tokens), self.found + other.found
        self.sums, self.writing = torch.cat([self.sums, other.sums]), torch.cat([self.writing, other.writing])
        if self.draw is not None and other.draw is not None:
            self.draw.uniform = torch.cat([self.draw.uniform, other.draw.uniform])

    def so_far(self) -> list[tuple[Any, list[int]]]:
        """As `Running` says."""
        if self.samples > 1:
            return []
        return list(zip(self.keys, last(self.tokens, self.lengths), strict=True))
