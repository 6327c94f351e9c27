"""Cuts a text of any length into pieces that fit a model, so that nothing is lost and the spacing can be put back.

A text is the first gap, the first piece, the second gap, …, the last gap; gaps are white space alone, and pieces begin
and end with something else.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from hf_seq2seq.data.sentences import sentence_starts
from hf_seq2seq.data.tokenizers.unicode_text import UNSPACED, character_class
from hf_seq2seq.errors import InputError

KINDS = ("sentences", "paragraphs", "tokens")
PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
BORDER = re.compile(rf"[\s{character_class(UNSPACED)}\uff00-\uff65]")
LANGUAGE = re.compile(r"[a-z]{2,3}([-_]\w+)?")

Cut = Callable[[str], list[str]]
Count = Callable[[list[str]], list[int]]
"""The number of tokens of each text, with special tokens and prefix."""


class Pieces(NamedTuple):
    """A text in pieces.

    Attributes:
        texts: the pieces, none of them blank.
        gaps: white space before each piece, and after the last one.
    """

    texts: list[str]
    gaps: list[str]

    def joined(self, outputs: Sequence[str], between: str = "") -> str:
        """Outputs of the pieces, with the spacing of the text.

        Args:
            outputs: one of each piece.
            between: what stands between two outputs whose pieces had no space between them.
        """
        text = ""
        for gap, output in zip(self.gaps, outputs, strict=False):
            text += (gap or (between if text and output else "")) + output
        return text + self.gaps[-1]


def check_language(language: str) -> None:
    """Rejects what is no language code.

    Raises:
        InputError: it has not the form of one.
    """
    if not LANGUAGE.fullmatch(language):
        raise InputError(f"--split-language: {language!r} is no language code; write two or three letters: 'de'")


def split_text(text: str, kind: str, count: Count, room: int | None, language: str = "en") -> Pieces:
    """Cuts a text.

    Args:
        text: any text.
        kind: "sentences" or "paragraphs", one piece each, or "tokens", as few pieces as fit.
        count: counts tokens.
        room: most tokens of a piece; longer ones are cut between sentences, else between words, else inside a word.
            None for no limit.
        language: whose abbreviations do not end a sentence.
    """
    cut: dict[str, Cut] = {"sentences": partial(_sentences, language=language), "paragraphs": _paragraphs}
    units = cut.get(kind, _whole)(text)
    spans = [span for unit in units for span in _fitting(unit, count, room, language)]
    return _pieces(spans)


def too_long(texts: Sequence[str], count: Count, room: int | None) -> list[tuple[int, int]]:
    """The index of each text with more tokens than fit, and how many it has."""
    if room is None:
        return []
    return [(row, tokens) for row, tokens in enumerate(count(list(texts))) if tokens > room]


def _pieces(spans: Sequence[str]) -> Pieces:
    """Spans, which make up the text, without the white space around them."""
    texts, gaps, gap = [], [], ""
    for span in spans:
        core = span.strip()
        if not core:
            gap += span
            continue
        before, after = span[: span.index(core)], span[span.index(core) + len(core) :]
        texts.append(core)
        gaps.append(gap + before)
        gap = after
    return Pieces(texts, [*gaps, gap])


def _whole(text: str) -> list[str]:
    return [text]


def _sentences(text: str, language: str) -> list[str]:
    """Sentences; a word such as "so?--and" is cut only in scripts without spaces."""
    starts = sentence_starts(text, language)
    return _cut(text, [0, *(start for start in starts if BORDER.search(text[max(0, start - 1) : start + 1]))])


def _paragraphs(text: str) -> list[str]:
    return _cut(text, [0, *(match.end() for match in PARAGRAPH.finditer(text))])


def _words(text: str) -> list[str]:
    return _cut(text, [0, *(match.start() for match in re.finditer(r"(?<=\s)\S", text))])


def _cut(text: str, starts: Sequence[int]) -> list[str]:
    return [text[start:end] for start, end in pairwise([*dict.fromkeys(starts), len(text)]) if end > start]


def _fitting(text: str, count: Count, room: int | None, language: str) -> list[str]:
    """A text as spans that fit, cut at the coarsest of sentences, words and characters at which it can be."""
    if room is None or not text.strip() or count([text.strip()])[0] <= room:
        return [text]
    for level in (_paragraphs, lambda part: _sentences(part, language), _words, list):
        parts = level(text)
        if len(parts) > 1:
            spans = _packed(parts, count, room)
            return [fitting for span in spans for fitting in _fitting(span, count, room, language)]
    return [text]  # one character


def _packed(parts: Sequence[str], count: Count, room: int) -> list[str]:
    """Consecutive parts joined as far as the sum of their tokens fits; the sum may be more than the whole has."""
    empty, *counts = count(["", *(part.strip() for part in parts)])
    spans, used = [""], empty
    for part, tokens in zip(parts, counts, strict=True):
        if spans[-1].strip() and used + tokens - empty > room:
            spans.append("")
            used = empty
        spans[-1] += part
        used += tokens - empty
    # Tokens across a border may be more than apart: what does not change would be cut here for ever.
    return spans if len(spans) > 1 else ["".join(parts[: len(parts) // 2]), "".join(parts[len(parts) // 2 :])]
