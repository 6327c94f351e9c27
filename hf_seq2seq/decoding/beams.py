"""A beam of hypotheses per source, which is extended by one token at a time."""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from hf_seq2seq.decoding.diversity import Diversity
from hf_seq2seq.decoding.hypothesis import Bounds, Hypothesis
from hf_seq2seq.decoding.normalization import LengthNormalization, coverage_penalty
from hf_seq2seq.decoding.rules import FORBIDDEN, PADDING, last
from hf_seq2seq.decoding.steps import join_tokens
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


@dataclass(frozen=True)
class Place:
    """Where the outputs of the sources of a step stand.

    Attributes:
        bounds: of the outputs.
        sources: indices of the sources in the bounds, `(sources,)`.
        lengths: tokens of their outputs after the step, `(sources,)`.
    """

    bounds: Bounds
    sources: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class Candidates:
    """Hypotheses from which the next ones are chosen, best first, each `(sources, candidates)`.

    Attributes:
        parents: the hypotheses that they continue.
        tokens: their last tokens.
        sums: their summed log-probabilities; minus infinity for missing ones.
    """

    parents: Tensor
    tokens: Tensor
    sums: Tensor


class Beam:
    """A beam for every source that is still in the batch.

    Args:
        prompt: tokens before the output, `(sources, length)`, -1 at padding.
        search: settings.

    Attributes:
        tokens: prompt and output of the hypotheses, `(sources, width, length)`, best first; initially one each.
        sums: their summed log-probabilities, `(sources, width)`; minus infinity where there is no hypothesis.
        done: sources whose beam has ended, `(sources,)`.
        worst: scores of the worst finished hypotheses, `(sources,)`; minus infinity while there are fewer than `width`.
        finished: the best finished hypotheses of every source, best first.
        coverage: attention summed over the outputs, `(sources, width, source)`; None unless requested.
    """

    def __init__(self, prompt: Tensor, search: BeamSettings) -> None:
        count, device = len(prompt), prompt.device
        self.search = search
        self.tokens = prompt[:, None]
        self.sums = torch.zeros(count, 1, device=device)
        self.done = torch.zeros(count, dtype=torch.bool, device=device)
        self.worst = torch.full((count,), FORBIDDEN, device=device)
        self.finished: list[list[Hypothesis]] = [[] for _ in range(count)]
        self.coverage: Tensor | None = None

    def keep(self, left: Tensor) -> None:
        """Drops all sources but these."""
        self.tokens, self.sums, self.done, self.worst = (
            part[left] for part in (self.tokens, self.sums, self.done, self.worst)
        )
        self.finished = [self.finished[source] for source in left.tolist()]
        self.coverage = None if self.coverage is None else self.coverage[left]

    def join(self, other: Self) -> None:
        """Adds the sources of another beam with the same settings."""
        self.tokens, self.finished = join_tokens(self.tokens, other.tokens), self.finished + other.finished
        self.sums, self.done = torch.cat([self.sums, other.sums]), torch.cat([self.done, other.done])
        self.worst = torch.cat([self.worst, other.worst])
        if self.coverage is not None and other.coverage is not None:
            width = max(self.coverage.shape[2], other.coverage.shape[2])
            self.coverage = torch.cat([_widened(self.coverage, width), _widened(other.coverage, width)])

    def advance(self, log_probs: Tensor, attention: Tensor | None, place: Place, others: Tensor | None) -> Tensor:
        """Selects the hypotheses of the next step, one token longer.

        Args:
            log_probs: log-probabilities of the next token, `(sources, width, vocabulary)`.
            attention: attention on the source at this step, `(sources, width, source)`.
            place: where the outputs stand.
            others: hypotheses of the previous beams, which have already made this step.

        Returns: The hypothesis that each new one continues, `(sources, width)`.
        """
        totals = self.sums[..., None] + log_probs
        ranked, vocabulary = totals, totals.shape[2]
        if others is not None and self.search.diversity.strength:
            ranked = totals - self.search.diversity.penalty(self.tokens, others, vocabulary)
        index = self._candidates(ranked, place)
        parents = (index // vocabulary).clamp(max=totals.shape[1] - 1)
        chosen = Candidates(parents, index % vocabulary, gather_or_forbid(totals, index))
        ends = self._ends(chosen, place)
        if attention is not None:
            before = 0 if self.coverage is None else _widened(self.coverage, attention.shape[2])
            self.coverage = before + attention
        self._finish(chosen, ends, place)
        parents = self._go_on(chosen, ends, place)
        self._stop(place)
        return parents

    def outputs(self, place: Place) -> list[list[list[int]]]:
        """The tokens of every hypothesis before the step."""
        width = self.tokens.shape[1]
        rows = last(self.tokens.flatten(0, 1), (place.lengths - 1).repeat_interleave(width))
        return [rows[start : start + width] for start in range(0, len(rows), width)]

    def _ends(self, chosen: Candidates, place: Place) -> Tensor:
        """Candidates that end."""
        ends = place.bounds.ends(chosen.tokens, place.lengths, place.sources)
        if place.bounds.stops is None:
            return ends
        before, pairs = self.outputs(place), torch.stack([chosen.parents, chosen.tokens], -1).tolist()
        longer = [[*before[row][parent], token] for row, own in enumerate(pairs) for parent, token in own]
        return ends | place.bounds.stopped(longer).view_as(ends)

    def _candidates(self, scores: Tensor, place: Place) -> Tensor:
        """Enough candidates for `width` to continue even if all hypotheses end with the best tokens; as `best`."""
        return best(scores, self.search.width * max(2, 1 + len(place.bounds.eos)))

    def _finishing(self, chosen: Candidates, ends: Tensor, place: Place) -> Tensor:
        """Candidates that become finished hypotheses: those among the best `width` that end."""
        return ends & (torch.arange(ends.shape[1], device=ends.device) < self.search.width)

    def _onward(self, chosen: Candidates, sums: Tensor, place: Place) -> Tensor:
        """Indices of the `width` candidates that continue; missing ones have the sum minus infinity."""
        return (sums == FORBIDDEN).long().argsort(dim=1, stable=True)[:, : self.search.width]

    def _finish(self, chosen: Candidates, ends: Tensor, place: Place) -> None:
        """Stores candidates that end."""
        search = self.search
        scores = chosen.sums / search.normalization.divisor(place.lengths[:, None])
        if self.coverage is not None:
            scores = scores + coverage_penalty(self.coverage, search.coverage).gather(1, chosen.parents)
        found = self._finishing(chosen, ends, place) & (scores > FORBIDDEN) & ~self.done[:, None]
        rows, places = found.nonzero(as_tuple=True)
        if not len(rows):
            return
        before = last(self.tokens[rows, chosen.parents[rows, places]], place.lengths[rows] - 1)
        each = zip(rows.tolist(), before, chosen.tokens[found].tolist(), scores[found].tolist(), strict=True)
        for row, ids, token, score in each:
            insort(self.finished[row], Hypothesis.of([*ids, token], score, place.bounds.ends_with), key=_rank)
        for row in set(rows.tolist()):
            finished = self.finished[row]
            del finished[search.width :]
            if len(finished) == search.width:
                self.worst[row] = finished[-1].score

    def _go_on(self, chosen: Candidates, ends: Tensor, place: Place) -> Tensor:
        """Continues with `width` candidates that do not end, and returns what they continue."""
        sums = chosen.sums.masked_fill(ends, FORBIDDEN)
        onward = self._onward(chosen, sums, place)
        parents, self.sums = chosen.parents.gather(1, onward), sums.gather(1, onward)
        before = self.tokens.gather(1, parents[..., None].expand(-1, -1, self.tokens.shape[2]))
        self.tokens = torch.cat([before, chosen.tokens.gather(1, onward)[..., None]], 2)
        if self.coverage is not None:
            self.coverage = self.coverage.gather(1, parents[..., None].expand(-1, -1, self.coverage.shape[2]))
        return parents

    def _stop(self, place: Place) -> None:
        """Finds the sources whose beam has ended."""
        longest, search = place.bounds.longest[place.sources], self.search
        optimistic = search.early_stopping == "never" and search.normalization.alpha > 0
        most = self.sums.amax(1)
        hope = most / search.normalization.divisor(longest if optimistic else place.lengths)
        full = (self.worst > FORBIDDEN) & ((hope <= self.worst) | (search.early_stopping == "true"))
        self.done = self.done | full | (longest <= place.lengths) | (most == FORBIDDEN)


def _widened(coverage: Tensor, width: int) -> Tensor:
    """Coverage `(sources, width, source)` of a source padded to this many tokens."""
    return pad(coverage, [0, width - coverage.shape[2]], value=PADDING)


def _rank(hypothesis: Hypothesis) -> float:
    return -hypothesis.score


def merge(beams: Sequence[list[Hypothesis]], count: int) -> list[Hypothesis]:
    """The best hypotheses of several beams, at most `count` different ones."""
    ranked: list[Any] = sorted((each for beam in beams for each in beam), key=_rank)
    return list({tuple(each.ids): each for each in ranked}.values())[:count]
