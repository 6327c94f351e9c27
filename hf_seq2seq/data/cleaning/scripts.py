"""The script of a text, by the names that Unicode gives its letters."""

import unicodedata
from functools import lru_cache

from hf_seq2seq.errors import InputError, nearest

_NAMES = {
    "Arab": ("ARABIC",),
    "Armn": ("ARMENIAN",),
    "Beng": ("BENGALI",),
    "Cyrl": ("CYRILLIC",),
    "Deva": ("DEVANAGARI",),
    "Ethi": ("ETHIOPIC",),
    "Geor": ("GEORGIAN",),
    "Grek": ("GREEK",),
    "Gujr": ("GUJARATI",),
    "Guru": ("GURMUKHI",),
    "Hang": ("HANGUL",),
    "Hani": ("CJK",),
    "Hans": ("CJK",),
    "Hant": ("CJK",),
    "Hebr": ("HEBREW",),
    "Hira": ("HIRAGANA",),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"),
    "Kana": ("KATAKANA", "KATAKANA-HIRAGANA"),
    "Khmr": ("KHMER",),
    "Knda": ("KANNADA",),
    "Kore": ("HANGUL", "CJK"),
    "Laoo": ("LAO",),
    "Latn": ("LATIN",),
    "Mlym": ("MALAYALAM",),
    "Mong": ("MONGOLIAN",),
    "Mymr": ("MYANMAR",),
    "Orya": ("ORIYA",),
    "Sinh": ("SINHALA",),
    "Taml": ("TAMIL",),
    "Telu": ("TELUGU",),
    "Thai": ("THAI",),
    "Tibt": ("TIBETAN",),
}
"""First words of the Unicode names of a script's letters, by its code in ISO 15924."""


def script_words(flag: str, code: str) -> frozenset[str]:
    """The first words of the names of a script's letters.

    Args:
        flag: where the script was given, for the error.
        code: its code in ISO 15924 or its English name, in any case: "Latn", "latin".

    Raises:
        InputError: the script is unknown; names the nearest one.
    """
    names = {words[0].title(): words for words in _NAMES.values()} | _NAMES
    found = names.get(code.title())
    if found is None:
        raise InputError(f"{flag}: unknown script {code!r}{nearest(code.title(), names)}")
    return frozenset(found)


def share_in_script(text: str, words: frozenset[str]) -> float:
    """The share of a text's letters that are in a script; 1 for a text without letters."""
    found = [_word(letter) for letter in text if letter.isalpha()]
    return sum(word in words for word in found) / len(found) if found else 1.0


@lru_cache(maxsize=2**16)
def _word(letter: str) -> str:
    return unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "?").partition(" ")[0]
