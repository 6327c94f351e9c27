"""BART's token deletion."""

from dataclasses import dataclass

import numpy as np

from hf_seq2seq.noising.noise import Noised, check_share, noise_counts, pair_bound
from hf_seq2seq.noising.rows import keep
from hf_seq2seq.noising.subsets import choose
from hf_seq2seq.ragged import Ragged


@dataclass(frozen=True)
class TokenDeletion:
    """Deletes random tokens; the target is the whole row, so the model must also learn where tokens are missing.

    A row of one token keeps it.

    Paper: Lewis et al. 2020, section 2.2, https://aclanthology.org/2020.acl-main.703

    Attributes:
        rate: share of tokens that are deleted.
    """

    rate: float = 0.15
    reads = ""

    def __post_init__(self) -> None:
        check_share("noise rate", self.rate)

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Noises every row."""
        return Noised(keep(tokens, ~choose(tokens.lengths, self._counts(tokens.lengths), rng)), tokens)

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The tokens of source and target, exactly, `(rows, 2)`."""
        return pair_bound(lengths - self._counts(lengths), lengths)

    def _counts(self, lengths: np.ndarray) -> np.ndarray:
        return np.minimum(noise_counts(lengths, self.rate), np.maximum(lengths - 1, 0))
