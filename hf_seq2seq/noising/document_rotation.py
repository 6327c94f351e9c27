"""BART's document rotation."""

import numpy as np

from hf_seq2seq.noising.noise import Noised, pair_bound
from hf_seq2seq.noising.rows import ranks
from hf_seq2seq.ragged import Ragged


class DocumentRotation:
    """Rotates every row so that it begins with a random one of its tokens; what came before it moves to the end.

    The target is the row itself, so the model must find its original start.

    Paper: Lewis et al. 2020, section 2.2, https://aclanthology.org/2020.acl-main.703
    """

    reads = ""

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Noises every row."""
        lengths = tokens.lengths
        shift = (rng.random(len(lengths)) * lengths).astype(np.int64)
        place = ranks(lengths) + np.repeat(shift, lengths)
        long = np.repeat(lengths, lengths)
        place[place >= long] -= long[place >= long]
        return Noised(Ragged(tokens.values[place + np.repeat(tokens.offsets[:-1], lengths)], tokens.offsets), tokens)

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The tokens of source and target, exactly, `(rows, 2)`."""
        return pair_bound(lengths, lengths)
