"""BERT's masked tokens, with optional whole-word masking."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.noise import Noised, check_share, noise_counts, pair_bound
from hf_seq2seq.noising.rows import counts_within, offsets_of, runs_of, same_lengths
from hf_seq2seq.noising.subsets import choose
from hf_seq2seq.ragged import IGNORE, Ragged


@dataclass(frozen=True)
class MaskedTokens:
    """Chooses random tokens to predict; most become the mask token, some a random one, and some stay.

    The target holds the original at the chosen tokens and -100 elsewhere. The number of chosen tokens is the rounded
    share of the ordinary ones, at least one. Whole words are taken in random order as long as they fit into that
    number, so it is rarely reached exactly; if every word of a row is longer, the shortest is taken. Each token of a
    word is then masked, replaced or kept independently.

    Paper: Devlin et al. 2019, section 3.1 and appendix A.1, https://aclanthology.org/N19-1423; whole-word masking is
    from the note of May 2019 in the released code. That code draws random tokens from the whole vocabulary, here only
    from ordinary tokens.

    Attributes:
        mask: id of the mask token.
        vocab_size: size of the vocabulary.
        special: ids that are never chosen and never inserted; includes the mask implicitly.
        rate: share of ordinary tokens that are chosen.
        mask_share: share of the chosen that become the mask token.
        random_share: share of the chosen that become a random ordinary token.
        whole_words: whether whole words are chosen, which requires their starts; where a token's id determines whether
            it starts a word, they are `flags[tokens.values]`, with a flag for every id.

    Raises:
        InputError: a value is out of range.
    """

    mask: int
    vocab_size: int
    special: tuple[int, ...] = ()
    rate: float = 0.15
    mask_share: float = 0.8
    random_share: float = 0.1
    whole_words: bool = False

    def __post_init__(self) -> None:
        check_share("noise rate", self.rate)
        for name in ("mask_share", "random_share"):
            check_share(name, getattr(self, name))
        if self.mask_share + self.random_share > 1:
            raise InputError(f"mask_share + random_share: {self.mask_share} + {self.random_share} is more than 1")
        if not len(self._ordinary):
            raise InputError(f"vocab_size: of {self.vocab_size} tokens none is ordinary")

    @property
    def reads(self) -> str:
        """What `starts` must mark."""
        return "words" if self.whole_words else ""

    @cached_property
    def _ordinary(self) -> np.ndarray:
        return np.setdiff1d(np.arange(self.vocab_size, dtype=np.int32), np.array([self.mask, *self.special]))

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Noises every row; a row of only special tokens is unchanged.

        Raises:
            InputError: whole words are requested but their starts are not given.
        """
        places = self._choose(tokens, rng, starts)
        labels = np.full(len(tokens.values), IGNORE, dtype=np.int32)
        labels[places] = tokens.values[places]
        values = tokens.values.copy()
        draw = rng.random(len(places))
        values[places[draw < self.mask_share]] = self.mask
        exchanged = places[(draw >= self.mask_share) & (draw < self.mask_share + self.random_share)]
        values[exchanged] = rng.choice(self._ordinary, len(exchanged))
        return Noised(same_lengths(values, tokens), same_lengths(labels, tokens))

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The tokens of source and labels, exactly, `(rows, 2)`."""
        return pair_bound(lengths, lengths)

    def _choose(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None) -> np.ndarray:
        """Where the tokens to predict are, `(chosen,)`."""
        ordinary = ~np.isin(tokens.values, [self.mask, *self.special])
        places = np.flatnonzero(ordinary)
        lengths = counts_within(places, tokens.offsets)
        counts = noise_counts(lengths, self.rate)
        if not self.whole_words:
            return places[choose(lengths, counts, rng)]
        runs = runs_of(tokens, starts)
        begins, offsets = runs.values, runs.offsets
        words = Ragged(counts_within(places, begins), offsets)
        chosen = np.repeat(_fill(words, np.maximum(counts, _shortest(words)), rng), words.values)
        return places[chosen]


def _shortest(words: Ragged) -> np.ndarray:
    """The length of the shortest non-empty word in each row, `(rows,)`, 0 if there is none."""
    sizes = words.values[words.values > 0]
    lengths = counts_within(np.flatnonzero(words.values > 0), words.offsets)
    shortest = np.zeros(len(lengths), dtype=np.int64)
    if len(sizes):
        shortest[lengths > 0] = np.minimum.reduceat(sizes, offsets_of(lengths)[:-1][lengths > 0])
    return shortest


def _fill(words: Ragged, budgets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Takes words in random order as long as they fit into the rest of a row's budget.

    Each round takes the words up to the first that does not fit, then drops all that never will.

    Args:
        words: tokens of each word; words of none are never taken.
        budgets: tokens to take in each row, `(rows,)`.
        rng: gives the randomness.

    Returns:
        Whether a word is taken, `(words,)` bool.
    """
    row = np.repeat(np.arange(len(budgets)), words.lengths)
    waiting = np.lexsort((rng.random(len(row)), row))
    taken = np.zeros(len(row), dtype=bool)
    left = budgets
    while True:
        sizes = words.values[waiting]
        waiting = waiting[(sizes > 0) & (sizes <= left[row[waiting]])]
        if not len(waiting):
            return taken
        sizes, rows = words.values[waiting], row[waiting]
        total = np.cumsum(sizes)
        begins = np.searchsorted(rows, np.arange(len(left)))
        before = np.append(0, total)[begins]
        fits = total - before[rows] <= left[rows]
        taken[waiting[fits]] = True
        left = left - np.bincount(rows[fits], sizes[fits], len(left)).astype(np.int64)
        waiting = waiting[~fits]
