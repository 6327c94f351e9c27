"""Features beside tokens: of a whole source, such as `V;PST` to inflect a lemma, or one per word, such as its class.

Paper: Sennrich and Haddow, 2016, https://aclanthology.org/W16-2209
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_seq2seq.data.annotated_text import AnnotatedText, Features, annotated
from hf_seq2seq.data.inputs import as_inputs
from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.ragged import Ragged

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

BETWEEN = re.compile(r"[;|\s]+")
WORD = re.compile(r"\S+")
CHUNK = 1_000
NOWHERE = -1


def split_features(cell: Any, where: str) -> tuple[str, ...]:
    """The features in a cell: a list of texts, or a text in which `;`, `|` or spaces are between them.

    Raises:
        InputError: it is neither.
    """
    if cell is None:
        return ()
    parts = BETWEEN.split(cell) if isinstance(cell, str) else cell
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise InputError(f"{where}: {str(cell)[:60]!r} is neither a text nor a list of texts")
    return tuple(part for part in parts if part)


def check_filled(texts: Sequence[Any], columns: Sequence[str]) -> None:
    """Rejects columns that have no feature in any training row, and tells how many rows have none.

    Raises:
        InputError: names the column.
    """
    for column in columns:
        filled = sum(isinstance(text, AnnotatedText) and bool(text.features.get(column)) for text in texts)
        if texts and not filled:
            raise InputError(f"--feature-columns {column}: no training row has a feature in this column")
        if filled < len(texts):
            logger.warning("column %s is empty in %s of %s rows", column, f"{len(texts) - filled:,}", f"{len(texts):,}")


@dataclass(frozen=True)
class FeatureSpace:
    """The features that a model knows.

    Attributes:
        ids: by "COLUMN=VALUE", from 1; 0 is no feature.
        columns: that they come from.
        of_words: those of the columns that have one feature per word of the source.
    """

    ids: Mapping[str, int]
    columns: tuple[str, ...]
    of_words: frozenset[str]

    @classmethod
    def learned(cls, texts: Sequence[str], level: str = "auto") -> "FeatureSpace | None":
        """The features of training rows; None if they have none.

        Args:
            texts: the sources.
            level: "row" or "word", of all columns; with "auto" a column has features of words if every row has as many
                as the source has words, and some row several.
        """
        known = [text for text in texts if isinstance(text, AnnotatedText) and text.features]
        if not known:
            return None
        columns = tuple(dict.fromkeys(column for text in known for column in text.features))
        found = {f"{column}={value}" for text in known for column in columns for value in text.features.get(column, ())}
        chosen = {"row": (), "word": columns}.get(level, tuple(name for name in columns if _per_word(known, name)))
        return cls({name: number for number, name in enumerate(sorted(found), start=1)}, columns, frozenset(chosen))

    @classmethod
    def of_config(cls, config: Any) -> "FeatureSpace | None":
        """The features that a model's configuration names; None if there are none."""
        names = getattr(config, "feature_names", None)
        if not names:
            return None
        ids = {name: number for number, name in enumerate(names, start=1)}
        return cls(ids, tuple(config.feature_columns), frozenset(config.feature_of_words or ()))

    def settings(self, joining: str) -> dict[str, Any]:
        """The fields of a new model's configuration."""
        return {
            "feature_names": sorted(self.ids, key=lambda name: self.ids[name]),
            "feature_columns": list(self.columns),
            "feature_of_words": [column for column in self.columns if column in self.of_words],
            "feature_joining": joining,
        }

    def ids_of(self, text: Any, column: str) -> list[int]:
        """The ids of a text's features, 0 for those that are not known."""
        features = text.features.get(column, ()) if isinstance(text, AnnotatedText) else ()
        return [self.ids.get(f"{column}={value}", 0) for value in features]


def _per_word(texts: Sequence[AnnotatedText], column: str) -> bool:
    counts = [(len(text.features.get(column, ())), len(WORD.findall(text))) for text in texts]
    return all(features == words for features, words in counts) and any(words > 1 for _, words in counts)


