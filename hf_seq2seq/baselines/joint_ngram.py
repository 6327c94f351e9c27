"""Pronunciation by an n-gram model of aligned pieces: letters and the sounds that they stand for, read as one token.

Words and pronunciations are cut into pieces (`alignment.py`); a Kneser-Ney model learns which piece follows which; a
beam search over the ways to cut a new word writes the sounds of the likeliest pieces.

Papers: Bisani and Ney, 2008, section 2, https://doi.org/10.1016/j.specom.2008.01.002; Novak, Minematsu and Hirose,
2016, section 2, https://doi.org/10.1017/S1351324915000315
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hf_seq2seq.baselines.alignment import Piece, align, piece_shapes
from hf_seq2seq.baselines.baseline import Baseline
from hf_seq2seq.baselines.kneser_ney import END, FIRST, START, KneserNey, fit
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, option

LONGEST = 25
"""Letters of a word, on average, beyond which the sources are no words."""
SKIPPED = -20.0
"""Log-probability of a letter that stands for nothing because no piece begins with it alone."""


@dataclass(frozen=True, kw_only=True)
class Options(Section):
    """Baseline: the joint n-gram model."""

    ngram_order: int = option(6, "Length of the longest n-grams of pieces.", at_least=1, at_most=20)
    max_letters: int = option(1, "Letters of a piece that stands for one sound.", at_least=1, at_most=3)
    max_sounds: int = option(2, "Sounds of a piece of one letter.", at_least=1, at_most=3)
    beams: int = option(16, "Ways to cut the beginning of a word that are kept.", at_least=1)


_Hypothesis = tuple[float, tuple[int, ...], tuple[str, ...]]
"""Log-probability, the pieces that the next one depends on, and the sounds so far."""


@dataclass
class JointNgram:
    """A trained model.

    Attributes:
        model: of pieces, numbered from `FIRST` on.
        pieces: what each number stands for.
        spaced: whether sounds are divided by spaces, or are characters.
        order: of the n-grams.
        beams: as in `Options`.
        longest: letters of a piece.
    """

    model: KneserNey
    pieces: list[Piece]
    spaced: bool
    order: int
    beams: int
    longest: int = 1
    _by_letters: dict[tuple[str, ...], np.ndarray] = field(default_factory=dict)
    _contexts: dict[tuple[int, ...], tuple[int, ...]] = field(default_factory=dict)
    _seen: dict[tuple[tuple[int, ...], tuple[str, ...]], list[tuple[int, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        grouped: dict[tuple[str, ...], list[int]] = {}
        for number, (letters, _) in enumerate(self.pieces, start=FIRST):
            grouped.setdefault(letters, []).append(number)
        self.longest = max(map(len, grouped))
        self._by_letters = {letters: np.array(numbers) for letters, numbers in grouped.items()}

    def __call__(self, sources: Sequence[str]) -> list[str]:
        """The pronunciation of every word."""
        unknown = sum(any((letter,) not in self._by_letters for letter in source) for source in sources)
        if unknown:
            detail = "have unknown letters, which are skipped"
            print(f"joint_ngram: {unknown} of {len(sources)} words {detail}", file=sys.stderr)
        return [self.pronounce(source) for source in sources]

    def pronounce(self, word: str) -> str:
        """The sounds of one word."""
        found: list[list[_Hypothesis]] = [[] for _ in range(len(word) + 1)]
        found[0].append((0.0, (START,), ()))
        for place in range(len(word)):
            for score, context, sounds in self._kept(found[place]):
                for end, piece, more in self._steps(word, place, context):
                    if piece is None:
                        found[end].append((score + more, context, sounds))
                    else:
                        found[end].append((score + more, (*context, piece), sounds + self.pieces[piece - FIRST][1]))
        return (" " if self.spaced else "").join(self._best(self._kept(found[-1])))

    def _kept(self, found: list[_Hypothesis]) -> list[_Hypothesis]:
        """The best hypotheses; those that sound alike, and between which no later piece can tell, are summed."""
        sums: dict[tuple[tuple[int, ...], tuple[str, ...]], float] = {}
        for score, context, sounds in found:
            context = context[-self.order + 1 :] if self.order > 1 else ()
            if context not in self._contexts:
                self._contexts[context] = self.model.seen(context)
            alike = self._contexts[context], sounds
            sums[alike] = log_sum(sums[alike], score) if alike in sums else score
        best = sorted(sums.items(), key=lambda item: -item[1])[: self.beams]
        return [(score, context, sounds) for (context, sounds), score in best]

    def _best(self, found: list[_Hypothesis]) -> tuple[str, ...]:
        """The sounds that are likeliest before the end; the ways to cut a word that give the same sounds are summed."""
        end, sums = np.array([END]), dict[tuple[str, ...], float]()
        for score, context, sounds in found:
            total = score + math.log(self.model.of_tokens(context, end)[0])
            sums[sounds] = log_sum(sums[sounds], total) if sounds in sums else total
        return max(sums, key=lambda sounds: sums[sounds])

    def _steps(self, word: str, place: int, context: tuple[int, ...]) -> list[tuple[int, int | None, float]]:
        """Pieces that may come next: where each ends, its number and its log-probability."""
        steps: list[tuple[int, int | None, float]] = []
        for length in range(1, self.longest + 1):
            letters = tuple(word[place : place + length])
            if len(letters) == length and letters in self._by_letters:
                steps += [(place + length, piece, score) for piece, score in self._scores(context, letters)]
        if tuple(word[place]) not in self._by_letters:
            steps.append((place + 1, None, SKIPPED))
        return steps

    def _scores(self, context: tuple[int, ...], letters: tuple[str, ...]) -> list[tuple[int, float]]:
        """The pieces of these letters with their log-probabilities behind a context, likely ones only."""
        found = self._seen.get((context, letters))
        if found is None:
            numbers = self._by_letters[letters]
            scores = np.log(self.model.of_tokens(context, numbers))
            best = np.argsort(-scores)[: self.beams]
            found = list(zip(numbers[best].tolist(), scores[best].tolist(), strict=True))
            self._seen[context, letters] = found
        return found


def log_sum(first: float, second: float) -> float:
    """The logarithm of the sum of two probabilities, given theirs."""
    return max(first, second) + math.log1p(math.exp(-abs(first - second)))


def train(sources: Sequence[str], targets: Sequence[str], options: Options) -> JointNgram:
    """Aligns the pairs and learns which piece follows which.

    Raises:
        InputError: sources that are no words.
    """
    mean = sum(map(len, sources)) / len(sources)
    if mean > LONGEST:
        raise InputError(
            f"baseline joint_ngram: sources have {mean:.0f} characters on average; it is for single words; "
            "for longer texts there are copy, most_frequent and nearest"
        )
    with_spaces = sum(" " in target.strip() for target in targets)
    spaced = 2 * with_spaces > len(targets)
    if with_spaces and not spaced:
        print(
            f"joint_ngram: {with_spaces} of {len(targets)} targets have spaces, which count as characters like others",
            file=sys.stderr,
        )
    sounds = [target.split() if spaced else list(target.strip()) for target in targets]
    shapes = piece_shapes(options.max_letters, options.max_sounds)
    aligned = [pieces for pieces in align([list(source) for source in sources], sounds, shapes) if pieces]
    if len(aligned) < len(sources):
        detail = f"{len(sources) - len(aligned)} of {len(sources)} training words are left out"
        print(f"joint_ngram: {detail}: more than {options.max_sounds} sounds per letter, or too long", file=sys.stderr)
    if not aligned:
        raise InputError(
            f"baseline joint_ngram: every target has more than {options.max_sounds} symbols per letter of its source"
        )
    pieces = sorted({piece for row in aligned for piece in row})
    numbers = {piece: number for number, piece in enumerate(pieces, start=FIRST)}
    documents = [np.array([numbers[piece] for piece in row]) for row in aligned]
    model = fit(documents, options.ngram_order, FIRST + len(pieces))
    return JointNgram(model, pieces, spaced, options.ngram_order, options.beams)


JOINT_NGRAM = Baseline(
    "For pronunciations: an n-gram model of letters aligned with their sounds.",
    "pairs",
    train,
    Options,
)
