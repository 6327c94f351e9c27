"""What a tokenizer knows of languages: codes that mark a text, or tags that ask for an output's language."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from hf_seq2seq.data.annotated_text import TAG, AnnotatedText
from hf_seq2seq.data.mapped.texts import ArrowTexts
from hf_seq2seq.errors import InputError, nearest

L = TypeVar("L")
LISTED = "language_tags"
_NLLB = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
_TAGS = re.compile(re.escape(TAG).replace(r"\{\}", r"([\w-]+)"))
_LETTERS = """
af:afr am:amh ar:arb az:azj be:bel bg:bul bn:ben bs:bos ca:cat cs:ces cy:cym da:dan de:deu el:ell en:eng es:spa et:est
eu:eus fa:pes fi:fin fr:fra ga:gle gl:glg gu:guj ha:hau he:heb hi:hin hr:hrv hu:hun hy:hye id:ind ig:ibo is:isl it:ita
ja:jpn ka:kat kk:kaz km:khm kn:kan ko:kor lt:lit lv:lvs mk:mkd ml:mal mn:khk mr:mar my:mya nb:nob ne:npi nl:nld pa:pan
pl:pol ps:pbt pt:por ro:ron ru:rus si:sin sk:slk sl:slv so:som sq:als sr:srp sv:swe sw:swh ta:tam te:tel th:tha tl:tgl
tr:tur uk:ukr ur:urd uz:uzn vi:vie xh:xho yo:yor zh:zho zu:zul
"""
THREE_LETTERS = dict(pair.split(":") for pair in _LETTERS.split())
"""The codes of three letters (ISO 639-3) that NLLB has of languages with two (ISO 639-1)."""


def language_codes(tokenizer: Any) -> dict[str, int]:
    """The codes of a tokenizer that marks the language of each text, and their ids: mBART's, M2M100's, NLLB's.

    Empty for other tokenizers.
    """
    if codes := getattr(tokenizer, "lang_code_to_id", None):
        return dict(codes)
    if not hasattr(tokenizer, "set_tgt_lang_special_tokens"):
        return {}
    tokens = [str(token) for token in tokenizer.all_special_tokens]
    return {token: int(tokenizer.convert_tokens_to_ids(token)) for token in tokens if _NLLB.fullmatch(token)}


def language_tags(tokenizer: Any) -> list[str]:
    """The languages of the tags, such as `<2de>`, that a model has learned, in alphabetical order.

    Each is one token, or else the tokenizer's settings list it, as `list_tags` writes them.
    """
    tokens = {found[1] for token in tokenizer.get_vocab() if (found := _TAGS.fullmatch(token))}
    return sorted(tokens | set(tokenizer.init_kwargs.get(LISTED, ())))


def tag_ids(tokenizer: Any) -> frozenset[int]:
    """The ids of tags that are one token."""
    return frozenset(number for token, number in tokenizer.get_vocab().items() if _TAGS.fullmatch(token))


def list_tags(tokenizer: Any, languages: Iterable[str]) -> None:
    """Writes languages into a tokenizer's settings, whose tags are text to it."""
    if left := sorted(set(languages) - set(language_tags(tokenizer))):
        tokenizer.init_kwargs[LISTED] = left


def code_of(language: str, codes: Iterable[str], place: str) -> str:
    """The code of a language given in full, `de_DE` or `deu_Latn`, or by its first part, or by two letters, `de`.

    Args:
        language: as a user names it.
        codes: those that there are.
        place: where it is named, for messages.

    Raises:
        InputError: there is no such code; names the nearest.
    """
    known = list(codes)
    found = [code for code in known if code == language]
    found = found or [code for code in known if code.split("_")[0] in (language, THREE_LETTERS.get(language))]
    if not found:
        raise InputError(f"{place}: {language!r} is not a language of this tokenizer{nearest(language, known)}")
    return found[0]


def are_alike(one: str, other: str) -> bool:
    """Whether two codes name one language: `de` is `DE`, `de_DE` and `deu_Latn`, but `pt_BR` is not `pt_PT`."""
    parts = [code.strip().lower().replace("-", "_").split("_") for code in (one, other)]
    first, second = (THREE_LETTERS.get(each[0], each[0]) for each in parts)
    return parts[0] == parts[1] or (first == second and 1 in map(len, parts))


def begins_with_code(tokenizer: Any) -> bool:
    """Whether a target begins with the code of its language (mBART-50, M2M100, NLLB) rather than ending with it."""
    codes = language_codes(tokenizer)
    with in_language(tokenizer, "tgt_lang", next(iter(codes))):
        return bool(tokenizer(text_target="")["input_ids"][0] in codes.values())


@contextmanager
def in_language(tokenizer: Any, side: str, code: str | None) -> Iterator[None]:
    """Context manager in which a tokenizer marks texts of a side with a code.

    Args:
        tokenizer: that has codes.
        side: "src_lang" for sources, "tgt_lang" for targets.
        code: of the language; None leaves the tokenizer's own.
    """
    before = getattr(tokenizer, side)
    try:
        setattr(tokenizer, side, before if code is None else code)
        yield
    finally:
        setattr(tokenizer, side, before)


def groups_by(languages: Sequence[L]) -> dict[L, list[int]]:
    """The numbers of the rows of each language."""
    found: dict[L, list[int]] = {}
    for row, language in enumerate(languages):
        found.setdefault(language, []).append(row)
    return found


def langs_of(texts: Sequence[Any]) -> list[str | None]:
    """The language of each text, None where it is not known."""
    return [text.lang if isinstance(text, AnnotatedText) else None for text in texts]


def wanted_of(texts: Sequence[Any]) -> list[str | None]:
    """The language of each text's output, None where it is not known; empty for texts of a kind that knows none."""
    if isinstance(texts, ArrowTexts):
        return []
    return [text.into if isinstance(text, AnnotatedText) else None for text in texts]
