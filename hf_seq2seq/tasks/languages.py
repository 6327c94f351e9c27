"""Rows in several languages: their tags, or a checkpoint's codes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from hf_seq2seq.data.annotated_text import tagged
from hf_seq2seq.data.evaluation_sets import title_of
from hf_seq2seq.data.mixtures import Member
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.row_languages import in_languages
from hf_seq2seq.data.tokenizers.languages import (
    begins_with_code,
    code_of,
    langs_of,
    language_codes,
    language_tags,
    list_tags,
    wanted_of,
)
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.errors import InputError, nearest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

R = TypeVar("R")


def with_tags(pairs: Mapping[str, R]) -> dict[str, R]:
    """The rows of every split, each source behind the tag of the language that its target is in.

    Rows stay as they are if the languages of targets are not known, or training rows are all written in the same one.

    Raises:
        InputError: no training row is written in the language of an evaluation set.
    """
    train = pairs["train"]
    written = sorted({code for code in wanted_of(train.sources) if code}) if isinstance(train, Pairs) else []
    if written:
        _check_wanted(pairs, written, "no training row is written in")
    if len(written) < 2:
        return dict(pairs)
    if isinstance(train, Pairs) and all(wanted_of(train.sources)):
        for split, rows in pairs.items():
            if isinstance(rows, Pairs) and not all(wanted_of(rows.sources)):
                raise InputError(
                    f"{title_of(split)} rows: do not name the language of their targets, as the training rows do; add "
                    "a column target_lang"
                )
    return {split: _tagged(rows) for split, rows in pairs.items()}


def with_languages(pairs: Mapping[str, R], model: "PreTrainedModel", tokenizers: Tokenizers) -> dict[str, R]:
    """The rows as a model reads them: their languages are the codes of its tokenizer, or tags in front of the sources.

    Args:
        pairs: of every split.
        model: whose generation settings get the code of the outputs, if they all have the same.
        tokenizers: of the model; one without codes and tags reads a tag as text.

    Raises:
        InputError: the tokenizer lacks a language; names the nearest.
    """
    if codes := language_codes(tokenizers.target):
        return _with_codes(pairs, model, tokenizers.target, list(codes))
    if known := language_tags(tokenizers.source):
        _check_wanted(pairs, known, "this model has no tag of")
        return {split: _tagged(rows) for split, rows in pairs.items()}
    found = with_tags(pairs)
    if found["train"] is not pairs["train"] and isinstance(pairs["train"], Pairs):
        list_tags(tokenizers.source, {code for code in wanted_of(pairs["train"].sources) if code})
    return found


def in_many_languages(texts: Sequence[str]) -> bool:
    """Whether texts know the languages of their outputs."""
    return any(wanted_of(texts))


def check_languages(members: Sequence[Member], file: str, tokenizers: Tokenizers) -> None:
    """Rejects tasks of a mixture in languages that a checkpoint has no code of.

    Raises:
        InputError: names the task, and the nearest code.
    """
    codes = language_codes(tokenizers.target)
    for member in members if codes else ():
        for name in ("source_lang", "target_lang"):
            if language := getattr(member.data, name):
                code_of(language, codes, f"{file}: task {member.name!r}: {name}")


def _tagged(rows: Any) -> Any:
    return replace(rows, sources=tagged(rows.sources)) if isinstance(rows, Pairs) else rows


def _check_wanted(pairs: Mapping[str, Any], known: list[str], wrong: str) -> None:
    for split, rows in pairs.items():
        for code in dict.fromkeys(wanted_of(rows.sources) if isinstance(rows, Pairs) else ()):
            if code is not None and code not in known:
                raise InputError(f"{title_of(split)} rows: {wrong} {code!r}{nearest(code, known)}")


def _with_codes(pairs: Mapping[str, Any], model: "PreTrainedModel", tokenizer: Any, codes: list[str]) -> dict[str, Any]:
    if not isinstance(pairs["train"], Pairs) or not in_many_languages(pairs["train"].sources):
        return dict(pairs)
    found = {split: _coded(rows, codes, f"{title_of(split)} rows") for split, rows in pairs.items()}
    written = {code for code in wanted_of(found["train"].sources) if code}
    force_first(model, tokenizer, written.pop() if len(written) == 1 else None)
    return found


def _coded(rows: Pairs, codes: list[str], place: str) -> Pairs:
    """Rows whose languages are codes of the tokenizer."""
    sides = {"source": langs_of(rows.sources), "target": wanted_of(rows.sources)}
    told = dict.fromkeys(chain(*sides.values()))
    names: dict[str | None, str] = {code: code_of(code, codes, place) for code in told if code is not None}
    if None in told:
        raise InputError(f"{place}: this checkpoint needs both languages of a row; add a column source_lang")
    languages = {side: [names.get(code) for code in found] for side, found in sides.items()}
    sources, references = in_languages(rows.sources, rows.references, languages)
    return replace(rows, sources=sources, references=references)


def force_first(model: "PreTrainedModel", tokenizer: Any, code: str | None) -> None:
    """Makes generation begin with the code of a language; None leaves that to each row.

    A target that begins with its code (mBART-50, M2M100, NLLB) is generated with the code as first token; one that ends
    with it (mBART) with the code as the decoder's start.
    """
    settings: Any = model.generation_config
    number = None if code is None else language_codes(tokenizer)[code]
    if begins_with_code(tokenizer):
        settings.forced_bos_token_id = number
    elif number is not None:
        model.config.decoder_start_token_id = settings.decoder_start_token_id = number
