"""PEGASUS's gap sentences: whole sentences are masked, and their concatenation is the target."""

from dataclasses import dataclass, replace

import numpy as np

from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.noising.masked_tokens import MaskedTokens
from hf_seq2seq.noising.noise import Noised, check_share, pair_bound
from hf_seq2seq.noising.rows import gather, offsets_of, runs_of
from hf_seq2seq.noising.sentence_scores import best, best_in_turn, count_words, rouge1
from hf_seq2seq.ragged import Ragged

SELECTIONS = ("principal", "random", "lead")


@dataclass(frozen=True)
class GapSentences:
    """Replaces each chosen sentence by one mask token; the target is the chosen sentences in the order of the text.

    The rounded share of a row's sentences is chosen, at least one and not all; a row of one sentence has an empty
    target, so filter such rows out beforehand. "principal" selects the sentences with the highest ROUGE-1 F1 against
    the rest of the row: each scored independently, or greedily so that the chosen set scores highest. Words are token
    ids. Ties go to the earlier sentence.

    Paper: Zhang et al. 2020, section 3.1, https://proceedings.mlr.press/v119/zhang20ae.html

    Attributes:
        mask: id that stands for a sentence, `[MASK1]` in the paper.
        ratio: share of sentences that are chosen.
        selection: "principal", "random", or "lead" for the first ones.
        sequential: whether "principal" selects sequentially ("Seq"), else independently ("Ind").
        unique: whether repeated words count once ("Uniq"), else each time ("Orig").
        masked_tokens: also masks tokens of the other sentences, to be predicted by the encoder: `[MASK2]`.

    Raises:
        InputError: a value is out of range.
    """

    mask: int
    ratio: float = 0.3
    selection: str = "principal"
    sequential: bool = False
    unique: bool = False
    masked_tokens: MaskedTokens | None = None
    reads = "sentences"

    def __post_init__(self) -> None:
        check_share("gap ratio", self.ratio)
        if self.selection not in SELECTIONS:
            raise InputError(
                f"gap sentences: unknown selection {self.selection!r}{nearest(self.selection, SELECTIONS)}"
            )
        if self.masked_tokens and self.masked_tokens.whole_words:
            raise InputError("gap sentences: masked tokens cannot be whole words here, where starts mark sentences")

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Noises every row; the labels of `masked_tokens`, if any, are `source_labels`.

        Raises:
            InputError: the starts of sentences are not given, or no row has two.
        """
        sentences = runs_of(tokens, starts)
        if len(tokens.values) and sentences.lengths.max() < 2:
            raise InputError("gap sentences: no row has two sentences; are there sentence ends in the text?")
        chosen = self._choose(tokens, sentences, rng)
        begins, lengths = sentences.values[:-1], np.diff(sentences.values)
        marked = tokens.values.copy()
        marked[begins[chosen]] = self.mask
        sizes = np.where(chosen, 1, lengths)
        source = Ragged(gather(Ragged(marked, tokens.offsets), begins, sizes), offsets_of(sizes)[sentences.offsets])
        target = gather(tokens, begins[chosen], lengths[chosen])
        noised = Noised(source, Ragged(target, offsets_of(lengths * chosen)[sentences.offsets]))
        if self.masked_tokens is None:
            return noised
        noise = replace(self.masked_tokens, special=(*self.masked_tokens.special, self.mask))
        source, labels, _ = noise(source, rng)
        return Noised(source, noised.target, labels)

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The most tokens of source and target, `(rows, 2)`: of the longest and the shortest sentences, if known."""
        if starts is None:
            return pair_bound(lengths, np.maximum(lengths - 1, 0))
        offsets = offsets_of(lengths)
        sentences = runs_of(Ragged(np.zeros(offsets[-1], dtype=np.int32), offsets), starts)
        counts, sizes = self._counts(sentences.lengths), np.diff(sentences.values)
        rows = np.repeat(np.arange(len(lengths)), sentences.lengths)
        longest = np.bincount(rows, sizes * best(sizes, rows, counts), len(lengths))
        shortest = np.bincount(rows, sizes * best(-sizes, rows, counts), len(lengths))
        return pair_bound(lengths - shortest + counts, longest)

    def _counts(self, sentences: np.ndarray) -> np.ndarray:
        counts = np.maximum(np.rint(sentences * self.ratio).astype(np.int64), 1)
        return np.minimum(counts, np.maximum(sentences - 1, 0))

    def _choose(self, tokens: Ragged, sentences: Ragged, rng: np.random.Generator) -> np.ndarray:
        """Whether a sentence is chosen, `(sentences,)` bool."""
        counts = self._counts(sentences.lengths)
        rows = np.repeat(np.arange(len(counts)), sentences.lengths)
        if self.selection == "random":
            return best(rng.random(len(rows)), rows, counts)
        none = np.zeros(len(rows), dtype=bool)
        if self.selection == "lead":
            return best(none.astype(float), rows, counts)
        words = count_words(tokens, sentences)
        if self.sequential:
            return best_in_turn(words, counts, self.unique)
        return best(rouge1(words, none, self.unique), rows, counts)
