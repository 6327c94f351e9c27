"""Texts annotated with their language, the language of their output, and features.

They are strings, so that whatever reads texts also reads these; a prefix keeps the annotations.
"""

import re
from collections.abc import Iterable, Sequence

from hf_seq2seq.errors import InputError, shorten

TAG = "<2{}>"
"""A token in front of a source that names the language of its output.

Paper: Johnson et al., 2017, section 3, https://aclanthology.org/Q17-1024
"""
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
Features = dict[str, tuple[str, ...]]
"""The features of a text by column."""


class AnnotatedText(str):
    """A text with annotations.

    Attributes:
        lang: its language; None if unknown.
        into: the language of its output; None if that is unknown, or the text is an output.
        is_told: whether the text itself names the output's language, by a tag in front of it or a task's prefix.
        features: by column, those of the whole text or one per word.
    """

    lang: str | None
    into: str | None
    is_told: bool
    features: Features

    def __new__(
        cls,
        text: str = "",
        lang: str | None = None,
        into: str | None = None,
        is_told: bool = False,
        features: Features | None = None,
    ) -> "AnnotatedText":
        """An annotated text."""
        new = super().__new__(cls, text)
        new.lang, new.into, new.is_told, new.features = lang, into, is_told, features or {}
        return new

    def __radd__(self, prefix: str) -> "AnnotatedText":
        """The text behind a prefix, with the same annotations."""
        return self.changed(str.__add__(prefix, self))

    def changed(self, text: str, is_told: bool | None = None) -> "AnnotatedText":
        """Another text with the same annotations."""
        return AnnotatedText(text, self.lang, self.into, self.is_told if is_told is None else is_told, self.features)

    def in_language(self, lang: str | None, into: str | None, is_told: bool = False) -> "AnnotatedText":
        """The same text in a language, for an output in another."""
        return AnnotatedText(self, lang, into, is_told, self.features)

    @property
    def direction(self) -> str:
        """The languages, as in "de-en"."""
        return "-".join(filter(None, (self.lang, self.into)))


def annotated(text: str) -> "AnnotatedText":
    """The text itself if it is annotated, otherwise one without annotations."""
    return text if isinstance(text, AnnotatedText) else AnnotatedText(text)


def tagged(texts: Sequence[str]) -> list[str]:
    """The texts, each behind the tag of its output's language unless the text already names that."""
    return [_with_tag(text) if isinstance(text, AnnotatedText) else text for text in texts]


def _with_tag(text: AnnotatedText) -> AnnotatedText:
    if text.into is None or text.is_told:
        return text
    return text.changed(f"{TAG.format(text.into)} {text}", is_told=True)


def tags_of(texts: Iterable[str]) -> list[str]:
    """The tags in front of texts, each once, in alphabetical order."""
    languages = {text.into for text in texts if isinstance(text, AnnotatedText) and text.into}
    tags = {TAG.format(language) for language in languages}
    return sorted(tags & {text.split(" ", 1)[0] for text in texts if isinstance(text, AnnotatedText)})


def directions(texts: Sequence[str]) -> list[str]:
    """The direction of every text, such as "de-en"; "" if it is unknown."""
    return [text.direction if isinstance(text, AnnotatedText) else "" for text in texts]


def check_code(code: str, place: str) -> str:
    """Returns a language code that is valid.

    Raises:
        InputError: it has other characters than letters, digits, '_' and '-', or more than 40.
    """
    if not _CODE.fullmatch(code):
        raise InputError(f"{place}: {shorten(repr(code))} is not a language code such as de or de_DE")
    return code
