"""Modifiers of pairs of text: letters' case, typos, punctuation, tags and terms; each a function of a pair and a seed.

The names and their use are those of OpusTrainer (Bogoychev et al., 2023, https://arxiv.org/abs/2311.14838).
"""

import random
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Pair = tuple[str, str]
Options = Mapping[str, object]
TERM_TEMPLATE = "__source__ {src} __target__ {trg} __done__"
NEIGHBOURS = {
    letter: (row[max(0, place - 1) : place] + row[place + 1 : place + 2])
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for place, letter in enumerate(row)
}
"""Letters beside a letter on a keyboard."""


def upper_case(source: str, target: str) -> Pair:
    """Both sides in capitals."""
    return source.upper(), target.upper()


def title_case(source: str, target: str) -> Pair:
    """Both sides with every word capitalized."""
    return _capitalized(source), _capitalized(target)


def _capitalized(text: str) -> str:
    return re.sub(r"\S+", lambda word: word[0][:1].upper() + word[0][1:].lower(), text)


def without_punctuation(source: str, target: str) -> Pair:
    """Both sides without their closing punctuation; a side of punctuation alone stays."""
    return _unclosed(source), _unclosed(target)


def _unclosed(text: str) -> str:
    return re.sub(r"[\s.!?…,;:。！？؟।]+$", "", text) or text


def typos(source: str, share: float, draw: random.Random) -> str:
    """A share of the source's words with one typo each: a swapped, lost, doubled or neighbouring letter.

    At least one word of two letters or more has one, where there is such a word.
    """
    parts = re.split(r"(\s+)", source)
    words = [place for place, part in enumerate(parts) if sum(map(str.isalpha, part)) > 1]
    chosen = [place for place in words if draw.random() < share] or words[:0]
    if words and not chosen:
        chosen = [draw.choice(words)]
    for place in chosen:
        parts[place] = _mistyped(parts[place], draw)
    return "".join(parts)


def _mistyped(word: str, draw: random.Random) -> str:
    places = [place for place, letter in enumerate(word) if letter.isalpha()]
    place = draw.choice(places)
    letter, before, after = word[place], word[:place], word[place + 1 :]
    kind = draw.choice(("swapped", "lost", "doubled", "neighbouring"))
    if kind == "swapped":
        return before + after[:1] + letter + after[1:] if after else before[:-1] + letter + before[-1:]
    if kind == "neighbouring":
        near = draw.choice(NEIGHBOURS.get(letter.lower(), string.ascii_lowercase))
        return before + (near.upper() if letter.isupper() else near) + after
    return before + (letter * 2 if kind == "doubled" else "") + after


def tagged(source: str, tag: str) -> str:
    """The source after a tag, as for synthetic rows (Caswell et al., 2019, https://aclanthology.org/W19-5206)."""
    return f"{tag} {source}"


def with_terms(source: str, target: str, terms: Mapping[str, str], template: str, draw: random.Random) -> str:
    """The source with the translation of one term inside, where the pair has a term and its translation.

    Paper: Dinu et al., 2019, https://aclanthology.org/P19-1294
    """
    found = [(term, wanted) for term, wanted in terms.items() if _holds(source, term) and _holds(target, wanted)]
    if not found:
        return source
    term, wanted = draw.choice(found)
    inline = template.replace("{src}", term).replace("{trg}", wanted)
    return re.sub(_whole(term), lambda match: inline, source, count=1)


def _holds(text: str, term: str) -> bool:
    return term in text and re.search(_whole(term), text) is not None


def _whole(term: str) -> str:
    return rf"(?<!\w){re.escape(term)}(?!\w)"


@dataclass(frozen=True)
class Modifier:
    """A modifier of a stage.

    Attributes:
        name: one of `MODIFIERS`.
        probability: of each row in a chunk of draws.
        options: its own.
        terms: for Terms: translations by term.
    """

    name: str
    probability: float
    options: Options
    terms: Mapping[str, str]

    def __call__(self, source: str, target: str, draw: random.Random) -> Pair:
        """The modified pair."""
        return MODIFIERS[self.name](self, source, target, draw)


def _typos(modifier: Modifier, source: str, target: str, draw: random.Random) -> Pair:
    return typos(source, float(str(modifier.options.get("share", 0.1))), draw), target


def _terms(modifier: Modifier, source: str, target: str, draw: random.Random) -> Pair:
    template = str(modifier.options.get("template", TERM_TEMPLATE))
    return with_terms(source, target, modifier.terms, template, draw), target


MODIFIERS: dict[str, Callable[[Modifier, str, str, random.Random], Pair]] = {
    "UpperCase": lambda modifier, source, target, draw: upper_case(source, target),
    "TitleCase": lambda modifier, source, target, draw: title_case(source, target),
    "Typos": _typos,
    "NoPunctuation": lambda modifier, source, target, draw: without_punctuation(source, target),
    "Tag": lambda modifier, source, target, draw: (tagged(source, str(modifier.options["tag"])), target),
    "Terms": _terms,
}
OPTIONS: dict[str, tuple[str, ...]] = {"Typos": ("share",), "Tag": ("tag",), "Terms": ("file", "template")}
NEEDED = {"Tag": "tag", "Terms": "file"}
