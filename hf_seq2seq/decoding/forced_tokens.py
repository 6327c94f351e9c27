"""Rules that force or forbid tokens at certain positions."""

from dataclasses import dataclass

from torch import Tensor

from hf_seq2seq.decoding.rules import FORBIDDEN, Prefixes


@dataclass(frozen=True)
class ForcedFirst:
    """Forces the first token, such as a language token.

    Attributes:
        token: its id.
    """

    token: int

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """See `Rule`; the forced token costs nothing."""
        first = prefixes.lengths == 0
        if first.any():
            scores[first] = FORBIDDEN
            scores[first, self.token] = 0
        return scores


@dataclass(frozen=True)
class ForcedFirsts:
    """Forces the first token of each source's outputs, such as the code of its target language.

    Attributes:
        tokens: ids, `(sources,)` int64; -1 where nothing is forced.
    """

    tokens: Tensor

    @property
    def matters(self) -> bool:
        """Whether it has any effect."""
        return bool((self.tokens >= 0).any())

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """See `Rule`; a forced token costs nothing."""
        tokens = self.tokens[prefixes.sources]
        forced = (tokens >= 0) & (prefixes.lengths == 0)
        if forced.any():
            scores[forced] = FORBIDDEN
            scores[forced, tokens[forced]] = 0
        return scores


@dataclass(frozen=True)
class ForcedLast:
    """Forces the token at the maximum length, usually EOS.

    Attributes:
        tokens: ids.
        longest: the maximum length for each source, `(sources,)`.
    """

    tokens: list[int]
    longest: Tensor

    @property
    def matters(self) -> bool:
        """Whether it has any effect."""
        return bool(self.tokens)

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """See `Rule`; the forced token costs nothing."""
        last = self.longest[prefixes.sources] == prefixes.lengths + 1
        scores[last] = FORBIDDEN
        for token in self.tokens:
            scores[:, token] = scores[:, token].masked_fill(last, 0)
        return scores


@dataclass(frozen=True)
class MinimumLength:
    """Forbids EOS below a minimum length.

    Attributes:
        eos: tokens that end an output.
        shortest: minimum output length for each source in tokens, without EOS, `(sources,)`.
    """

    eos: Tensor
    shortest: Tensor

    @property
    def matters(self) -> bool:
        """Whether it has any effect."""
        return len(self.eos) > 0 and bool((self.shortest > 0).any())

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """See `Rule`."""
        short = self.shortest[prefixes.sources] > prefixes.lengths
        scores[:, self.eos] = scores[:, self.eos].masked_fill(short[:, None], FORBIDDEN)
        return scores


@dataclass(frozen=True)
class Suppressed:
    """Forbids tokens everywhere, or only as the first.

    Attributes:
        tokens: ids.
        only_first: forbid them only as the first token.
    """

    tokens: list[int]
    only_first: bool = False

    @property
    def matters(self) -> bool:
        """Whether it has any effect."""
        return bool(self.tokens)

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """See `Rule`."""
        if not self.only_first:
            scores[:, self.tokens] = FORBIDDEN
        elif (first := prefixes.lengths == 0).any():
            scores[:, self.tokens] = scores[:, self.tokens].masked_fill(first[:, None], FORBIDDEN)
        return scores
