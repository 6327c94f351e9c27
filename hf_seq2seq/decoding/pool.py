"""Continuous batches: searches that began at different times share every pass of one model.

A search that has ended leaves the batch, and new ones enter between two steps, so none waits for the slowest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hf_seq2seq.decoding.beam_attention import attending_together
from hf_seq2seq.decoding.hypothesis import Hypothesis
from hf_seq2seq.decoding.joined_decoders import JoinedDecoder, joined_decoder
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.steps import Prediction, Step, Steps, proceed

Outputs = list[list[Hypothesis]]


@dataclass(eq=False)
class Member:
    """A search in a pool.

    Attributes:
        owner: whatever the caller knows it by.
        steps: the search.
        width: tokens of its longest source, padding included.
        rows: its rows in the batch.
        sources: its sources in the batch.
        step: what it wants to read; None once it has ended.
        left: the indices of its sources that are still in the batch.
        ids: the tokens so far of every source, where it has one hypothesis each; else empty.
    """

    owner: Any
    steps: Steps
    width: int
    rows: int
    sources: int
    step: Step | None = None
    left: list[int] = field(default_factory=list)
    ids: list[list[int]] = field(default_factory=list)

    def take(self, found: Step | Outputs) -> Outputs | None:
        """Takes what the search yields; its outputs if it has ended."""
        if not isinstance(found, Step):
            self.step = None
            return found
        self.step = found
        if found.sources is not None:
            self.left = [self.left[source] for source in found.sources.tolist()]
        if len(found.tokens) == len(self.left):
            for source, token in zip(self.left, found.tokens.tolist(), strict=True):
                self.ids[source].append(token)
        return None


class Pool:
    """Searches of one model that share its passes; all have the same number of hypotheses per source.

    Args:
        model: the model, in evaluation mode; `joins` must hold for it.
        watch: return the attention on the source to the searches.
    """

    def __init__(self, model: Any, watch: bool = False) -> None:
        self.model, self.watch = model, watch
        self.members: list[Member] = []
        self.decoder: JoinedDecoder | None = None
        self.arriving: list[tuple[Member, JoinedDecoder]] = []

    @property
    def searching(self) -> bool:
        """Whether a search is under way."""
        return any(member.step is not None for member in [*self.members, *(one for one, _ in self.arriving)])

    @torch.inference_mode()
    def add(self, owner: Any, searcher: Searcher, batch: dict[str, Tensor], numbers: Sequence[int]) -> Outputs | None:
        """Begins a search, which joins the others at the next step; its outputs if the first token ends it.

        Args:
            owner: returned with the outputs by `step`.
            searcher: the search.
            batch: as for `Searcher`.
            numbers: as for `Searcher`.
        """
        decoder = joined_decoder(self.model, batch, self.watch)
        with attending_together(self.model):
            first = Prediction(decoder.start(), decoder.attention)
        count, width = batch["attention_mask"].shape
        steps = searcher.steps(decoder, first, numbers)
        member = Member(owner, steps, width, count, count, left=list(range(count)), ids=[[] for _ in range(count)])
        if (outputs := member.take(proceed(steps))) is not None:
            return outputs
        assert member.step is not None
        decoder.keep(member.step.rows, member.step.sources)
        member.rows, member.sources = len(member.step.rows), len(member.left)
        self.arriving.append((member, decoder))
        return None

    def drop(self, owner: Any) -> None:
        """Ends the searches of an owner without outputs."""
        for member in [*self.members, *(one for one, _ in self.arriving)]:
            if member.owner is owner:
                member.step = None

    @torch.inference_mode()
    def step(self) -> list[tuple[Any, Outputs]]:
        """Lets every search take one step; the owners and outputs of those that ended."""
        self._keep()
        for member, decoder in self.arriving:
            self._join(member, decoder)
        self.arriving = []
        steps = [member.step for member in self.members if member.step is not None]
        if self.decoder is None or not steps:
            return []
        with attending_together(self.model):
            logits = self.decoder.step(torch.cat([step.tokens for step in steps]))
        attention, row, ended = self.decoder.attention, 0, []
        for member in self.members:
            own = slice(row, row + member.rows)
            watched = None if attention is None else attention[own, : member.width]
            outputs = member.take(proceed(member.steps, Prediction(logits[own], watched)))
            if outputs is not None:
                ended.append((member.owner, outputs))
            row += member.rows
        return ended

    def _keep(self) -> None:
        """Continues with the rows that the searches ask for."""
        rows, sources, left, row, source, whole = [], [], [], 0, 0, True
        for member in self.members:
            step, before = member.step, (row, source)
            row, source = row + member.rows, source + member.sources
            whole = whole and step is not None and step.sources is None
            if step is None:
                continue
            own = torch.arange(member.sources, device=step.rows.device) if step.sources is None else step.sources
            rows.append(step.rows + before[0])
            sources.append(own + before[1])
            left.append(member)
            member.rows, member.sources = len(step.rows), len(own)
        self.members = left
        if not left:
            self.decoder = None
        elif self.decoder is not None:
            self.decoder.keep(torch.cat(rows), None if whole else torch.cat(sources))

    def _join(self, member: Member, decoder: JoinedDecoder) -> None:
        if member.step is None:
            return
        self.members.append(member)
        if self.decoder is None:
            self.decoder = decoder
        else:
            self.decoder.join(decoder)  # type: ignore[arg-type]  # both are of the model's kind