def with_features(
    source: Ragged, texts: Sequence[Any], tokenizer: "PreTrainedTokenizerBase", space: FeatureSpace | None
) -> Ragged:
    """Encoded sources with the ids of their tokens' features.

    Args:
        source: ids of the texts.
        texts: as they were encoded, with prefix and tag.
        tokenizer: encoded them.
        space: the features that the model knows; None if it reads none.

    Raises:
        InputError: a text has more features than words.
    """
    if space is None:
        return source
    ids = {column: [space.ids_of(text, column) for text in texts] for column in space.columns}
    _tell_unknown(texts, space, ids)
    slots = {
        column: 1 if column in space.of_words else max(1, max(map(len, rows), default=1))
        for column, rows in ids.items()
    }
    found = np.zeros((int(source.offsets[-1]), sum(slots.values())), dtype=np.int32)
    words = _words_of(source, texts, tokenizer) if space.of_words else None
    start = 0
    for column, width in slots.items():
        for row, own in enumerate(ids[column]):
            part = found[source.offsets[row] : source.offsets[row + 1], start : start + width]
            if column in space.of_words:
                assert words is not None
                _fill_words(part, own, words[row], texts[row], column)
            else:
                part[:, : len(own)] = own
        start += width
    return replace(as_inputs(source), features=found)


def _fill_words(part: np.ndarray, ids: list[int], words: np.ndarray, text: str, column: str) -> None:
    """Writes the features of words to their tokens; a prefix or a tag in front of them has none."""
    count = len(WORD.findall(text))
    if len(ids) > count:
        raise InputError(f"--feature-columns {column}: {len(ids)} features for the {count} words of {text[:60]!r}")
    places = words - (count - len(ids))
    real = (words > NOWHERE) & (places >= 0)
    if ids:
        part[real, 0] = np.array(ids, dtype=np.int32)[places[real]]


def _words_of(source: Ragged, texts: Sequence[str], tokenizer: Any) -> list[np.ndarray]:
    """The index of the word of its text that each token belongs to, -1 for special tokens."""
    special, found = np.array(tokenizer.all_special_ids), list[np.ndarray]()
    for first in range(0, len(texts), CHUNK):
        chunk = [str(text) for text in texts[first : first + CHUNK]]
        offsets = tokenizer(chunk, return_offsets_mapping=True, verbose=False)["offset_mapping"]
        for row, (text, spans) in enumerate(zip(chunk, offsets, strict=True), start=first):
            starts = np.array([match.start() for match in WORD.finditer(text)], dtype=np.int64)
            ends = np.array([end for _, end in spans], dtype=np.int64)[: len(source[row])]
            words = np.searchsorted(starts, ends - 1, side="right") - 1
            words = np.pad(words, (0, len(source[row]) - len(words)), constant_values=NOWHERE)
            found.append(np.where(np.isin(source[row], special), NOWHERE, words))
    return found


def _tell_unknown(texts: Sequence[Any], space: FeatureSpace, ids: Mapping[str, list[list[int]]]) -> None:
    if texts and not any(own for rows in ids.values() for own in rows):
        names = ", ".join(space.columns)
        logger.warning("no text has features, which this model reads from columns of --input-file: %s", names)
    lost = [
        (column, value)
        for column, rows in ids.items()
        for text, own in zip(texts, rows, strict=True)
        for value, number in zip(text.features.get(column, ()) if own else (), own, strict=True)
        if not number
    ]
    if lost:
        name = "=".join(lost[0])
        logger.warning(
            "features that are unknown and count as none: %d, the first %r%s", len(lost), name, nearest(name, space.ids)
        )


def featured(texts: Sequence[str], features: Sequence[Features]) -> list[str]:
    """Texts that know their features."""
    found: list[str] = []
    for text, own in zip(texts, features, strict=True):
        known = annotated(text)
        found.append(AnnotatedText(known, known.lang, known.into, known.is_told, known.features | own))
    return found
