"""Languages that a multilingual checkpoint gets: a code or a tag of its own, which starts at the mean of others."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hf_seq2seq.data.annotated_text import TAG
from hf_seq2seq.data.tokenizers.languages import code_of, language_codes, tag_ids
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, with_tokens
from hf_seq2seq.errors import InputError

OPTION = "--add-language"
NLLB = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")


def add_languages(tokenizer: Any, asked: Sequence[str]) -> dict[str, list[int]]:
    """Adds languages to a tokenizer, where it does not know them.

    Args:
        tokenizer: modified in place.
        asked: codes, each alone, or as `NEW=OLD+OLD` with the languages that it is like.

    Returns:
        The ids at whose mean each new token starts.

    Raises:
        InputError: the tokenizer cannot have more languages, or a code is not of its form.
    """
    if not asked:
        return {}
    known = _known(tokenizer)
    found = {}
    for new, _, like in (each.partition("=") for each in asked):
        if not re.fullmatch(r"[\w-]+", new):
            raise InputError(f"{OPTION}: {new!r} is not the code of a language")
        if new not in known:
            ids = (
                [known[code_of(each, known, f"{OPTION} {new}")] for each in like.split("+")]
                if like
                else [*known.values()]
            )
            found[_add(tokenizer, new)] = ids
    return found


def _known(tokenizer: Any) -> Mapping[str, int]:
    if codes := language_codes(tokenizer):
        if getattr(tokenizer, "lang_code_to_id", None):
            kind = type(tokenizer).__name__.removesuffix("Fast").removesuffix("Tokenizer")
            raise InputError(f"{OPTION}: the languages of {kind} are fixed; checkpoints of NLLB take new ones")
        return codes
    start, end = TAG.split("{}")
    tags = {tokenizer.convert_ids_to_tokens(number): number for number in tag_ids(tokenizer)}
    if not tags:
        raise InputError(
            f"{OPTION}: this checkpoint has neither codes nor tags of languages, so there are none to add to"
        )
    return {tag.removeprefix(start).removesuffix(end): number for tag, number in tags.items()}


def _add(tokenizer: Any, code: str) -> str:
    """Adds the token of a language, and returns it."""
    if not language_codes(tokenizer):
        with_tokens(Tokenizers(tokenizer, tokenizer), [TAG.format(code)])
        return TAG.format(code)
    if not NLLB.fullmatch(code):
        raise InputError(f"{OPTION}: {code!r} does not have the form of this tokenizer's codes, such as deu_Latn")
    tokenizer.add_special_tokens({"additional_special_tokens": [code]}, replace_extra_special_tokens=False)
    return code
