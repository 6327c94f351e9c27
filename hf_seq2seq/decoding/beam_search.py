"""Beam search: the best hypotheses of every source are extended together; finished sources leave the batch.

With the same settings the results equal those of transformers' `generate`. Several beams per source, each penalized for
similarity to the previous ones, are diverse beam search (`diversity.py`).
"""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hf_seq2seq.decoding.decoder import Decoder
from hf_seq2seq.decoding.diversity import Diversity
from hf_seq2seq.decoding.hypothesis import Bounds, Hypothesis
from hf_seq2seq.decoding.normalization import LengthNormalization, coverage_penalty
from hf_seq2seq.decoding.rules import FORBIDDEN, Prefixes, Rule, apply_rules
from hf_seq2seq.decoding.steps import Prediction, Step, Steps
from hf_seq2seq.decoding.top_k import best, gather_or_forbid


@dataclass(frozen=True)
class BeamSettings:
    """Settings.

    Attributes:
        width: hypotheses of each beam.
        beams: beams per source; more than one requires `diversity`.
        normalization: length normalization used to compare finished hypotheses.
        early_stopping: a beam ends "true": as soon as it has `width` finished hypotheses; "false": when its best
            unfinished one, normalized at its current length, is no better than the worst of them; "never": when it
            could not become better even at the maximum length.
        coverage: weight of the coverage penalty; if not 0, needs a decoder that returns its attention.
        diversity: penalty for similarity between beams.
    """

    width: int
    beams: int = 1
    normalization: LengthNormalization = field(default_factory=LengthNormalization)
    early_stopping: str = "false"
    coverage: float = 0.0
    diversity: Diversity = field(default_factory=Diversity)


