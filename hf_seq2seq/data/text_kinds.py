"""What one side of the training rows looks like: single words, symbols, text without spaces, or sentences."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hf_seq2seq.data.tokenizers.unicode_text import TAG, is_unspaced

TAGS = re.compile(TAG)
"""Features of a word, which say nothing about the text around them."""
STOPS = "。！？｡"
"""Ends of sentences in scripts without spaces, where words alone have none."""
SAMPLE = 20_000
"""Rows that are looked at, evenly spaced over all of them."""
MOST_LABELS = 100
ROWS_PER_LABEL = 10
"""No more different texts than this, and as many rows for each on average, are taken for labels."""
SYMBOLS, FORMS, UNSPACED, SENTENCES = "symbols", "forms", "unspaced", "sentences"
TITLES = {
    SYMBOLS: "symbols separated by spaces",
    FORMS: "single words",
    UNSPACED: "text without spaces between words",
    SENTENCES: "sentences",
}


@dataclass(frozen=True)
class Side:
    """What the sources or the targets of the training rows look like.

    Attributes:
        rows: all training rows.
        kind: "symbols", "forms" (single words), "unspaced" or "sentences".
        words: mean number of words per row.
        alphabet: different characters.
        types: different words.
        syllables: different characters that are Hangul syllables, each of two or three letters.
    """

    rows: int
    kind: str
    words: float
    alphabet: int
    types: int
    syllables: int = 0

    def __str__(self) -> str:
        units = f"{self.types:,} kinds" if self.kind == SYMBOLS else f"{self.alphabet:,} characters"
        units = f"{self.words:.0f} words each" if self.kind == SENTENCES else units
        return f"{self.rows:,} rows of {TITLES[self.kind]}, {units}"


def look_at(texts: Sequence[str]) -> Side:
    """Measures one side of the training rows."""
    sample = _sample(texts)
    split = [TAGS.sub(" ", text).split() for text in sample]
    counts = Counter(word for words in split for word in words)
    total = max(1, counts.total())
    alphabet = set().union(*counts)
    kind = _kind(split, counts, total)
    syllables = sum("가" <= character <= "힣" for character in alphabet)
    return Side(len(texts), kind, total / max(1, len(sample)), len(alphabet), len(counts), syllables)


def _sample(texts: Sequence[str]) -> Sequence[str]:
    step = math.ceil(len(texts) / SAMPLE) or 1
    return texts[::step]


def _kind(split: list[list[str]], counts: Counter[str], total: int) -> str:
    lengths = sorted(map(len, split))
    median, most = (lengths[int(share * (len(lengths) - 1))] for share in (0.5, 0.9))
    letters = sum(_letters(word) * count for word, count in counts.items())
    once = sum(count == 1 for count in counts.values())
    short = letters / total <= 2.5 and len(counts) <= 1_000
    closed = len(counts) <= 2_000 and once <= total / 200 and len(split) >= 200
    if median >= 2 and (short or closed):
        return SYMBOLS
    unspaced = sum(sum(map(is_unspaced, word)) * count for word, count in counts.items())
    closed_by_stop = sum(bool(words) and words[-1][-1] in STOPS for words in split) > len(split) / 2
    if unspaced > letters / 2 and (closed_by_stop or letters / max(1, len(split)) > 8):
        return UNSPACED
    characters = sorted(sum(map(len, words)) + len(words) for words in split)
    if median <= 2 and most <= 4 and characters[len(characters) // 2] <= 48:
        return FORMS
    return SENTENCES


def _letters(word: str) -> int:
    """Characters that are not marks of the one before: `t͡s` counts 2, `ɔ̃ː` 1."""
    return sum(unicodedata.category(character) not in ("Mn", "Mc", "Me", "Lm") for character in word)


def different_labels(texts: Iterable[str], rows: int) -> int | None:
    """The number of different texts where they are so few that they are labels; otherwise None.

    Args:
        texts: one side of pairs.
        rows: their number.
    """
    most, different = min(MOST_LABELS, rows / ROWS_PER_LABEL), set()
    for text in texts:
        different.add(text)
        if len(different) > most:
            return None
    return len(different) or None
