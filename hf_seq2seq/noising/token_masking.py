"""Token masking: BART's, and T5's ablation in MASS's and BERT's style."""

from dataclasses import dataclass

import numpy as np

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.noise import Noised, check_share, noise_counts, pair_bound
from hf_seq2seq.noising.rows import same_lengths
from hf_seq2seq.noising.subsets import choose
from hf_seq2seq.ragged import Ragged


@dataclass(frozen=True)
class TokenMasking:
    """Replaces random tokens by the mask token; the target is the whole row.

    Papers: Lewis et al. 2020, section 2.2, https://aclanthology.org/2020.acl-main.703; Raffel et al. 2020, section
    3.3.1 (table 3), https://jmlr.org/papers/v21/20-074.html: "MASS-style" by default, "BERT-style" with
    `random_share=0.1`.

    Attributes:
        mask: id of the mask token.
        rate: share of tokens that are noised.
        random_share: share of the noised tokens that are replaced by a random token instead of the mask.
        ordinary: ids from which random tokens are drawn.

    Raises:
        InputError: a value is out of range.
    """

    mask: int
    rate: float = 0.15
    random_share: float = 0.0
    ordinary: tuple[int, ...] = ()
    reads = ""

    def __post_init__(self) -> None:
        check_share("noise rate", self.rate)
        check_share("share of random tokens", self.random_share)
        if self.random_share and not self.ordinary:
            raise InputError("token masking: random tokens are requested, but no ids to draw them from are given")

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Noises every row."""
        lengths = tokens.lengths
        places = np.flatnonzero(choose(lengths, noise_counts(lengths, self.rate), rng))
        values = tokens.values.copy()
        values[places] = self.mask
        if self.random_share:
            places = places[rng.random(len(places)) < self.random_share]
            values[places] = rng.choice(np.array(self.ordinary, dtype=np.int32), len(places))
        return Noised(same_lengths(values, tokens), tokens)

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The tokens of source and target, exactly, `(rows, 2)`."""
        return pair_bound(lengths, lengths)
