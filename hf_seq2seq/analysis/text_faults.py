"""Faults of single outputs that can be seen in the texts, and the texts without them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

SPACELESS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""Scripts without spaces between words, by the first word of their characters' names."""
LONGEST_LOOP = 8  # words
TIMES = 3
"""How often a group of words must be repeated at once to be a loop."""
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\S+")


def words(text: str) -> list[str]:
    """The words between spaces, or the characters of text without spaces."""
    found = text.split()
    if len(text) > 4 * len(found) and spaceless(text):
        return [letter for letter in text if not letter.isspace()]
    return found


def spaceless(text: str) -> bool:
    """Whether most letters are of a script without spaces between words."""
    letters = [letter for letter in text if letter.isalpha()]
    return 2 * sum(script(letter) in SPACELESS for letter in letters) > len(letters)


def joined(found: Sequence[str], like: str) -> str:
    """Words as a text, written like another one."""
    return ("" if len(like.split()) < len(words(like)) else " ").join(found)


def script(letter: str) -> str:
    """The script of a letter, by the first word of its name: LATIN, CYRILLIC, CJK."""
    return unicodedata.name(letter, "UNKNOWN").split()[0]


def main_script(text: str) -> str | None:
    """The script of most letters of a text; None if it has no letters."""
    counted = Counter(script(letter) for letter in text if letter.isalpha())
    return counted.most_common(1)[0][0] if counted else None


def without_loops(found: Sequence[str]) -> list[str]:
    """Words of which a group that follows itself at least `TIMES` times is kept once."""
    kept: list[str] = []
    place = 0
    while place < len(found):
        size, times = _loop_at(found, place)
        kept += found[place : place + size]
        place += size * times
    return kept


def repeated_ngrams(found: Sequence[str], size: int = 4) -> int:
    """How many sequences of words of this size occurred before."""
    every = [tuple(found[place : place + size]) for place in range(len(found) - size + 1)]
    return len(every) - len(set(every))


def _loop_at(found: Sequence[str], place: int) -> tuple[int, int]:
    """The size of the group that repeats from here and how often it stands here; (1, 1) for no loop."""
    for size in range(1, min(LONGEST_LOOP, (len(found) - place) // TIMES) + 1):
        group, times = found[place : place + size], 1
        while found[place + times * size : place + (times + 1) * size] == group:
            times += 1
        if times >= TIMES:
            return size, times
    return 1, 1


def copied_words(text: str) -> list[str]:
    """Words of a kind that is copied: numbers, addresses, and words with a capital letter after the first word."""
    found = []
    for place, word in enumerate(text.split()):
        bare = word.strip(".,;:!?\"'()[]{}«»„“”‚‘’…")
        name = place > 0 and any(letter.isupper() for letter in bare)
        if bare and (name or any(letter.isdigit() for letter in bare) or _ADDRESS.fullmatch(bare)):
            found.append(bare)
    return found


def wanted_copies(source: str, reference: str) -> Counter[str]:
    """Numbers, names and addresses that a reference copies from the source."""
    return Counter(copied_words(source)) & Counter(copied_words(reference))


def missing_copies(wanted: Counter[str], output: str) -> Counter[str]:
    """Those that an output lacks; it may have them anywhere, also inside a word."""
    present = Counter(copied_words(output))
    return Counter({word: n for word, n in (wanted - present).items() if word not in output})


def with_copies(output: str, wanted: Counter[str], missing: Counter[str]) -> str:
    """An output in which the missing copies replace the wrong ones, in order; the rest is put at its end."""
    rest = list(missing.elements())
    wrong = Counter(copied_words(output)) - wanted
    found = []
    for word in output.split():
        bare = next(iter(copied_words(f"x {word}")), None)
        if rest and bare is not None and wrong[bare] > 0:
            wrong[bare] -= 1
            word = word.replace(bare, rest.pop(0))
        found.append(word)
    return " ".join([*found, *rest])


def first_difference(found: Sequence[str], right: Sequence[str]) -> int | None:
    """Index of the first word that differs, or of the end of the shorter one; None if they are equal."""
    for place, (own, other) in enumerate(zip(found, right, strict=False)):
        if own != other:
            return place
    return None if len(found) == len(right) else min(len(found), len(right))
