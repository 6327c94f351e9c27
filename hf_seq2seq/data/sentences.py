"""Sentence segmentation in any script: by the rules of `sentencex`, and at line breaks.

Its rules cover the final marks and quotation marks of some 240 languages, and the abbreviations of many.
"""

import re

LINE = re.compile(r"[^\n]*(?:\n\s*|$)")
KHMER = re.compile(r"[\u17d4\u17d5]+\s*")
"""Khan and bariyoosan, which `sentencex` does not treat as sentence ends."""
BLANKS = dict.fromkeys([*range(0x2000, 0x200C), *map(ord, "\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000")], " ")
"""Its rules for initials fail on multi-byte white space."""


def sentence_starts(text: str, language: str = "en") -> list[int]:
    """The first character of each sentence of a text; the first is 0.

    Args:
        text: any text.
        language: language whose abbreviations do not end a sentence, such as "de" for "z. B."; the final marks are
            those of all scripts.
    """
    from sentencex import segment

    starts, place = [], 0
    for line in LINE.findall(text):
        for sentence in segment(language, line.translate(BLANKS)) if line.strip() else [line]:
            breaks = [0, *(match.end() for match in KHMER.finditer(sentence) if match.end() < len(sentence))]
            starts += [place + at for at in breaks] if sentence.strip() else []
            place += len(sentence)
    return [0, *starts[1:]]
