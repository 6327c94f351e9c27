"""Ids for out-of-vocabulary words, so that a pointer-generator can copy them from the source.

Each row has `room` more ids beyond the vocabulary's: the first stands for the row's first unknown source word, and so
on. Unknown target words that occur in the source get the same ids; other words stay unknown.

Paper: See et al., 2017, section 2.2, "extended vocabulary", https://aclanthology.org/P17-1099
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.tokenizers.training import HIDDEN
from hf_seq2seq.data.tokenizers.unknown import reads_words
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers

Words = tuple[str, ...]


def name_copies(examples: Examples, tokenizers: "Tokenizers", room: int, prefix: str = "") -> Examples:
    """Assigns ids to the unknown words in the source and target of every row.

    Args:
        examples: encoded pairs.
        tokenizers: the tokenizers that encoded them, which split texts into words.
        room: maximum number of unknown words per row that get an id.
        prefix: prefix of every source.

    Raises:
        InputError: the tokenizers split words into subwords, which are rarely unknown.
    """
    for tokenizer in (tokenizers.source, tokenizers.target):
        if not reads_words(tokenizer):
            raise InputError("--copy-vocab-size: only works with whole words; add --tokenizer-type word")
    texts = [prefix + text for text in examples.texts]
    source, words = name_source_words(examples.source, texts, tokenizers.source, room)
    assert examples.target is not None
    assert examples.references is not None
    targets = [references[0] for references in examples.references]
    target = name_target_words(examples.target, targets, tokenizers.target, words)
    return replace(examples, source=source, target=target, unknown=words)


def name_source_words(
    source: Ragged, texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", room: int
) -> tuple[Ragged, list[Words]]:
    """The sources with an id for each unknown word, and every row's unknown words in the order of those ids."""
    found = _unknown(source, texts, tokenizer)
    words = [tuple(dict.fromkeys(found.get(row, {}).values()))[:room] for row in range(len(texts))]
    return _name(source, texts, tokenizer, [_numbers(row) for row in words], found), words


def name_target_words(
    target: Ragged, texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", words: Sequence[Words]
) -> Ragged:
    """The targets with the ids of the unknown words of their sources, `words`."""
    return _name(target, texts, tokenizer, [_numbers(row) for row in words])


def decode_known(ids: Sequence[int], tokenizer: "PreTrainedTokenizerBase") -> str:
    """The text of ids without special tokens, and without those beyond the vocabulary, which stand for copied words."""
    size = len(tokenizer)
    return str(tokenizer.decode([token for token in ids if token < size], skip_special_tokens=True))


def spell(ids: Sequence[int], words: Words, tokenizer: "PreTrainedTokenizerBase") -> str:
    """The text of ids, some of which stand for a row's unknown words; special tokens are skipped."""
    size, special = len(tokenizer), set(tokenizer.all_special_ids)
    tokens = [
        words[token - size] if size <= token < size + len(words) else tokenizer.convert_ids_to_tokens(int(token))
        for token in ids
        if token not in special and token < size + len(words)
    ]
    return " ".join(map(str, tokens)).replace(HIDDEN, "")


def _numbers(words: Words) -> dict[str, int]:
    return {word: number for number, word in enumerate(words)}


def _unknown(ids: Ragged, texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> dict[int, dict[int, str]]:
    """The unknown words of every row that has any, by position."""
    found: dict[int, dict[int, str]] = {}
    rows = np.repeat(np.arange(len(ids)), ids.lengths)
    places = np.flatnonzero(ids.values == tokenizer.unk_token_id)
    for place in places.tolist():
        row = int(rows[place])
        found.setdefault(row, {})[place - int(ids.offsets[row])] = ""
    normalizer = tokenizer.backend_tokenizer.normalizer
    for row, unknown in found.items():
        offsets = tokenizer(texts[row], return_offsets_mapping=True, truncation=False, verbose=False)["offset_mapping"]
        for place in unknown:
            start, end = offsets[place]
            word = texts[row][start:end]
            unknown[place] = normalizer.normalize_str(word) if normalizer else word
    return found


def _name(
    ids: Ragged,
    texts: Sequence[str],
    tokenizer: "PreTrainedTokenizerBase",
    numbers: Sequence[dict[str, int]],
    found: dict[int, dict[int, str]] | None = None,
) -> Ragged:
    """Replaces the unknown token by the ids of the words that have one."""
    values, size = ids.values.copy(), len(tokenizer)
    for row, unknown in (_unknown(ids, texts, tokenizer) if found is None else found).items():
        for place, word in unknown.items():
            if word in numbers[row]:
                values[ids.offsets[row] + place] = size + numbers[row][word]
    return Ragged(values, ids.offsets)
