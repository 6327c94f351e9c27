"""Noise on the words of a text: deleted, blanked, and locally shuffled.

Papers: Lample et al., 2018, section 2.3, https://arxiv.org/abs/1711.00043; Edunov et al., 2018, section 3
("beam+noise"), https://aclanthology.org/D18-1045, which adds blanks and has these rates.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class WordNoise:
    """Noises one text at a time; the same seed and number give the same noise.

    Attributes:
        seed: of all texts.
        dropout: probability of deleting a word; at least one is left.
        blank: probability of replacing a word by `filler`.
        distance: no word moves by more than this many places.
        filler: stands for a blanked word.
    """

    seed: int
    dropout: float = 0.1
    blank: float = 0.1
    distance: int = 3
    filler: str = "<blank>"

    def __call__(self, text: str, number: int) -> str:
        """The noised text; one without spaces, as in Chinese, is noised by characters.

        Args:
            text: the text.
            number: identifies it among all texts.
        """
        words = text.split()
        separator = " "
        if len(words) == 1 and not text.isascii():
            words, separator = list(words[0]), ""
        random = np.random.default_rng([self.seed, number])
        drawn = random.random((3, len(words)))
        kept = drawn[0] >= self.dropout
        if words and not kept.any():
            kept[random.integers(len(words))] = True
        blanked = [self.filler if blank < self.blank else word for word, blank in zip(words, drawn[1], strict=True)]
        left = [word for word, is_kept in zip(blanked, kept, strict=True) if is_kept]
        # A word at place i goes where i + u, u from 0 to distance + 1, sorts it: Lample et al., section 2.3.
        places = np.arange(len(left)) + (self.distance + 1) * drawn[2][: len(left)]
        return separator.join(left[place] for place in np.argsort(places, kind="stable"))
