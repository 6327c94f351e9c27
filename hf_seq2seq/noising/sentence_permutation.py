"""BART's sentence permutation, and T5's deshuffling of tokens."""

import numpy as np

from hf_seq2seq.noising.noise import Noised, pair_bound
from hf_seq2seq.noising.rows import gather, runs_of
from hf_seq2seq.ragged import Ragged


class SentencePermutation:
    """Shuffles the sentences of every row uniformly; the target is the row itself.

    Paper: Lewis et al. 2020, section 2.2, https://aclanthology.org/2020.acl-main.703
    """

    reads = "sentences"

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Noises every row.

        Raises:
            InputError: the starts of sentences are not given.
        """
        runs = runs_of(tokens, starts)
        begins, offsets = runs.values, runs.offsets
        row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        order = np.lexsort((rng.random(len(row)), row))
        return Noised(Ragged(gather(tokens, begins[order], np.diff(begins)[order]), tokens.offsets), tokens)

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The tokens of source and target, exactly, `(rows, 2)`."""
        return pair_bound(lengths, lengths)


class Deshuffling:
    """Shuffles the tokens of every row uniformly; the target is the row itself.

    Paper: Raffel et al. 2020, section 3.3.1 (table 3), https://jmlr.org/papers/v21/20-074.html
    """

    reads = ""

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Noises every row."""
        return SentencePermutation()(tokens, rng, np.ones(len(tokens.values), dtype=bool))

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The tokens of source and target, exactly, `(rows, 2)`."""
        return pair_bound(lengths, lengths)
