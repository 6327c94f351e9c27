"""Text that Rust can represent, and the characters of scripts that are written without spaces between words."""

from functools import lru_cache

TAG = "⟨[^⟨⟩]*⟩"
"""The pattern of a feature of a word, `⟨PL⟩`, which is one token among characters."""
BLANKS = "".join(code for code in map(chr, range(0x3001)) if code.isspace()) + (
    "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
)
"""Spaces, and characters that are not seen: a text of these alone is empty."""
Ranges = tuple[tuple[int, int], ...]

# Han, kana, bopomofo and Yi; Thai, Lao and Tibetan; Burmese; Khmer; the Tai and Javanese scripts.
UNSPACED: Ranges = (
    (0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF), (0x2E80, 0xA4CF),
    (0xA980, 0xA9DF), (0xAA60, 0xAADF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x20000, 0x3FFFF),
)  # fmt: skip
IDEOGRAMS: Ranges = ((0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
"""Han and kana, of which a character holds as much as several letters."""


def character_class(ranges: Ranges) -> str:
    """The ranges as part of a regular expression, to be put between brackets."""
    return "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in ranges)


def is_blank(text: str) -> bool:
    """Whether there is nothing to see in a text."""
    return not text.strip(BLANKS)


@lru_cache(maxsize=2**16)
def is_unspaced(character: str) -> bool:
    """Whether a character belongs to a script that is written without spaces between words."""
    return any(first <= ord(character) <= last for first, last in UNSPACED)


def valid_text(text: str) -> str:
    """Joins surrogate pairs (JSON may spell an emoji as two) and replaces anything unencodable by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
