"""Tokens that may start a word in scripts written without spaces."""

import unicodedata
from functools import lru_cache

import numpy as np

from hf_seq2seq.data.tokenizers.unicode_text import is_unspaced


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
