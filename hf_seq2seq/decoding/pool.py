"""Continuous batches: searches that began at different times share every pass of one model.

Sources with the same settings are searched together, whenever they came. Those that have ended leave the batch, and new
ones enter between two steps, so none waits for the slowest.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hf_seq2seq.decoding.beam_attention import attending_together
from hf_seq2seq.decoding.hypothesis import Hypothesis
from hf_seq2seq.decoding.joined_decoders import JoinedDecoder, joined_decoder
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.steps import Prediction, Running, Sources, Step

Ended = list[tuple[Any, list[Hypothesis]]]


@dataclass(frozen=True)
class Arrival:
    """Sources that begin together.

    Attributes:
        searcher: their search.
        keys: what the caller knows each by.
        numbers: as for `Searcher`.
    """

    searcher: Searcher
    keys: Sequence[Hashable]
    numbers: Sequence[int]


@dataclass(eq=False)
class Group:
    """Sources that are searched together.

    Attributes:
        searcher: the settings.
        search: the search.
        step: what it wants to read next.
        sources: its sources in the batch.
        rows: its rows in the batch.
    """

    searcher: Searcher
    search: Running
    step: Step | None = None
    sources: int = 0
    rows: int = 0

    def advance(self, prediction: Prediction) -> Ended:
        """Takes a prediction; the outputs of the sources that it ends."""
        self.sources, self.rows = len(self.search.keys), len(prediction.logits)
        self.step = self.search.advance(prediction)
        ended, self.search.ended = self.search.ended, []
        return ended

    def drop(self, keys: frozenset[Any]) -> None:
        """Ends the search of some sources without outputs."""
        step, staying = self.step, [number for number, key in enumerate(self.search.keys) if key not in keys]
        if step is None or len(staying) == len(self.search.keys):
            return
        if not staying:
            self.step = None
            return
        left = torch.tensor(staying, device=step.tokens.device)
        rows = torch.arange(len(step.tokens), device=left.device).view(len(self.search.keys), -1)[left].flatten()
        self.search.keep(left)
        self.step = Step(
            rows if step.rows is None else step.rows[rows],
            left if step.sources is None else step.sources[left],
            step.tokens[rows],
        )


class Pool:
    """Searches of one model that share its passes; all have the same number of hypotheses per source.

    Args:
        model: the model, in evaluation mode; `joins` must hold for it.
        watch: return the attention on the source to the searches.
    """

    def __init__(self, model: Any, watch: bool = False) -> None:
        self.model, self.watch = model, watch
        self.groups: list[Group] = []
        self.decoder: JoinedDecoder | None = None

    @torch.inference_mode()
    def add(self, arrivals: Sequence[Arrival], batch: dict[str, Tensor]) -> Ended:
        """Begins searches, which join the others; keys and outputs of the sources that their first token ends.

        Args:
            arrivals: the searches.
            batch: their sources, one after the other, as for `Searcher`.
        """
        decoder = joined_decoder(self.model, batch, self.watch)
        with attending_together(self.model):
            first, attention = decoder.start(), decoder.attention
        numbers = [number for each in arrivals for number in each.numbers]
        seeds = [each.searcher.search.seed for each in arrivals for _ in each.numbers]
        known, start, groups, ended = Sources.of(decoder, numbers, seeds), 0, list[Group](), Ended()
        for each in arrivals:
            rows = torch.arange(start, start + len(each.keys), device=first.device)
            group = Group(each.searcher, each.searcher.begin(decoder.prompt[rows], known.select(rows), each.keys))
            ended += group.advance(Prediction(first[rows], None if attention is None else attention[rows]))
            groups.append(group)
            start += len(each.keys)
        if keep(decoder, groups):
            self._enter(decoder, [group for group in groups if group.step is not None])
        return ended

    def drop(self, keys: frozenset[Any]) -> None:
        """Ends the searches of some sources without outputs."""
        for group in self.groups:
            group.drop(keys)

    @torch.inference_mode()
    def step(self) -> Ended:
        """Lets every search take one step; keys and outputs of the sources that ended."""
        self._keep()
        if self.decoder is None:
            return []
        with attending_together(self.model):
            logits = self.decoder.step(torch.cat([group.step.tokens for group in self.groups if group.step]))
        attention, row, ended = self.decoder.attention, 0, Ended()
        for group in self.groups:
            own = slice(row, row + group.rows)
            row += group.rows
            ended += group.advance(Prediction(logits[own], None if attention is None else attention[own]))
        return ended

    def so_far(self) -> list[tuple[Any, list[int]]]:
        """Keys and tokens so far of the sources that have one hypothesis."""
        return [pair for group in self.groups if group.step for pair in group.search.so_far()]

    def _keep(self) -> None:
        """Continues with the rows that the searches ask for."""
        if self.decoder is not None and not keep(self.decoder, self.groups):
            self.decoder = None
        self.groups = [group for group in self.groups if group.step is not None]

    def _enter(self, decoder: JoinedDecoder, groups: Sequence[Group]) -> None:
        """Lets searches join the others, or those with the same settings."""
        self._keep()
        old = list(self.groups)
        if self.decoder is None:
            self.decoder = decoder
        else:
            self.decoder.join(decoder)  # type: ignore[arg-type]  # both are of the model's kind
        places, start = {}, 0
        for group in [*old, *groups]:
            places[group] = [range(start, start + group.sources)]
            start += group.sources
        for group in groups:
            known = next((each for each in self.groups if each.searcher.shares(group.searcher)), None)
            if known is None:
                self.groups.append(group)
            else:
                unite(known, group)
                places[known] += places[group]
        self._order([source for group in self.groups for part in places[group] for source in part])

    def _order(self, sources: list[int]) -> None:
        """Makes the rows of every group adjacent.

        Args:
            sources: the sources in the batch in their new order.
        """
        assert self.decoder is not None
        if sources == list(range(len(sources))):
            return
        order = torch.tensor(sources, device=self.decoder.mask.device)
        width = self.groups[0].rows // self.groups[0].sources
        self.decoder.keep((order[:, None] * width + torch.arange(width, device=order.device)).flatten(), order)


def unite(one: Group, other: Group) -> None:
    """Adds the sources of the second group, both of whose rows are in the batch, to the first."""
    assert one.step is not None
    assert other.step is not None
    one.search.join(other.search)
    one.step = Step(None, None, torch.cat([one.step.tokens, other.step.tokens]))
    one.sources, one.rows = one.sources + other.sources, one.rows + other.rows


def keep(decoder: JoinedDecoder, groups: Sequence[Group]) -> bool:
    """Continues with the rows that groups ask for, whose rows follow each other; whether any is left.

    The steps of the groups then only have tokens.
    """
    left = [group for group in groups if group.step is not None]
    if not left:
        return False
    if len(left) < len(groups) or any(group.step.rows is not None for group in left if group.step):
        whole = len(left) == len(groups) and all(group.step.sources is None for group in left if group.step)
        rows, sources, row, source = [], [], 0, 0
        for group in groups:
            if (step := group.step) is not None:
                device = step.tokens.device
                rows.append(row + (torch.arange(group.rows, device=device) if step.rows is None else step.rows))
                own = torch.arange(group.sources, device=device) if step.sources is None else step.sources
                sources.append(source + own)
            row, source = row + group.rows, source + group.sources
        decoder.keep(torch.cat(rows), None if whole else torch.cat(sources))
    for group in left:
        assert group.step is not None
        group.rows, group.sources = len(group.step.tokens), len(group.search.keys)
        group.step = Step(None, None, group.step.tokens)
    return True
