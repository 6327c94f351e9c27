"""Tokens that may start a word in scripts written without spaces."""

import unicodedata
from functools import lru_cache

import numpy as np

# Han, kana, bopomofo and Yi; Thai, Lao and Tibetan; Burmese; Khmer; the Tai and Javanese scripts.
UNSPACED = (
    (0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF), (0x2E80, 0xA4CF),
    (0xA980, 0xA9DF), (0xAA60, 0xAADF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x20000, 0x3FFFF),
)  # fmt: skip


@lru_cache(maxsize=2**16)
def is_unspaced(character: str) -> bool:
    """Whether a character belongs to a script that is written without spaces between words."""
    return any(first <= ord(character) <= last for first, last in UNSPACED)


@lru_cache(maxsize=2**16)
def _joins(character: str) -> bool:
    """Whether a character combines with the previous one, like vowel signs and tone marks."""
    return unicodedata.category(character) in ("Mn", "Mc", "Me") or character in "\u200c\u200d"


def unspaced_starts(text: str, begins: np.ndarray) -> np.ndarray:
    """Whether a word may start at each token given its context: between two characters, one of them unspaced.

    Such scripts need a dictionary to find words, so each token is one; a token that begins within a character, or with
    a mark that combines with the previous character, continues the word.

    Args:
        text: the encoded text.
        begins: each token's first character, `(tokens,)`, in order.

    Returns:
        `(tokens,)` bool.
    """
    unspaced = np.fromiter(map(is_unspaced, text), dtype=bool, count=len(text))
    found = np.zeros(len(begins), dtype=bool)
    if not unspaced.any():
        return found
    joins = np.fromiter(map(_joins, text), dtype=bool, count=len(text))
    inside = (begins > 0) & (begins < len(text))
    at = begins[inside]
    found[inside] = (unspaced[at] | unspaced[at - 1]) & ~joins[at]
    found[1:] &= begins[1:] != begins[:-1]
    return found
