"""T5's span corruption."""

from dataclasses import dataclass

import numpy as np

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.noise import Noised, check_share, pair_bound
from hf_seq2seq.noising.sentinels import Sentinels
from hf_seq2seq.noising.subsets import split
from hf_seq2seq.ragged import Ragged


@dataclass(frozen=True)
class SpanCorruption:
    """Replaces random spans by sentinels; the target is the sentinels, each followed by the tokens it replaced.

    The numbers of noised tokens and of spans follow from a row's length: the rounded share of tokens, at least one and
    not all, and that number divided by the mean span length. Both the noised and the kept tokens are split into that
    many runs, uniformly at random; a row begins with kept tokens and ends with noised ones. A row of one token or none
    has no span.

    Paper: Raffel et al. 2020, section 3.1.4 (figure 2) and 3.3.4, https://jmlr.org/papers/v21/20-074.html
    As in the paper's text a target ends with one more sentinel, then with `</s>` (`Enclosed`). The released code adds
    that sentinel only after kept tokens, which, since its rows end with noised ones, means never:
    `final_sentinel=False`.

    Attributes:
        sentinels: ids of `<extra_id_0>`, `<extra_id_1>`, …
        rate: share of tokens that are noised.
        mean_span_length: mean tokens of a span, 1 or more.
        final_sentinel: whether a target ends with the sentinel after the last one used.

    Raises:
        InputError: a value is out of range.
    """

    sentinels: tuple[int, ...]
    rate: float = 0.15
    mean_span_length: float = 3.0
    final_sentinel: bool = True
    reads = ""

    def __post_init__(self) -> None:
        check_share("noise rate", self.rate)
        if self.mean_span_length < 1:
            raise InputError(f"mean span length: {self.mean_span_length} is less than one token")
        self._sentinels  # noqa: B018  (the check of the ids)

    @property
    def _sentinels(self) -> Sentinels:
        return Sentinels(self.sentinels, self.final_sentinel)

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Noises every row.

        Raises:
            InputError: too few sentinels, or one of them in the text.
        """
        noised, spans = self._counts(tokens.lengths)
        self._sentinels.check_number(spans)
        parts = np.maximum(spans, 1)
        runs = np.empty(2 * parts.sum(), dtype=np.int64)
        runs[0::2] = split(tokens.lengths - noised, parts, rng)
        runs[1::2] = split(noised, parts, rng)
        return self._sentinels.replace(tokens, np.repeat(np.arange(len(runs)) % 2 == 1, runs))

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The tokens of source and target, exactly, `(rows, 2)`.

        Raises:
            InputError: too few sentinels for the longest row.
        """
        noised, spans = self._counts(lengths)
        self._sentinels.check_number(spans)
        return pair_bound(lengths - noised + spans, noised + spans + self.final_sentinel)

    def _counts(self, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        noised = np.rint(lengths * self.rate).astype(np.int64)
        noised = np.maximum(np.minimum(np.maximum(noised, 1), lengths - 1), 0)
        spans = np.maximum(np.rint(noised / self.mean_span_length).astype(np.int64), 1)
        return noised, np.minimum(spans, np.minimum(noised, lengths - noised))
