"""The rules of cleaning: each is made from its options, and says of a pair why it is dropped.

A new rule is one more function here, its name in `options.RULES`, and its line in `make_rules`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from hf_seq2seq.data.cells import NANS, SEVERAL_WORDS
from hf_seq2seq.data.cleaning.encodings import broken_part
from hf_seq2seq.data.cleaning.languages import Identify, language_code, language_identifier
from hf_seq2seq.data.cleaning.normal_form import hash_of
from hf_seq2seq.data.cleaning.options import RULES, SIDES, Cleaning
from hf_seq2seq.data.cleaning.scripts import script_words, share_in_script
from hf_seq2seq.data.tokenizers.unicode_text import IDEOGRAMS, character_class, is_blank
from hf_seq2seq.errors import InputError

_IDEOGRAM = re.compile(f"[{character_class(IDEOGRAMS)}]")


class Pair(NamedTuple):
    """A source and its target; None for a side that is not known."""

    source: str | None
    target: str | None

    def sides(self) -> Iterable[tuple[str, str]]:
        """The name and the text of each known side."""
        return ((name, text) for name, text in zip(SIDES, self, strict=True) if text is not None)


Rule = Callable[[Pair], str | None]
"""Why a pair is dropped, or None."""
Seen = Mapping[str, frozenset[int]]
"""Hashes of the sources and of the targets of other files."""


def empty(spaced: frozenset[str] = frozenset()) -> Rule:
    """A side in which there is nothing to see.

    Args:
        spaced: sides of several words, where `nan` is no word: pandas writes it for a missing text.
    """

    def why(pair: Pair) -> str | None:
        for side, text in pair.sides():
            if is_blank(text):
                return f"the {side} is empty"
            if side in spaced and text.strip() in NANS:
                return f"the {side} is {text.strip()!r}, which stands for a missing text"
        return None

    return why


def are_spaced(texts: Iterable[str]) -> bool:
    """Whether at least half of the texts have several words, so that `nan` stands for a missing one, as in training."""
    there = [text for text in texts if text.strip() not in NANS]
    return bool(there) and 2 * sum(re.search(SEVERAL_WORDS, text) is not None for text in there) >= len(there)


def broken_encoding(pair: Pair) -> str | None:
    """A side with characters that no text has, or with UTF-8 that was read in another encoding."""
    for side, text in pair.sides():
        if found := broken_part(text):
            return f"{side}: {found}"
    return None


def identical(pair: Pair) -> str | None:
    """Equal sides, but for spaces."""
    if pair.source is None or pair.target is None or pair.source.split() != pair.target.split():
        return None
    return "both sides are the same"


def length(options: Cleaning) -> Rule:
    """A side with too few or too many words."""

    def why(pair: Pair) -> str | None:
        for side, text in pair.sides():
            count = count_words(text)
            if count < options.min_words or count > (options.max_words or count):
                return f"the {side} has {count} words"
        return None

    return why


def length_ratio(options: Cleaning) -> Rule:
    """Sides of very different lengths, in characters without spaces.

    Paper: Gale and Church, 1993, section 3.2, https://aclanthology.org/J93-1004: characters vary less than words.
    """

    def why(pair: Pair) -> str | None:
        if pair.source is None or pair.target is None:
            return None
        shorter, longer = sorted(len("".join(text.split())) for text in (pair.source, pair.target))
        if longer <= shorter * options.length_ratio:
            return None
        return f"one side has {longer} characters, the other {shorter}"

    return why


def script(options: Cleaning) -> Rule:
    """A side whose letters are mostly of another script."""
    wanted = {
        side: (code, script_words(f"--{side}-script", code))
        for side in SIDES
        if (code := getattr(options, f"{side}_script"))
    }

    def why(pair: Pair) -> str | None:
        for side, text in pair.sides():
            if side in wanted and (share := share_in_script(text, wanted[side][1])) < options.script_share:
                return f"{100 * share:.0f} % of the {side}'s letters are {wanted[side][0]}"
        return None

    return why


def language(options: Cleaning, languages: Mapping[str, str | None]) -> Rule:
    """A side that is probably in another language.

    Raises:
        InputError: no language is given, it is unknown, or no package for it is installed.
    """
    given = {side: name for side, name in languages.items() if name}
    if not given:
        raise InputError("--check-language: give --source-lang, --target-lang or both")
    identify, known = language_identifier()
    wanted = {side: language_code(f"--{side}-lang", name, known) for side, name in given.items()}

    def why(pair: Pair) -> str | None:
        for side, text in pair.sides():
            if side in wanted and (wrong := _other_language(text, wanted[side], identify, options.language_confidence)):
                return f"the {side} is {wrong}"
        return None

    return why


def _other_language(text: str, wanted: str, identify: Identify, least: float) -> str | None:
    found, probability = identify(text)
    return None if found == wanted or probability < least else f"{found} with probability {probability:.2f}"


def overlap(seen: Seen) -> Rule:
    """A side that occurs in other files, such as test sets, in normal form."""

    def why(pair: Pair) -> str | None:
        for side, text in pair.sides():
            if hash_of(text) in seen[side]:
                return f"the {side} occurs in a file of --against"
        return None

    return why


def duplicate(unique: Sequence[str]) -> Rule:
    """A pair, source or target that was kept before, in normal form; the last rule, since it remembers what is kept.

    Memory is about 70 bytes per row.
    """
    kept: dict[str, set[int]] = {part: set() for part in unique}

    def why(pair: Pair) -> str | None:
        known = dict(pair.sides())
        parts = {"pair": tuple(known.values())} | {side: (text,) for side, text in known.items()}
        hashes = {part: hash_of(*parts[part]) for part in kept if part in parts}
        if found := next((part for part, number in hashes.items() if number in kept[part]), None):
            return f"repeats an earlier {found}"
        for part, number in hashes.items():
            kept[part].add(number)
        return None

    return why


def make_rules(
    options: Cleaning,
    languages: Mapping[str, str | None],
    seen: Seen | None,
    spaced: frozenset[str] = frozenset(),
) -> dict[str, Rule]:
    """The rules that apply, by name, in order.

    Args:
        options: their options.
        languages: of the sides.
        seen: what --against contains, if it is given.
        spaced: sides of several words.

    Raises:
        InputError: options are incompatible, or a package is missing.
    """
    options.check()
    makers: dict[str, Callable[[], Rule]] = {
        "empty": lambda: empty(spaced),
        "broken_encoding": lambda: broken_encoding,
        "identical": lambda: identical,
        "length": lambda: length(options),
        "length_ratio": lambda: length_ratio(options),
        "script": lambda: script(options),
        "language": lambda: language(options, languages),
        "overlap": lambda: overlap(seen or {}),
        "duplicate": lambda: duplicate(options.unique),
    }
    idle = {
        "script": not (options.source_script or options.target_script),
        "language": not options.check_language,
        "overlap": seen is None,
        "duplicate": not options.unique,
    }
    return {name: makers[name]() for name in RULES if name not in options.skip_rules and not idle.get(name)}


def count_words(text: str) -> int:
    """The number of words; each ideogram, as in Chinese and Japanese, is one."""
    return len((text if text.isascii() else _IDEOGRAM.sub(" x ", text)).split())
