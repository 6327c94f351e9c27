"""Where the sentences of a text begin, in any script: by the rules of `sentencex`, and at the ends of lines.

Its rules know the closing marks and the quotation marks of some 240 languages, and the abbreviations of many.
"""

import re
import sys

LINE = re.compile(r"[^\n]*(?:\n\s*|$)")
KHMER = re.compile(r"[\u17d4\u17d5]+\s*")
"""Khan and bariyoosan, which `sentencex` does not end a sentence at."""
BLANKS = {code: " " for code in range(0x80, sys.maxunicode + 1) if chr(code).isspace()} | {0x200B: " "}
"""Its rules for initials stumble over blanks of more than one byte."""


def sentence_starts(text: str, language: str = "en") -> list[int]:
    """Where the sentences of a text begin, in characters; the first is 0.

    Args:
        text: any text.
        language: whose abbreviations do not end a sentence, such as "de" for "z. B."; the marks that end one are those
            of all scripts.
    """
    from sentencex import segment

    starts, place = [], 0
    for line in LINE.findall(text):
        for sentence in segment(language, line.translate(BLANKS)) if line.strip() else [line]:
            breaks = [0, *(match.end() for match in KHMER.finditer(sentence) if match.end() < len(sentence))]
            starts += [place + at for at in breaks] if sentence.strip() else []
            place += len(sentence)
    return [0, *starts[1:]]
