"""The languages in which a model reads its sources and writes its outputs."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from hf_seq2seq.data.annotated_text import TAG, AnnotatedText, annotated, tagged
from hf_seq2seq.data.tokenizers.languages import code_of, language_codes, language_tags, tag_ids
from hf_seq2seq.errors import InputError, nearest

if TYPE_CHECKING:
    from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Languages:
    """Marks texts with their languages in the way that a model has learned: by codes, or by a tag in front.

    Attributes:
        codes: ids of the codes of its tokenizer; empty if it has none.
        tags: languages that its tokenizer has tags of; empty if it has none.
        source: the language of texts without one.
        target: the language to write where a text names none.
        may_lack: whether texts may come without a target: the model's own settings, or a prefix, say what to write.
        tag_ids: ids of the tags that are one token.
    """

    codes: Mapping[str, int]
    tags: Sequence[str]
    source: str | None = None
    target: str | None = None
    may_lack: bool = False
    tag_ids: frozenset[int] = frozenset()

    def __call__(self, texts: Sequence[Any]) -> list[Any]:
        """The texts with codes or tags; conversations, and texts for a model without languages, as they are.

        Raises:
            InputError: a language is missing, or the model lacks it; names the nearest.
        """
        if self.codes:
            return [self._coded(text) for text in texts]
        if self.tags:
            return [self._tagged(text) for text in texts]
        return list(texts)

    def _coded(self, text: Any) -> Any:
        lang, into = self._known(text)
        if not isinstance(text, str) or (into is None and self.may_lack):
            return text
        if into is None:
            raise InputError(f"--target-lang: name the language to write, such as {next(iter(self.codes))}")
        if lang is None:
            raise InputError(f"--source-lang: name the language of the sources, such as {next(iter(self.codes))}")
        return annotated(text).in_language(
            code_of(lang, self.codes, "--source-lang"), code_of(into, self.codes, "--target-lang"), is_told=True
        )

    def _tagged(self, text: Any) -> Any:
        if not isinstance(text, str):
            return text
        lang, into = self._known(text)
        if self._begins_with_tag(text):
            if into and not text.startswith(TAG.format(into)):
                _tell_ignored(text.split(" ", 1)[0], into)
            return text
        if into is None:
            if self.may_lack:
                return text
            raise InputError(f"--target-lang: name the language to write; this model has {', '.join(self.tags)}")
        if into not in self.tags:
            raise InputError(f"--target-lang: this model has no tag of {into!r}{nearest(into, self.tags)}")
        return tagged([annotated(text).in_language(lang, into)])[0]

    def _begins_with_tag(self, text: str) -> bool:
        return text.split(" ", 1)[0] in map(TAG.format, self.tags)

    def _known(self, text: Any) -> tuple[str | None, str | None]:
        own = text if isinstance(text, AnnotatedText) else AnnotatedText()
        return own.lang or self.source, own.into or self.target


@cache
def _tell_ignored(tag: str, into: str) -> None:
    """Says once that a text's own tag is what counts."""
    logger.warning("--target-lang %s: no effect on texts that begin with a tag of their own, such as %s", into, tag)


def base_language(code: str) -> str:
    """A code without region and script: en for en_US and en-GB."""
    return re.split("[-_]", code)[0]


def languages_of(
    tokenizers: "Tokenizers",
    run: Mapping[str, Any],
    source: str | None = None,
    target: str | None = None,
    may_lack: bool = False,
) -> Languages:
    """What a model knows of languages.

    Args:
        tokenizers: of the model.
        run: the configuration of its training, which may have been on one pair of languages.
        source: the language of texts without one, if it is given.
        target: the language to write, if it is given.
        may_lack: as `Languages` says.

    Raises:
        InputError: a language is given, and the model has only one pair of languages.
    """
    codes, tags = language_codes(tokenizers.target), language_tags(tokenizers.source)
    only = run.get("target_lang")
    if not codes and not tags and target and only and base_language(target) != base_language(only):
        raise InputError(f"--target-lang: {target!r}, but this model writes only {only}")
    source = source or run.get("source_lang") if codes else source
    return Languages(codes, tags, source, target, may_lack, tag_ids(tokenizers.source) if tags else frozenset())


def vain_languages(
    known: Languages | None,
    names: tuple[str, str],
    given: tuple[str | None, str | None],
    run: Mapping[str, Any],
) -> list[str]:
    """Which languages have no effect, since the model was never told them in training, a line each.

    Args:
        known: what the model knows of languages; None for nothing.
        names: what the options of the source's and of the output's language are called.
        given: those languages, if they are given.
        run: the configuration of its training, which may have been on one pair of languages.
    """
    if not any(given) or (known is not None and known.codes):
        return []
    vain = [f"{name} {language}" for name, language in zip(names, given, strict=True) if language]
    learned = run.get("source_lang")
    if known is not None and known.tags:
        return [f"{vain[0]}: no effect, as this model is told only the language to write"] if given[0] else []
    if not learned and not run.get("target_lang"):
        return [f"{' and '.join(vain)}: no effect, as this model knows no languages"]
    if given[0] and learned and base_language(given[0]) != base_language(learned):
        return [f"{vain[0]}: this model has learned to read only {learned}"]
    return []
