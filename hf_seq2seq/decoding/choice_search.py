"""The best entries of a closed list of outputs, exactly.

All prefixes of entries are extended together, the best `width` of each source. A prefix is dropped for good when no
entry below it can reach the best ones found; if one had to be dropped for lack of width, the search is repeated with
more width, or at last on halves of the list, until that makes no difference. So the outputs are the best of the list,
as if each of its entries were scored.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hf_seq2seq.decoding.choices import Children, Choices
from hf_seq2seq.decoding.decoder import Decoder
from hf_seq2seq.decoding.hypothesis import Hypothesis
from hf_seq2seq.decoding.normalization import LengthNormalization
from hf_seq2seq.decoding.rules import FORBIDDEN, Prefixes, Rule, apply_rules

ROWS = 4096
"""Prefixes in memory at a time."""
FASTER = 4
"""How many times more prefixes are kept when a search is repeated."""

Decode = Callable[[list[int]], AbstractContextManager[tuple[Decoder, list[Rule]]]]


@dataclass(frozen=True)
class ChoiceSettings:
    """What is asked for.

    Attributes:
        choices: the list.
        count: outputs per source.
        width: prefixes of a source that are kept at first.
        normalization: of scores by length.
        eos: tokens that end an output.
    """

    choices: Choices
    count: int
    width: int
    normalization: LengthNormalization
    eos: Sequence[int]


@dataclass
class Best:
    """The best entries of a source so far.

    Attributes:
        count: how many are wanted.
        found: score and index of each entry, best first.
    """

    count: int
    found: list[tuple[float, int]] = field(default_factory=list)

    @property
    def floor(self) -> float:
        """The score that another entry has to exceed."""
        return self.found[-1][0] if len(self.found) == self.count else FORBIDDEN

    def add(self, score: float, entry: int) -> None:
        """Takes an entry in if it is good enough; one that is known is not added again."""
        if score > self.floor and entry not in {known for _, known in self.found}:
            self.found = sorted([*self.found, (score, entry)], key=lambda pair: -pair[0])[: self.count]


@dataclass(frozen=True)
class Part:
    """A part of the list, to be searched for a source.

    Attributes:
        source: index of the source.
        first: index of the first entry.
        end: index after the last one.
    """

    source: int
    first: int
    end: int

    def halves(self) -> list["Part"]:
        """Its two halves."""
        middle = (self.first + self.end) // 2
        return [Part(self.source, self.first, middle), Part(self.source, middle, self.end)]


@dataclass(frozen=True)
class Front:
    """The prefixes of a source that are extended next, best first; each array is `(prefixes,)`.

    Attributes:
        first: index of the first entry of each.
        end: index after the last one.
        sums: summed log-probabilities, float64.
        parents: row that each continues.
        tokens: its last token.
    """

    first: np.ndarray
    end: np.ndarray
    sums: np.ndarray
    parents: np.ndarray
    tokens: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def children(self, choices: Choices, depth: int) -> list[Children]:
        """The nodes below each prefix of `depth` tokens."""
        return [choices.children(int(first), int(end), depth) for first, end in zip(self.first, self.end, strict=True)]


def search_choices(decode: Decode, sources: int, settings: ChoiceSettings) -> list[list[Hypothesis]]:
    """The best entries for every source, best first.

    Args:
        decode: a decoder and the rules for the sources of these indices, which may repeat.
        sources: how many there are.
        settings: what is asked for.
    """
    best = [Best(settings.count) for _ in range(sources)]
    waiting, width = [Part(source, 0, len(settings.choices)) for source in range(sources)], settings.width
    while waiting:
        lost: list[Part] = []
        for parts in _groups(waiting, max(1, ROWS // width)):
            with decode([part.source for part in parts]) as (decoder, rules):
                searched = _Search(settings, parts, [best[part.source] for part in parts], width)
                lost += searched.run(decoder, rules)
        # A range of as many entries as prefixes are kept loses none.
        waiting = [half for part in lost for half in part.halves()] if width >= ROWS else lost
        width = min(width * FASTER, ROWS)
    return [_hypotheses(each, settings) for each in best]


def _groups(parts: Sequence[Part], size: int) -> Iterator[Sequence[Part]]:
    return (parts[start : start + size] for start in range(0, len(parts), size))


def _hypotheses(best: Best, settings: ChoiceSettings) -> list[Hypothesis]:
    table, lengths = settings.choices.table, settings.choices.lengths
    return [Hypothesis.of(table[entry, : lengths[entry]].tolist(), score, settings.eos) for score, entry in best.found]


class _Search:
    """One pass over some parts of the list, each for a source.

    Args:
        settings: what is asked for.
        parts: the parts.
        best: the best entries so far of each part's source.
        width: prefixes of a part that are kept.
    """

    def __init__(self, settings: ChoiceSettings, parts: Sequence[Part], best: Sequence[Best], width: int) -> None:
        self.settings, self.parts, self.best, self.width = settings, parts, best, width
        self.lost = [FORBIDDEN] * len(parts)

    @torch.inference_mode()
    def run(self, decoder: Decoder, rules: Sequence[Rule]) -> list[Part]:
        """Searches, and returns the parts in which a prefix was dropped below which a better entry may be."""
        tokens, logits, depth = decoder.prompt, decoder.start(), 0
        active, fronts = list(range(len(self.parts))), [self._root(part) for part in self.parts]
        while True:
            rows = torch.tensor(active, device=tokens.device).repeat_interleave(len(tokens) // len(active))
            log_probs = apply_rules(rules, Prefixes(tokens, torch.full_like(rows, depth), rows), logits.log_softmax(-1))
            depth += 1
            grown = self._grow(active, fronts, log_probs, depth)
            left = [place for place, front in enumerate(grown) if len(front)]
            if not left:
                break
            wide = max(len(grown[place]) for place in left)
            parents = [_filled(grown[place].parents, wide) for place in left]
            continued = torch.tensor(np.concatenate(parents), device=tokens.device)
            chosen = np.concatenate([_filled(grown[place].tokens, wide) for place in left])
            decoder.keep(continued, torch.tensor(left, device=tokens.device))
            following = torch.tensor(chosen, device=tokens.device)
            tokens = torch.cat([tokens[continued], following[:, None]], 1)
            logits = decoder.step(following)
            active, fronts = [active[place] for place in left], [grown[place] for place in left]
        return [part for part, best, lost in zip(self.parts, self.best, self.lost, strict=True) if lost > best.floor]

    def _root(self, part: Part) -> Front:
        zeros = np.zeros(1, dtype=np.int64)
        return Front(zeros + part.first, zeros + part.end, np.zeros(1), zeros, zeros)

    def _grow(self, active: Sequence[int], fronts: Sequence[Front], log_probs: Tensor, depth: int) -> list[Front]:
        """The prefixes of each active part, one token longer."""
        wide = len(log_probs) // len(active)
        every = [front.children(self.settings.choices, depth - 1) for front in fronts]
        columns = [child.tokens for own in every for child in own]
        rows = [place * wide + row for place, own in enumerate(every) for row in range(len(own))]
        parents = np.repeat(rows, [len(column) for column in columns])
        index = [torch.from_numpy(part).to(log_probs.device) for part in (parents, np.concatenate(columns))]
        read = log_probs[index[0], index[1]].double().cpu().numpy()
        values = np.split(read, np.cumsum([len(column) for column in columns])[:-1])
        grown, start = [], 0
        for place, (part, front, own) in enumerate(zip(active, fronts, every, strict=True)):
            counts = [len(c.tokens) for c in own]
            sums = np.concatenate(values[start : start + len(own)]) + np.repeat(front.sums, counts)
            start += len(own)
            whose = place * wide + np.repeat(np.arange(len(own)), counts)
            grown.append(self._kept(part, own, sums, whose, depth))
        return grown

    def _kept(self, part: int, own: Sequence[Children], sums: np.ndarray, parents: np.ndarray, depth: int) -> Front:
        """Those of a part's longer prefixes that may lead to one of its best entries; complete ones become entries."""
        tokens, first, end, shortest, longest = (np.concatenate(each) for each in zip(*own, strict=True))
        best = self.best[part]
        divisor: Any = self.settings.normalization.divisor  # also of arrays
        done = shortest == depth  # the entry that ends here comes first
        for place in np.flatnonzero(done & (sums > FORBIDDEN)).tolist():
            best.add(float(sums[place] / divisor(depth)), int(first[place]))
        first = first + done
        # No log-probability is above 0, so the largest divisor gives the most that an entry can reach.
        bound = sums / np.maximum(divisor(longest.astype(float)), divisor(np.maximum(shortest, depth).astype(float)))
        going = np.flatnonzero((first < end) & (bound > best.floor))
        order = going[np.argsort(-sums[going], kind="stable")]
        dropped = order[self.width :]
        self.lost[part] = max(self.lost[part], float(bound[dropped].max(initial=FORBIDDEN)))
        order = order[: self.width]
        return Front(first[order], end[order], sums[order], parents[order], tokens[order])


def _filled(rows: np.ndarray, size: int) -> np.ndarray:
    """Rows, the first one repeated at the end so that there are `size`."""
    return np.concatenate([rows, np.full(size - len(rows), rows[0])])
