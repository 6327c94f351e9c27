"""The objectives of T5's ablation that choose individual tokens: replaced by one sentinel per run, or dropped.

Paper: Raffel et al. 2020, section 3.3.2 (tables 3 and 5), https://jmlr.org/papers/v21/20-074.html
The paper draws every token independently; here their number is fixed (`noise_counts`), so that lengths are bounded and
sentinels never run out by chance.

That table's other objectives are `TokenMasking` ("MASS-style"; with `random_share=0.1` "BERT-style"),
`Deshuffling` and `PrefixLanguageModel`.
"""

from dataclasses import dataclass

import numpy as np

from hf_seq2seq.noising.noise import Noised, check_share, noise_counts, pair_bound
from hf_seq2seq.noising.rows import keep
from hf_seq2seq.noising.sentinels import Sentinels
from hf_seq2seq.noising.subsets import choose
from hf_seq2seq.ragged import Ragged


@dataclass(frozen=True)
class ReplacedSpans:
    """Noises random tokens; each run of them becomes one sentinel, and the target says what each replaced.

    Attributes:
        sentinels: ids of `<extra_id_0>`, `<extra_id_1>`, …
        rate: share of tokens that are noised.
        final_sentinel: whether a target ends with the sentinel after the last one used.
    """

    sentinels: tuple[int, ...]
    rate: float = 0.15
    final_sentinel: bool = True
    reads = ""

    def __post_init__(self) -> None:
        check_share("noise rate", self.rate)
        self._sentinels  # noqa: B018  (the check of the ids)

    @property
    def _sentinels(self) -> Sentinels:
        return Sentinels(self.sentinels, self.final_sentinel)

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Noises every row.

        Raises:
            InputError: too few sentinels, or one of them in the text.
        """
        lengths = tokens.lengths
        return self._sentinels.replace(tokens, choose(lengths, noise_counts(lengths, self.rate), rng))

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The most tokens of source and target, `(rows, 2)`: assuming that no two noised tokens are adjacent.

        Raises:
            InputError: a row could need more sentinels than there are.
        """
        noised = noise_counts(lengths, self.rate)
        spans = np.minimum(noised, lengths - noised + 1)
        self._sentinels.check_number(spans)
        return pair_bound(lengths - noised + spans, noised + spans + self.final_sentinel)


@dataclass(frozen=True)
class DroppedTokens:
    """Drops random tokens; the target is the dropped tokens in order.

    Attributes:
        rate: share of tokens that are dropped.
    """

    rate: float = 0.15
    reads = ""

    def __post_init__(self) -> None:
        check_share("noise rate", self.rate)

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Noises every row; neither side says where the tokens were, as in the paper."""
        dropped = choose(tokens.lengths, noise_counts(tokens.lengths, self.rate), rng)
        return Noised(keep(tokens, ~dropped), keep(tokens, dropped))

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The tokens of source and target, exactly, `(rows, 2)`."""
        dropped = noise_counts(lengths, self.rate)
        return pair_bound(lengths - dropped, dropped)
