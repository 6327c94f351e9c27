"""Fonts for labels in any script: what is installed is found, what nothing can draw is named in another way."""

from collections.abc import Sequence

from matplotlib import font_manager

DEFAULT = "DejaVu Sans"  # comes with matplotlib
REGULAR = {("normal", "normal", weight) for weight in ("400", "normal", "regular")}


def drawable(labels: Sequence[str], longest: int = 24) -> tuple[list[str], list[str]]:
    """Labels as they can be drawn, and the font families that draw them.

    White space becomes one space, long labels end in "…", and a label that holds a character that no installed font
    has becomes "class 3", after its place.

    Args:
        labels: in the order of their ids.
        longest: characters to keep.
    """
    short = [" ".join(label.split()) for label in labels]
    short = [label if len(label) <= longest else label[: longest - 1] + "…" for label in short]
    families, missing = _families(set("".join(short)))
    return [f"class {i}" if set(label) & missing else label for i, label in enumerate(short)], families


def _families(characters: set[str]) -> tuple[list[str], set[str]]:
    """Families that together have the characters, and the characters that none has."""
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
    # A family is asked for by name alone, and that finds its regular face. "Last Resort" draws boxes.
    face = (entry.style, entry.variant, str(entry.weight))
    return face in REGULAR and not entry.name.startswith("Last Resort")


def _characters(file: str) -> set[str]:
    return {chr(code) for code in font_manager.get_font(file).get_charmap()}
