"""Broken encodings: characters that no text has, and UTF-8 that was read in another encoding."""

import re

_BROKEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffd-\uffff\ud800-\udfff]")
"""Control characters besides tab and line breaks, halves of characters, noncharacters, replacement characters."""
_QUOTES = "»”“’‘›…"
_SIGNS = _QUOTES + "¹²³ªº°®™©§"


def _byte_table() -> dict[str, int]:
    """The byte of every character beyond ASCII in Windows-1252; bytes without one are those of Latin-1."""
    found = {}
    for byte in range(0x80, 0x100):
        found[bytes([byte]).decode("latin-1")] = byte
        try:
            found[bytes([byte]).decode("cp1252")] = byte
        except UnicodeDecodeError:
            continue
    return found


_BYTES = _byte_table()


def _between(first: int, last: int) -> str:
    return "[" + "".join(re.escape(mark) for mark, byte in _BYTES.items() if first <= byte <= last) + "]"


_REST = _between(0x80, 0xBF)
_MISREAD = re.compile(
    f"{_between(0xC2, 0xDF)}{_REST}|{_between(0xE0, 0xEF)}{_REST}{{2}}|{_between(0xF0, 0xF4)}{_REST}{{3}}"
)
"""A character of UTF-8 whose bytes were read as Windows-1252 or Latin-1: `Ã¤` is `ä`, `â€™` is an apostrophe."""


def broken_part(text: str) -> str | None:
    """What shows that a text's encoding is broken, for a message; None for a sound text.

    A letter before a closing quotation mark, as in German „Spaß“, is valid in UTF-8, too; so such a sequence counts
    only before another letter.
    """
    if text.isascii() and text.isprintable():
        return None
    if found := _BROKEN.search(text):
        kind = "replacement character" if found.group() == "\ufffd" else "control character"
        return f"{kind} U+{ord(found.group()):04X}"
    for found in _MISREAD.finditer(text):
        if _is_misread(text, found):
            meant = bytes(_BYTES[mark] for mark in found.group()).decode("utf-8", "replace")
            return f"{found.group()!r} seems to be {meant!r} in the wrong encoding"
    return None


def _is_misread(text: str, found: re.Match[str]) -> bool:
    first, rest = found.group()[0], found.group()[1:]
    if found.group().startswith("â€"):
        return True
    doubtful = _QUOTES if first in "ÃÂ" else _SIGNS
    return any(mark not in doubtful for mark in rest) or text[found.end() : found.end() + 1].isalpha()
