"""A search as a sequence of steps, so that several searches can share the passes of one model.

A search decodes a batch of sources, which may stand at different lengths of their outputs: others with the same
settings can join it between two steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from hf_seq2seq.decoding.decoder import Decoder
from hf_seq2seq.decoding.hypothesis import Bounds, Hypothesis
from hf_seq2seq.decoding.rules import PADDING, Rule


@dataclass(frozen=True)
class Step:
    """What a search wants a model to read next.

    Attributes:
        rows: the current row that each new row continues; the rows of a source are adjacent. None if every row goes on.
        sources: the current sources that remain; None if all do, with as many rows as before.
        tokens: the token that each new row reads, `(rows,)`.
    """

    rows: Tensor | None
    sources: Tensor | None
    tokens: Tensor


@dataclass(frozen=True)
class Prediction:
    """What a model answers.

    Attributes:
        logits: of the next token, `(rows, vocabulary)` float32; of the first token, one row per source.
        attention: of the last token on the source, `(rows, source)`, -1 at padding; None unless requested.
    """

    logits: Tensor
    attention: Tensor | None = None


@dataclass(frozen=True)
class Sources:
    """What a search knows of its sources.

    Attributes:
        prompts: tokens before each output, padding aside, `(sources,)`.
        lengths: tokens of each source, `(sources,)`.
        first_tokens: the first token of each one's outputs, -1 where it is free, `(sources,)`.
        numbers: indices that identify the sources in sampling, independently of their batch.
        seeds: the seed of each one's samples.
    """

    prompts: Tensor
    lengths: Tensor
    first_tokens: Tensor
    numbers: tuple[int, ...]
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, decoder: Decoder, numbers: Sequence[int], seeds: Sequence[int]) -> "Sources":
        """Those that a decoder has read."""
        prompts, given = (decoder.prompt != PADDING).sum(1), getattr(decoder, "first_tokens", None)
        firsts = torch.full_like(prompts, -1) if given is None else given
        return cls(prompts, decoder.lengths, firsts, tuple(numbers), tuple(seeds))

    def select(self, rows: Tensor) -> "Sources":
        """Some of them."""
        chosen = rows.tolist()
        return Sources(
            self.prompts[rows],
            self.lengths[rows],
            self.first_tokens[rows],
            tuple(self.numbers[row] for row in chosen),
            tuple(self.seeds[row] for row in chosen),
        )

    def __add__(self, other: "Sources") -> "Sources":
        return Sources(
            torch.cat([self.prompts, other.prompts]),
            torch.cat([self.lengths, other.lengths]),
            torch.cat([self.first_tokens, other.first_tokens]),
            self.numbers + other.numbers,
            self.seeds + other.seeds,
        )


Rules = Callable[[Sources], tuple[Bounds, Sequence[Rule]]]
"""Makes the bounds and rules of some sources."""


class Running(ABC):
    """A search under way.

    Args:
        keys: what the caller knows each source by.
        sources: what is known of them.
        rules: makes their bounds and rules.

    Attributes:
        keys: of the sources that are left, in the order of their rows.
        sources: everything that the rules were made for.
        left: the indices of those that are left, `(left,)`.
        lengths: tokens of their outputs so far, `(left,)`.
        ended: keys and outputs, best first, of those that have ended.
    """

    def __init__(self, keys: Sequence[Hashable], sources: Sources, rules: Rules) -> None:
        self.keys, self.sources, self.make_rules = list(keys), sources, rules
        self.left = torch.arange(len(self.keys), device=sources.lengths.device)
        self.lengths = torch.zeros_like(self.left)
        self.bounds, self.rules = rules(sources)
        self.ended: list[tuple[Any, list[Hypothesis]]] = []

    @abstractmethod
    def advance(self, prediction: Prediction) -> Step | None:
        """Takes a prediction, of the first token at first; what it wants to read next, None if all sources ended."""

    def keep(self, left: Tensor) -> None:
        """Drops all sources but these of those that are left."""
        self.keys = [self.keys[source] for source in left.tolist()]
        self.left, self.lengths = self.left[left], self.lengths[left]

    def join(self, other: Self) -> None:
        """Adds the sources of another search that has the same settings, after its first prediction."""
        self.sources = self.sources.select(self.left) + other.sources.select(other.left)
        self.bounds, self.rules = self.make_rules(self.sources)
        self.keys, self.lengths = self.keys + other.keys, torch.cat([self.lengths, other.lengths])
        self.left = torch.arange(len(self.keys), device=self.left.device)

    def so_far(self) -> list[tuple[Any, list[int]]]:
        """Keys and tokens of the outputs so far, of a search that has one hypothesis for each source."""
        return []


def join_tokens(one: Tensor, other: Tensor) -> Tensor:
    """Tokens `(sources, ..., length)` of both, the shorter ones padded on the left; no column is padding alone."""
    length = max(one.shape[-1], other.shape[-1])
    both = torch.cat([pad(part, [length - part.shape[-1], 0], value=PADDING) for part in (one, other)])
    real = (both != PADDING).flatten(0, -2).any(0).long()
    return both[..., int(real.argmax()) :]


@torch.inference_mode()
def alone(decoder: Decoder, search: Running) -> list[list[Hypothesis]]:
    """Runs a search, whose keys are the numbers from 0, that has a decoder to itself; the outputs of every source."""
    count = len(search.keys)
    step = search.advance(Prediction(decoder.start(), decoder.attention))
    while step is not None:
        decoder.keep(step.rows, step.sources)
        step = search.advance(Prediction(decoder.step(step.tokens), decoder.attention))
    found = dict(search.ended)
    return [found[source] for source in range(count)]
