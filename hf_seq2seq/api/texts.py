"""Texts given to a model's methods: checks, labels, and what their counts have to say."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_seq2seq.api.answers import Label
from hf_seq2seq.data.files.digests import LONGEST_PATH
from hf_seq2seq.decoding.counts import Counted, Counts
from hf_seq2seq.errors import InputError, shorten


def checked_texts(texts: Sequence[Any], name: str) -> list[str]:
    """The texts.

    Raises:
        InputError: they are one text, or an item is none; names their argument.
    """
    if isinstance(texts, str):
        raise InputError(f"{name}: one text; give a list of texts")
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise InputError(f"{name}: row {number}: {text!r:.60} is not text")
    return list(texts)


def featured_texts(texts: list[Any], features: Mapping[str, Sequence[Any]] | None) -> list[Any]:
    """Texts that know their features.

    Args:
        texts: the sources.
        features: by column, the features of every text; None if there are none.

    Raises:
        InputError: there are not as many as texts, or they are no features.
    """
    if not features:
        return texts
    from hf_seq2seq.data.features import featured, split_features

    for column, cells in features.items():
        check_counts(texts, cells, f"features: {column}")
    read = {name: [split_features(cell, f"features: {name}") for cell in cells] for name, cells in features.items()}
    return featured(texts, [{name: cells[row] for name, cells in read.items()} for row in range(len(texts))])


def check_counts(sources: Sequence[Any], targets: Sequence[Any], name: str = "targets") -> None:
    """Raises `InputError` unless there are as many of both."""
    if len(sources) != len(targets):
        raise InputError(f"{name}: {len(targets)} for {len(sources)} texts")


def classified(
    network: Any, tokenizer: Any, texts: Sequence[str], pairs: Sequence[str] | None, **options: Any
) -> Counted[Label]:
    """The label of every text, or pair of texts, by a classifier.

    Args:
        network: the classifier.
        tokenizer: its tokenizer.
        texts: the texts.
        pairs: a second text for each, or None.
        **options: of `TextClassifier`.

    Raises:
        InputError: the counts differ, or an item is not text.
    """
    from hf_seq2seq.decoding.classification import TextClassifier, probabilities, verdict_of

    if pairs is not None:
        check_counts(texts, pairs, "pairs")
    rows = checked_texts(texts, "texts")
    if not rows:
        return Counted.of([], Counts())
    classifier = TextClassifier(network, tokenizer, **options)
    logits, counts = classifier.read(rows, None if pairs is None else checked_texts(pairs, "pairs"))
    scores = probabilities(logits, classifier.scoring)
    return Counted.of([Label(**verdict_of(row, classifier)) for row in scores], counts)


def remarks(counts: Counts, limit: int | None) -> list[str]:
    """What the counts of a call have to say, a line each.

    Args:
        counts: the counts.
        limit: the maximum source length in tokens.
    """
    detail = []
    if counts.truncated:
        detail.append(f"{counts.truncated} of {counts.read} texts were truncated to {limit} tokens (max_source_length)")
    if counts.impossible:
        detail.append(
            f"{counts.impossible} of {counts.read} texts have no output: the constraints of the search allow none"
        )
    if counts.conflicting:
        detail.append(
            f"{counts.conflicting} of {counts.read} texts: max_length_ratio allows less than min_new_tokens asks"
        )
    if counts.unended:
        detail.append(f"{counts.unended} of {counts.read} outputs are cut off at the maximum length (max_new_tokens)")
    if counts.unknown_targets.tokens:
        detail.append(f"{counts.unknown_targets} of the target tokens are unknown, and score as the unknown token")
    if counts.unknown.tokens:
        detail.append(
            f"{counts.unknown} of the source tokens are unknown, and the model cannot read what they stand for"
        )
    return detail


def remarks_with_pieces(counts: Counts, limit: int | None, again: bool = False) -> list[str]:
    """`remarks`, and before them how many texts were read in pieces, if any.

    Args:
        counts: the counts of a call.
        limit: the maximum source length in tokens.
        again: whether the outputs of the pieces were read once more.
    """
    if not counts.split:
        return remarks(counts, limit)
    more = ", and the outputs of the pieces again as one text" if again else ""
    pieces = f"{counts.split} of {counts.texts} texts were read in pieces, {counts.pieces} in all{more}"
    return [pieces, *remarks(counts, limit)]


def listed(items: Any, name: str = "texts") -> Any:
    """Items that can be counted and read twice; those of an iterator as a list.

    Raises:
        InputError: there are no items; names their argument.
    """
    if isinstance(items, Iterator):
        return list(items)
    if not hasattr(items, "__len__") or isinstance(items, Mapping):
        raise InputError(f"{name}: {shorten(repr(items))} is no list")
    return items


def check_name(path: Any) -> None:
    """Rejects what cannot be the place of a model.

    Raises:
        InputError: it is no text or path, or empty, or too long.
    """
    if not isinstance(path, str | Path) or not str(path) or len(str(path)) > LONGEST_PATH:
        raise InputError(f"load: {shorten(repr(path))} is no folder and no Hub id")


def warn(lines: Sequence[str]) -> None:
    """Issues warnings, attributed to the line that called the model."""
    for line in lines:
        warnings.warn(line, stacklevel=3)
