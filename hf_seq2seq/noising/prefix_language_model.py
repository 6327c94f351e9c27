"""The prefix language model: the beginning of a row is the source, the rest is the target."""

import numpy as np

from hf_seq2seq.noising.noise import Noised, pair_bound
from hf_seq2seq.noising.rows import keep, ranks
from hf_seq2seq.ragged import Ragged


class PrefixLanguageModel:
    """Splits every row at a uniformly random point so that neither part is empty.

    A row of one token is all target.

    Paper: Raffel et al. 2020, section 3.3.1 (table 3), https://jmlr.org/papers/v21/20-074.html
    """

    reads = ""

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Splits every row."""
        lengths = tokens.lengths
        places = np.maximum(lengths - 1, 0)
        read = np.minimum((rng.random(len(lengths)) * places).astype(np.int64) + 1, places)
        source = ranks(lengths) < np.repeat(read, lengths)
        return Noised(keep(tokens, source), keep(tokens, ~source))

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The most tokens of source and target, `(rows, 2)`; each may be all but one."""
        most = np.maximum(lengths - 1, 0)
        return pair_bound(most, np.where(lengths == 1, 1, most))
