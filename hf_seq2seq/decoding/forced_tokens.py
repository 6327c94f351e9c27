"""Rules that demand or forbid tokens at certain places."""

from dataclasses import dataclass

from torch import Tensor

from hf_seq2seq.decoding.rules import FORBIDDEN, Prefixes


@dataclass(frozen=True)
class ForcedFirst:
    """The first token is given, such as a language's.

    Attributes:
        token: its id.
    """

    token: int

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """As `Rule` says; the forced token costs nothing."""
        if prefixes.length == 0:
            scores = scores.fill_(FORBIDDEN)
            scores[:, self.token] = 0
        return scores


@dataclass(frozen=True)
class ForcedLast:
    """The token at the greatest length is given, usually EOS.

    Attributes:
        tokens: ids.
        longest: the greatest length of each source, `(sources,)`.
    """

    tokens: list[int]
    longest: Tensor

    @property
    def matters(self) -> bool:
        """Whether it does anything."""
        return bool(self.tokens)

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """As `Rule` says; the forced token costs nothing."""
        last = self.longest[prefixes.sources] == prefixes.length + 1
        scores[last] = FORBIDDEN
        for token in self.tokens:
            scores[:, token] = scores[:, token].masked_fill(last, 0)
        return scores


@dataclass(frozen=True)
class MinimumLength:
    """EOS is forbidden below a length.

    Attributes:
        eos: tokens that end an output.
        shortest: tokens of the shortest output of each source, EOS not counted, `(sources,)`.
    """

    eos: Tensor
    shortest: Tensor

    @property
    def matters(self) -> bool:
        """Whether it does anything."""
        return len(self.eos) > 0 and bool((self.shortest > 0).any())

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """As `Rule` says."""
        short = self.shortest[prefixes.sources] > prefixes.length
        scores[:, self.eos] = scores[:, self.eos].masked_fill(short[:, None], FORBIDDEN)
        return scores


@dataclass(frozen=True)
class Suppressed:
    """Tokens that are forbidden everywhere, or as the first.

    Attributes:
        tokens: ids.
        only_first: forbid them as the first alone.
    """

    tokens: list[int]
    only_first: bool = False

    @property
    def matters(self) -> bool:
        """Whether it does anything."""
        return bool(self.tokens)

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """As `Rule` says."""
        if prefixes.length == 0 or not self.only_first:
            scores[:, self.tokens] = FORBIDDEN
        return scores
