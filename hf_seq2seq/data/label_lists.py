"""Multiple labels per cell: lists, lists as text (`['a', 'b']`, `[1 0 1]`), and zeros and ones, one per class."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

_ITEM = re.compile(
    r"""\s*(?: '(?P<single>(?:[^'\\]|\\.)*)' | "(?P<double>(?:[^"\\]|\\.)*)" | (?P<bare>[^,'"\[\]]+) )\s*(?:,|\s|$)""",
    re.VERBOSE,
)
_NUMBERS = re.compile(r"[\d.+-]+(\s+[\d.+-]+)+")
_ZEROS_AND_ONES = {"0", "1", "0.0", "1.0", "true", "false"}
_SEPARATORS = (",", "|", ";")
_HOT_TEXT = re.compile(r"\s*[01](\s+[01])+\s*")
_LIST = re.compile(r"\[.*\]|\(\s*['\"].*\)|\{\s*['\"].*\}", re.DOTALL)


def plain_label(name: str) -> str:
    """Normalizes different spellings of a value: True and true, 1.0 and 1."""
    low = name.casefold()
    return low if low in ("true", "false") else re.sub(r"^([+-]?\d+)\.0$", r"\1", name)


def one_spelling(names: Iterable[str]) -> dict[str, str]:
    """The canonical name of each name, if several are spellings of one label: the plain one; others are unchanged."""
    spellings: dict[str, set[str]] = {}
    for name in names:
        spellings.setdefault(plain_label(name), set()).add(name)
    return {name: name if len(alike) == 1 else plain for plain, alike in spellings.items() for name in alike}


def is_written_list(text: str, quoted: bool = False) -> bool:
    """Whether a text begins and ends like a list, or a tuple or set of quoted items; `quoted` requires these."""
    text = text.strip()
    return bool(_LIST.fullmatch(text)) and not (quoted and text[1:].lstrip()[0] not in "'\"")


def read_written_list(text: str) -> list[str] | None:
    """The items of a list written as text; None if brackets or quotation marks are unbalanced, or lists are nested.

    Commas may be missing between quoted items and between numbers, as printed by numpy.
    """
    inside = text.strip()[1:-1].strip()
    items: list[str] = []
    place = 0
    while place < len(inside):
        found = _ITEM.match(inside, place)
        if found is None:
            return None
        if found["bare"] is not None:
            bare = found["bare"].strip()
            items += bare.split() if _NUMBERS.fullmatch(bare) else [bare]
        else:
            quoted = found["single"] if found["single"] is not None else found["double"]
            items.append(re.sub(r"\\(.)", r"\1", quoted))
        place = found.end()
    return items


def separator(cells: Sequence[Any]) -> str:
    """The separator of labels in a column's texts: commas if any has one, else bars or semicolons.

    Zeros and ones, one per class, may be separated by spaces.
    """
    texts = [cell for cell in cells if isinstance(cell, str) and not is_written_list(cell)]
    if texts and all(map(_HOT_TEXT.fullmatch, texts)):
        return " "
    return next((sign for sign in _SEPARATORS if any(sign in text for text in texts)), ",")


def hot_width(cells: Sequence[Any]) -> int:
    """The number of classes of a column of zeros and ones, one per class in every row; 0 for any other column."""
    widths = {len(cell) if isinstance(cell, list) else 0 for cell in cells}
    width = widths.pop() if len(widths) == 1 else 0
    return width if width > 1 and all(is_hot(cell) for cell in cells) else 0


def is_hot(cell: Any) -> bool:
    """Whether a cell is a list of zeros and ones."""
    return isinstance(cell, list) and all(str(part).strip().casefold() in _ZEROS_AND_ONES for part in cell)


def hot_places(cell: Sequence[Any]) -> list[int]:
    """The indices of the ones."""
    return [place for place, part in enumerate(cell) if str(part).strip().casefold() in ("1", "1.0", "true")]