def beam_search(first: Prediction, rules: Sequence[Rule], beams: Sequence["Beam"], count: int = 1) -> Steps:
    """Searches for the best hypotheses of every source, at most `count`.

    Args:
        first: the prediction of the first token.
        rules: rules of the next token.
        beams: one per group, which is as many for every source.
        count: hypotheses to return per source.
    """
    prediction, length, total = first, 0, len(first.logits)
    while True:
        logits, sources = prediction.logits, beams[0].sources
        rows = sources.repeat_interleave(len(logits) // len(sources))
        prefixes = Prefixes(_tokens(beams if length else beams[:1]), length, rows)
        log_probs = apply_rules(rules, prefixes, logits.log_softmax(-1)).unflatten(0, (len(sources), -1))
        attention = None if prediction.attention is None else prediction.attention.unflatten(0, (len(sources), -1))
        length += 1
        parents = _advance(beams, log_probs, attention, length)
        left = (~torch.stack([beam.done for beam in beams]).all(0)).nonzero()[:, 0]
        if not len(left):
            return [_merge([beam.finished[source] for beam in beams], count) for source in range(total)]
        leaving = length == 1 or len(left) < len(sources)
        if leaving:
            for beam in beams:
                beam.keep(left)
        tokens = _tokens(beams)[:, -1]
        prediction = yield Step(parents[left].flatten(), left if leaving else None, tokens)


def _tokens(beams: Sequence["Beam"]) -> Tensor:
    """Prompt and output of every row, `(rows, length)`."""
    return torch.cat([beam.tokens for beam in beams], 1).flatten(0, 1)


def _advance(beams: Sequence["Beam"], log_probs: Tensor, attention: Tensor | None, length: int) -> Tensor:
    """Lets every beam choose its next tokens, and returns the rows that they extend, `(sources, hypotheses)`."""
    rows = []
    for number, beam in enumerate(beams):
        start = 0 if length == 1 else number * beam.search.width
        own = slice(start, start + beam.tokens.shape[1])
        others = torch.cat([other.tokens for other in beams[:number]], 1) if number else None
        parents = beam.advance(log_probs[:, own], None if attention is None else attention[:, own], length, others)
        rows.append(parents + start)
    first = torch.arange(len(log_probs), device=log_probs.device) * log_probs.shape[1]
    return torch.cat(rows, 1) + first[:, None]


def _merge(beams: Sequence[list[Hypothesis]], count: int) -> list[Hypothesis]:
    ranked = sorted((each for beam in beams for each in beam), key=lambda each: -each.score)
    return list({tuple(each.ids): each for each in ranked}.values())[:count]


class Beam:
    """A beam for every source that is still in the batch.

    Attributes:
        sources: their indices, `(sources,)`.
        tokens: prompt and output of the hypotheses, `(sources, width, length)`, best first; initially one each.
        sums: their summed log-probabilities, `(sources, width)`; minus infinity where there is no hypothesis.
        done: sources whose beam has ended, `(sources,)`.
        finished: the best finished hypotheses of every source, best first.
        worst: scores of the worst of these, `(all sources,)`; minus infinity while there are fewer than `width`.
    """

    def __init__(self, decoder: Decoder, bounds: Bounds, search: BeamSettings) -> None:
        count, device = len(decoder.prompt), decoder.prompt.device
        self.search, self.bounds, self.prompt = search, bounds, decoder.prompt.shape[1]
        self.sources = torch.arange(count, device=device)
        self.tokens = decoder.prompt[:, None]
        self.sums = torch.zeros(count, 1, device=device)
        self.done = torch.zeros(count, dtype=torch.bool, device=device)
        self.coverage: Tensor | None = None
        self.finished: list[list[Hypothesis]] = [[] for _ in range(count)]
        self.worst = torch.full((count,), FORBIDDEN, device=device)

    def keep(self, left: Tensor) -> None:
        """Drops all sources but these."""
        self.sources, self.tokens, self.sums, self.done = (
            part[left] for part in (self.sources, self.tokens, self.sums, self.done)
        )
        self.coverage = None if self.coverage is None else self.coverage[left]

    def advance(self, log_probs: Tensor, attention: Tensor | None, length: int, others: Tensor | None) -> Tensor:
        """Selects the hypotheses of the next step, one token longer.

        Args:
            log_probs: log-probabilities of the next token, `(sources, width, vocabulary)`.
            attention: attention on the source at this step, `(sources, width, source)`.
            length: length of the new outputs in tokens.
            others: hypotheses of the previous beams, which have already made this step.

        Returns: The hypothesis that each new one continues, `(sources, width)`.
        """
        totals = self.sums[..., None] + log_probs
        ranked, vocabulary = totals, totals.shape[2]
        if others is not None and self.search.diversity.strength:
            ranked = totals - self.search.diversity.penalty(self.tokens, others, vocabulary)
        index = self._candidates(ranked)
        sums = gather_or_forbid(totals, index)
        parents, tokens = (index // vocabulary).clamp(max=totals.shape[1] - 1), index % vocabulary
        ends = self.bounds.ends(tokens, length, self.sources)
        if self.bounds.stops is not None:
            before = self.tokens[:, :, self.prompt :].tolist()
            outputs = [
                [*before[row][parent], token]
                for row, pairs in enumerate(torch.stack([parents, tokens], -1).tolist())
                for parent, token in pairs
            ]
            ends = ends | self.bounds.stopped(outputs).view_as(ends)
        if attention is not None:
            self.coverage = attention if self.coverage is None else self.coverage + attention
        self._finish(parents, tokens, sums, ends, length)
        self._go_on(parents, tokens, sums, ends)
        self._stop(length)
        return self.parents

    def _candidates(self, scores: Tensor) -> Tensor:
        """Enough candidates for `width` to continue even if all hypotheses end with the best tokens; as `best`."""
        return best(scores, self.search.width * max(2, 1 + len(self.bounds.eos)))

    def _finishing(self, parents: Tensor, tokens: Tensor, ends: Tensor) -> Tensor:
        """Candidates that become finished hypotheses: those among the best `width` that end."""
        return ends & (torch.arange(ends.shape[1], device=ends.device) < self.search.width)

    def _onward(self, parents: Tensor, tokens: Tensor, sums: Tensor) -> Tensor:
        """Indices of the `width` candidates that continue; missing ones have the sum minus infinity."""
        return (sums == FORBIDDEN).long().argsort(dim=1, stable=True)[:, : self.search.width]

    def _finish(self, parents: Tensor, tokens: Tensor, sums: Tensor, ends: Tensor, length: int) -> None:
        """Stores candidates that end."""
        width, search = self.search.width, self.search
        scores = sums / search.normalization.divisor(length)
        if self.coverage is not None:
            scores = scores + coverage_penalty(self.coverage, search.coverage).gather(1, parents)
        found = self._finishing(parents, tokens, ends) & (scores > FORBIDDEN) & ~self.done[:, None]
        for row, place in found.nonzero().tolist():
            source, token = int(self.sources[row]), int(tokens[row, place])
            ids = [*self.tokens[row, parents[row, place], self.prompt :].tolist(), token]
            finished = self.finished[source]
            insort(finished, Hypothesis.of(ids, float(scores[row, place]), self.bounds.eos), key=_rank)
            del finished[width:]
            if len(finished) == width:
                self.worst[source] = finished[-1].score

    def _go_on(self, parents: Tensor, tokens: Tensor, sums: Tensor, ends: Tensor) -> None:
        """Continues with `width` candidates that do not end."""
        sums = sums.masked_fill(ends, FORBIDDEN)
        onward = self._onward(parents, tokens, sums)
        self.parents, self.sums = parents.gather(1, onward), sums.gather(1, onward)
        before = self.tokens.gather(1, self.parents[..., None].expand(-1, -1, self.tokens.shape[2]))
        self.tokens = torch.cat([before, tokens.gather(1, onward)[..., None]], 2)
        if self.coverage is not None:
            self.coverage = self.coverage.gather(1, self.parents[..., None].expand(-1, -1, self.coverage.shape[2]))

    def _stop(self, length: int) -> None:
        """Finds the sources whose beam has ended."""
        longest, worst, search = self.bounds.longest[self.sources], self.worst[self.sources], self.search
        optimistic = search.early_stopping == "never" and search.normalization.alpha > 0
        hope = self.sums.amax(1) / search.normalization.divisor(longest if optimistic else length)
        full = (worst > FORBIDDEN) & ((hope <= worst) | (search.early_stopping == "true"))
        self.done = self.done | full | (longest <= length) | (self.sums.amax(1) == FORBIDDEN)


def _rank(hypothesis: Hypothesis) -> float:
    return -hypothesis.score
