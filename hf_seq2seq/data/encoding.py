"""Tokenization of texts: in batches, truncated to a limit while keeping the final token, with counts of truncations."""

import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from hf_seq2seq import configs
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.frames import Matrix, encode_frames
from hf_seq2seq.data.inputs import Inputs, in_order
from hf_seq2seq.data.mapped.texts import ArrowTexts, behind
from hf_seq2seq.data.tokenizers.languages import (
    begins_with_code,
    groups_by,
    in_language,
    langs_of,
    language_codes,
    wanted_of,
)
from hf_seq2seq.data.tokenizers.spelled import control_tokens, spells_control
from hf_seq2seq.data.tokenizers.unicode_text import valid_text
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.sections import flag

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hf_seq2seq.data.labelled_texts import Labelled
    from hf_seq2seq.data.pairs import Pairs
    from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers

NOT_WRAPPED = {"add_special_tokens": False}
CHUNK = 256
"""Texts per call of a tokenizer; more are not faster, and their lists of ids take more memory."""


def encode_pairs(
    pairs: "Pairs",
    tokenizers: "Tokenizers",
    limits: configs.PairTokenization,
    prefix: str = "",
    start: int | None = None,
) -> Examples:
    """Encodes the source and the first reference of every row.

    Args:
        pairs: the texts.
        tokenizers: a target tokenizer that has a target mode (language codes) is used in that mode.
        limits: maximum source and target lengths in tokens, including special tokens.
        prefix: prepended to every source.
        start: as for `encode_targets`.

    Raises:
        InputError: a limit leaves no room for text besides the special tokens.
    """
    sources = behind(prefix, pairs.sources)
    source, cut_sources = encode_texts(sources, tokenizers.source, limits.max_source_length)
    target, cut_targets = encode_targets(pairs.targets, tokenizers.target, limits.max_target_length, start)
    preferred: dict[str, Ragged] = {}
    if pairs.preferences is not None:
        for name, texts in vars(pairs.preferences).items():
            preferred[name], cut = encode_targets(texts, tokenizers.target, limits.max_target_length, start)
            cut_targets = max(cut_targets, cut)
    return Examples(
        source=source,
        texts=pairs.sources,
        target=target,
        references=pairs.references,
        truncated=(cut_sources, cut_targets),
        chosen=preferred.get("chosen"),
        rejected=preferred.get("rejected"),
    )


def encode_labelled(
    labelled: "Labelled", tokenizer: "PreTrainedTokenizerBase", limits: configs.Tokenization
) -> Examples:
    """Encodes the text, or the pair of texts, of every row; in a pair that is too long, the longer text is truncated.

    Raises:
        InputError: the limit leaves no room for text besides the special tokens.
    """
    sides = {"text": labelled.texts}
    outputs = ["input_ids"]
    if labelled.pairs is not None:
        sides["text_pair"] = labelled.pairs
        outputs += ["token_type_ids"] * ("token_type_ids" in tokenizer.model_input_names)
    special = tokenizer.num_special_tokens_to_add(pair=labelled.pairs is not None)
    check_room(limits.max_source_length, special, "max_source_length")
    columns, truncated = _encode(tokenizer, limits.max_source_length, sides, outputs)
    return Examples(
        source=columns["input_ids"],
        texts=labelled.texts,
        labels=labelled.labels,
        token_types=columns.get("token_type_ids"),
        truncated=(truncated, 0),
    )


