"""Criteria of human evaluation, their wording for raters, and rating scales.

Paper: Callison-Burch et al. 2007, (Meta-) Evaluation of Machine Translation, section 3 (fluency and adequacy, five
    points each), https://aclanthology.org/W07-0718
Paper: Dang 2006, DUC 2005: Evaluation of Question-Focused Summarization Systems (five points, very poor to very good,
    and what is called readability here), https://aclanthology.org/W06-0707
Paper: Grusky et al. 2018, Newsroom, section 5 (informativeness), https://aclanthology.org/N18-1065
Paper: Hodosh et al. 2013, Framing Image Description as a Ranking Task (accuracy and relevance of captions),
    https://doi.org/10.1613/jair.3994
Paper: Graham et al. 2013, Continuous Measurement Scales in Human Evaluation of Machine Translation (0 to 100),
    https://aclanthology.org/W13-2305
"""

import re
from dataclasses import dataclass

from hf_seq2seq.errors import InputError

WIDEST = 100
_POOR_TO_GOOD = ("Very poor", "Poor", "Barely acceptable", "Good", "Very good")


@dataclass(frozen=True)
class Criterion:
    """A question about a text.

    Attributes:
        question: the question that a rating answers.
        guidelines: how to answer it.
        points: labels of the points of a five-point scale from worst to best; other scales show only the labels of both
            ends.
    """

    question: str
    guidelines: str
    points: tuple[str, ...]


CRITERIA = {
    "fluency": Criterion(
        "How good is the language of this text?",
        "Judge the text alone, as if you had not seen where it comes from: grammar, spelling, choice of words, natural"
        " phrasing. A fluent text may still say something wrong; that costs nothing here.",
        ("Incomprehensible", "Disfluent", "Non-native", "Good", "Flawless"),
    ),
    "adequacy": Criterion(
        "How much of the meaning does this text express?",
        "Compare its meaning with that of the source, or with the reference where you see no source. What is added or"
        " wrong counts like what is lost. Awkward language costs nothing as long as the meaning is clear.",
        ("None", "Little", "Much", "Most", "All"),
    ),
    "informativeness": Criterion(
        "How well does this text cover what matters in the source?",
        "Ask whether a reader of this text alone would know the main points. A main point that is missing, and anything"
        " that the source does not say, make it worse; a detail left out does not.",
        _POOR_TO_GOOD,
    ),
    "readability": Criterion(
        "How easy is this text to read?",
        "Judge the text alone: grammar, no needless repetition, clear what each word refers to, one sentence leading to"
        " the next. Whether it is true or complete does not matter here.",
        _POOR_TO_GOOD,
    ),
    "relevance": Criterion(
        "How well does this text say what matters in the picture or source?",
        "Ask what a person would mention first. A text about something minor, or so general that it would fit many"
        " pictures, is less relevant, even if all of it is true.",
        _POOR_TO_GOOD,
    ),
    "accuracy": Criterion(
        "How much of what this text says is true of the picture or source?",
        "Check each object, property, number, action and relation that the text states. What it leaves out costs"
        " nothing here.",
        ("None", "Little", "Half", "Most", "All"),
    ),
}


@dataclass(frozen=True)
class Scale:
    """Integers from the worst to the best rating, inclusive."""

    low: int
    high: int


def parse_scale(text: str) -> Scale:
    """Reads `1-5`.

    Raises:
        InputError: it has another form, is not increasing, or is wider than `WIDEST`.
    """
    found = re.fullmatch(r"(\d{1,3})-(\d{1,3})", text)
    if not found:
        raise InputError(f"--scale: {text!r} is not LOW-HIGH, such as 1-5, 1-7 or 0-100")
    scale = Scale(*map(int, found.groups()))
    if not 0 < scale.high - scale.low <= WIDEST:
        raise InputError(f"--scale: {text!r} must increase, by {WIDEST} at most, such as 1-5 or 0-100")
    return scale
