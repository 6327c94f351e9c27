"""Fonts for labels in any script: installed fonts are found, and labels that none can draw are renamed."""

from collections.abc import Sequence

from matplotlib import font_manager

DEFAULT = "DejaVu Sans"  # shipped with matplotlib
REGULAR = {("normal", "normal", weight) for weight in ("400", "normal", "regular")}


def drawable(labels: Sequence[str], longest: int = 24) -> tuple[list[str], list[str]]:
    """Drawable labels, and the font families that draw them.

    White space is collapsed; if a label is long, prefixes and suffixes common to all labels are dropped, and the middle
    of labels that are still long becomes "…". A label with a character that no installed font has becomes "class 3",
    after its index.

    Args:
        labels: in the order of their ids.
        longest: maximum number of characters.
    """
    short = shortened([" ".join(label.split()) for label in labels], longest)
    families, missing = _families(set("".join(short)))
    return [f"class {i}" if set(label) & missing else label for i, label in enumerate(short)], families


def shortened(labels: Sequence[str], longest: int) -> list[str]:
    """Labels of at most `longest` characters, still distinct from each other."""
    if max(map(len, labels), default=0) <= longest:
        return list(labels)
    start, end = _shared(labels), _shared([label[::-1] for label in labels])
    own = [label[start : len(label) - end] for label in labels]
    short = [_without_middle(label, longest) for label in (own if all(own) else labels)]
    numbers = [f" ({place})" if short.count(label) > 1 else "" for place, label in enumerate(short)]
    return [_without_middle(label, longest - len(n)) + n for label, n in zip(short, numbers, strict=True)]


def _shared(labels: Sequence[str]) -> int:
    """Length of the common prefix of all labels, up to the last character that is not a letter or digit."""
    if len(labels) < 2:
        return 0
    first, last = min(labels), max(labels)  # in alphabetical order: what these two share, all share
    shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    while shared and first[shared - 1].isalnum():
        shared -= 1
    return shared


def _without_middle(label: str, longest: int) -> str:
    ending = (longest - 1) // 2
    return label if len(label) <= longest else f"{label[: longest - 1 - ending]}…{label[len(label) - ending :]}"


def _families(characters: set[str]) -> tuple[list[str], set[str]]:
    """Font families that together cover the characters, and the characters that none covers."""
    default = font_manager.findfont(DEFAULT)
    families, missing = [DEFAULT], characters - _characters(default)
    for entry in font_manager.fontManager.ttflist:
        if not missing:
            break
        found = missing & _characters(entry.fname) if _is_regular(entry) else set()
        if found:
            families.append(entry.name)
            missing = missing - found
    return families, missing


def _is_regular(entry: font_manager.FontEntry) -> bool:
    # Looking up a family by name finds its regular face. "Last Resort" draws boxes.
    face = (entry.style, entry.variant, str(entry.weight))
    return face in REGULAR and not entry.name.startswith("Last Resort")


def _characters(file: str) -> set[str]:
    return {chr(code) for code in font_manager.get_font(file).get_charmap()}