def encode_texts(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", max_length: int) -> tuple[Ragged, int]:
    """Encodes sources; returns their ids, and how many had more than `max_length` tokens and were truncated.

    Raises:
        InputError: the limit leaves no room for text besides the special tokens.
    """
    if texts and isinstance(texts[0], Matrix):
        return encode_frames(texts, max_length)
    if codes := language_codes(tokenizer):
        return _encode_coded(texts, tokenizer, max_length, codes)
    return _encode_sources(texts, tokenizer, max_length)


def _encode_sources(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", max_length: int) -> tuple[Ragged, int]:
    check_room(max_length, tokenizer.num_special_tokens_to_add(), "max_source_length")
    columns, truncated = _encode(tokenizer, max_length, {"text": texts}, ["input_ids"])
    return columns["input_ids"], truncated


def _encode_coded(
    texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", max_length: int, codes: Mapping[str, int]
) -> tuple[Ragged, int]:
    """Encodes sources, each marked with the code of its language, with the codes of their outputs."""
    encoded, truncated = _by_language(texts, tokenizer, max_length, "src_lang", _encode_sources)
    wanted = wanted_of(texts)
    if any(wanted):
        firsts = np.array([-1 if code is None else codes[code] for code in wanted], dtype=np.int64)
        encoded = Inputs(encoded.values, encoded.offsets, firsts, begins_with_code(tokenizer))
    return encoded, truncated


def _by_language(
    texts: Sequence[str],
    tokenizer: "PreTrainedTokenizerBase",
    max_length: int,
    side: str,
    encode: "Callable[[Sequence[str], PreTrainedTokenizerBase, int], tuple[Ragged, int]]",
) -> tuple[Ragged, int]:
    """Encodes the texts of each language together, marked with its code."""
    if isinstance(texts, ArrowTexts):  # which know no languages
        return encode(texts, tokenizer, max_length)
    parts = []
    for code, rows in groups_by(langs_of(texts)).items():
        with in_language(tokenizer, side, code):
            parts.append((rows, *encode([texts[row] for row in rows], tokenizer, max_length)))
    return in_order([(rows, ids) for rows, ids, _ in parts]), sum(cut for *_, cut in parts)


def encode_targets(
    texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", max_length: int, start: int | None = None
) -> tuple[Ragged, int]:
    """Encodes targets; like sources, but in the tokenizer's target mode, and always ending with EOS.

    For a tokenizer that does not add it (GPT-2's), the end-of-text token is appended, within the limit.

    Args:
        texts: the targets.
        tokenizer: of the target.
        max_length: maximum number of tokens.
        start: a token that the decoder is given before every target, and that is therefore not part of one although
            the tokenizer adds it (BERT's, Gemma's); None for none.

    Raises:
        InputError: the limit leaves no room for text besides the special tokens.
    """
    if not language_codes(tokenizer):
        ids, truncated = _encode_targets(texts, tokenizer, max_length)
        wrapped = tokenizer(text_target=["a"])["input_ids"][0]
        repeats = len(wrapped) > 1 and wrapped[0] == start
        return ids.without_first() if repeats else ids, truncated
    return _by_language(texts, tokenizer, max_length, "tgt_lang", _encode_targets)


def end_of(tokenizer: "PreTrainedTokenizerBase") -> int | None:
    """The token that ends an output; None if the tokenizer has none."""
    return tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id


def _encode_targets(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", max_length: int) -> tuple[Ragged, int]:
    closing = end_of(tokenizer)
    wrapped = tokenizer(text_target=["a"])["input_ids"][0]
    ending = [] if closing is None or closing in wrapped else [closing]
    check_room(max_length, tokenizer.num_special_tokens_to_add() + len(ending), "max_target_length")
    columns, truncated = _encode(tokenizer, max_length, {"text_target": texts}, ["input_ids"], ending)
    return columns["input_ids"], truncated


def encode_continuations(
    texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", max_length: int
) -> tuple[Ragged, int]:
    """Encodes targets that follow a source in one sequence: ending with EOS, with nothing before them.

    Raises:
        InputError: the limit leaves no room for text besides EOS.
    """
    ending = [tokenizer.eos_token_id]
    check_room(max_length, len(ending), "max_target_length")
    sides = {"text": texts}
    columns, truncated = _encode(tokenizer, max_length, sides, ["input_ids"], ending, wrapped=False)
    return columns["input_ids"], truncated


def encode_documents(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> Ragged:
    """Encodes whole texts of any length, each ending with EOS."""
    return _encode(tokenizer, sys.maxsize, {"text": texts}, ["input_ids"], [tokenizer.eos_token_id])[0]["input_ids"]


def encode_written(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> Ragged:
    """Encodes whole texts that already contain their special tokens, as formatted by a chat template."""
    sides = {"text": texts}
    return _encode(tokenizer, sys.maxsize, sides, ["input_ids"], wrapped=False, plain=False)[0]["input_ids"]


def check_room(limit: int, special: int, option: str) -> None:
    """Rejects a limit that leaves no room for text.

    Raises:
        InputError: the limit is too small; names the option and its minimum.
    """
    if limit <= special:
        raise InputError(
            f"{flag(option)}: {limit} leaves no room for text;"
            f" this tokenizer adds {special} special tokens, so the minimum is {special + 1}"
        )


def _encode(
    tokenizer: "PreTrainedTokenizerBase",
    limit: int,
    sides: Mapping[str, Sequence[str]],
    outputs: Sequence[str],
    ending: Sequence[int] = (),
    wrapped: bool = True,
    plain: bool = True,
) -> tuple[dict[str, Ragged], int]:
    """Tokenizes all rows, appends `ending` to each, and counts those truncated for both to fit.

    `wrapped` adds the tokenizer's special tokens around a text; `plain` text contains none, whatever it spells.
    """
    if plain and (found := _encode_kept(tokenizer, limit, sides, outputs, ending, wrapped)):
        return {"input_ids": found[0]}, found[1]
    values: dict[str, list[np.ndarray]] = {name: [np.zeros(0, dtype=np.int32)] for name in outputs}
    lengths, truncated = [0], 0
    for start in range(0, len(next(iter(sides.values()))), CHUNK):
        texts = {side: [valid_text(t) for t in column[start : start + CHUNK]] for side, column in sides.items()}
        tokenize = _tokenize_plain if plain else _tokenize
        rows, cut = tokenize(tokenizer, limit - len(ending), texts, outputs, {} if wrapped else NOT_WRAPPED)
        truncated += cut
        lengths += [len(ids) + len(ending) for ids in rows["input_ids"]]
        for name in outputs:
            flat = chain.from_iterable(chain(ids, ending) for ids in rows[name])
            values[name].append(np.fromiter(flat, dtype=np.int32))
    offsets = np.cumsum(lengths, dtype=np.int64)
    return {name: Ragged(np.concatenate(parts), offsets) for name, parts in values.items()}, truncated


def _encode_kept(
    tokenizer: "PreTrainedTokenizerBase",
    limit: int,
    sides: Mapping[str, Sequence[str]],
    outputs: Sequence[str],
    ending: Sequence[int],
    wrapped: bool,
) -> tuple[Ragged, int] | None:
    """Encodes many texts outside of memory; None for texts in memory, and where that is not possible."""
    side, texts = next(iter(sides.items()))
    if not (isinstance(texts, ArrowTexts) and [*outputs] == ["input_ids"] and tokenizer.is_fast):
        return None
    from hf_seq2seq.data.mapped.ids import encoded_once
    from hf_seq2seq.data.mapped.worker import Coding

    languages = [getattr(tokenizer, name) for name in ("src_lang", "tgt_lang") if hasattr(tokenizer, name)]
    coding = Coding(
        tokenizer=tokenizer.backend_tokenizer.to_str(),
        limit=limit,
        ending=tuple(ending),
        wrapped=wrapped,
        all_as_text=tokenizer.split_special_tokens,
        as_text=tuple(control_tokens(tokenizer)),
        truncation_side=tokenizer.truncation_side,
        mode=" ".join(map(str, [side, *languages])) if languages else "",
    )

    def tokenize(few: list[str]) -> tuple[Ragged, int]:
        columns, truncated = _encode(tokenizer, limit, {side: few}, outputs, ending, wrapped)
        return columns["input_ids"], truncated

    return encoded_once(texts, coding, tokenize)


def _tokenize_plain(
    tokenizer: "PreTrainedTokenizerBase",
    limit: int,
    texts: dict[str, list[str]],
    outputs: Sequence[str],
    options: dict[str, bool],
) -> tuple[dict[str, list[list[int]]], int]:
    """`_tokenize`, treating special tokens spelled in a text as text."""
    sides = [spells_control(column, tokenizer) for column in texts.values()]
    spelled = [any(row) for row in zip(*sides, strict=True)]
    if not any(spelled):
        return _tokenize(tokenizer, limit, texts, outputs, options)
    rows: dict[str, list[list[int]]] = {name: [[] for _ in spelled] for name in outputs}
    truncated = 0
    for kind, more in ((False, {}), (True, {"split_special_tokens": True})):
        numbers = [row for row, spells in enumerate(spelled) if spells == kind]
        if numbers:
            part = {side: [column[row] for row in numbers] for side, column in texts.items()}
            found, cut = _tokenize(tokenizer, limit, part, outputs, options | more)
            truncated += cut
            for name, column in found.items():
                for row, ids in zip(numbers, column, strict=True):
                    rows[name][row] = ids
    return rows, truncated


def _tokenize(
    tokenizer: "PreTrainedTokenizerBase",
    limit: int,
    texts: dict[str, list[str]],
    outputs: Sequence[str],
    options: dict[str, bool],
) -> tuple[dict[str, list[list[int]]], int]:
    """Tokenizes rows, and those that turn out too long again with the tokenizer's own truncation."""
    options = {"return_attention_mask": False, "verbose": False} | options
    options["return_token_type_ids"] = "token_type_ids" in outputs
    found = tokenizer(**texts, **options, truncation=False)
    rows = {name: found[name] for name in outputs}
    long = [row for row, ids in enumerate(rows["input_ids"]) if len(ids) > limit]
    if long:
        texts = {side: [column[row] for row in long] for side, column in texts.items()}
        cut = tokenizer(**texts, **options, truncation=True, max_length=limit)
        if tokenizer.is_fast:
            # Otherwise the setting persists and is saved with the tokenizer.
            tokenizer.backend_tokenizer.no_truncation()
        for name, column in rows.items():
            for row, ids in zip(long, cut[name], strict=True):
                column[row] = ids
    return rows, len(long)
