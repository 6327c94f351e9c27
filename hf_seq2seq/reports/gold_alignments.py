"""Alignments by attention of sources with their first references, against a gold standard, by layer and head."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_seq2seq.decoding.alignment import words_of
from hf_seq2seq.decoding.generation import ONE_AT_A_TIME, evaluating
from hf_seq2seq.decoding.scoring import attention_weights
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.alignment import Links, read_links
from hf_seq2seq.reports.attention import one_source
from hf_seq2seq.text_lines import read_lines

FLAG = "--gold-alignments"
Pair = tuple[str, str]
Gold = list[tuple[Links, Links]]
"""Of every row the sure links, and all of them."""


def read_gold(path: str, pairs: Sequence[Pair]) -> Gold:
    """The gold standard of every row.

    Args:
        path: a text file in Pharaoh's format with a line per row, which counts words from 0.
        pairs: source and first reference of every row.

    Raises:
        InputError: the file cannot be read, or does not fit the rows.
    """
    try:
        lines = read_lines(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{FLAG} {path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(lines) != len(pairs):
        raise InputError(f"{FLAG} {path}: has {len(lines):,} lines, and there are {len(pairs):,} test rows")
    if not any(line.strip() for line in lines):
        raise InputError(f"{FLAG} {path}: no line has a link")
    every = enumerate(zip(lines, pairs, strict=True), start=1)
    return [_read_line(line, pair, f"{FLAG} {path}: line {number}") for number, (line, pair) in every]


def _read_line(line: str, pair: Pair, place: str) -> tuple[Links, Links]:
    try:
        sure, every = read_links(line)
    except InputError as error:
        told = str(error).removeprefix("metric 'aer': ")
        raise InputError(f"{place}: {told}") from None
    for side, name in enumerate(("source", "reference")):
        size, last = len(pair[side].split()), max((link[side] for link in every), default=-1)
        if last >= size:
            told = f"a link has word {last} of the {name}, whose {size} words count from 0"
            raise InputError(f"{place}: {told}")
    return sure, every


def alignment_counts(generator: TextGenerator, pairs: Sequence[Pair], gold: Gold) -> dict[str, np.ndarray]:
    """Counts of the alignment error rate, as `metrics.alignment` has them, summed over the rows with gold links.

    Each word of the reference is aligned with the source word that it attends to most while the model reads it.

    Args:
        generator: the model, with attention on the source.
        pairs: source and first reference of every row.
        gold: links of every row.

    Returns:
        `heads` `(layers, heads, 4)`, `layers` `(layers, 4)` by weights averaged over heads, and `all` `(4,)`.
    """
    found: dict[str, Any] = {}
    for (source, reference), links in zip(pairs, gold, strict=True):
        if not links[1] or not source.strip():
            continue
        weights = _word_weights(generator, source, reference)
        parts = {"heads": weights, "layers": weights.mean(1), "all": weights.mean((0, 1))}
        for name, part in parts.items():
            found[name] = found.get(name, 0) + counts_of(part, links)
    return found


def _word_weights(generator: TextGenerator, source: str, reference: str) -> np.ndarray:
    """Attention of words on words, `(layers, heads, words of the reference, words of the source)`."""
    with ONE_AT_A_TIME, evaluating(generator.model):
        read, _, batch = one_source(generator, source)
        ids = generator.encode_targets([source], [reference])[0].tolist()
        weights = attention_weights(generator.model, batch, ids)
    across = _members(generator.reader.source_words(read), len(source.split()))
    down = _members(words_of(ids, generator.tokenizers.target), len(reference.split()))
    return np.asarray(np.einsum("tw,lhts,sv->lhwv", down, weights[..., : len(across)], across))


def _members(words: Sequence[int], size: int) -> np.ndarray:
    """Which tokens belong to which word, `(tokens, words)`."""
    return (np.asarray(words)[:, None] == np.arange(size)).astype(np.float32)


def counts_of(weights: np.ndarray, gold: tuple[Links, Links]) -> np.ndarray:
    """Counts of links, of those in the gold links, of those in the sure ones, and of sure ones, `(..., 4)`.

    Args:
        weights: `(..., words of the reference, words of the source)`; a word without any attention has no link.
        gold: the sure links, and all of them, source first.
    """
    sure, every = (_links(links, weights.shape[-2:]) for links in gold)
    best, linked = weights.argmax(-1), weights.any(-1)
    rows = np.arange(weights.shape[-2])
    parts = [linked.sum(-1), *((linked & links[rows, best]).sum(-1) for links in (every, sure))]
    return np.stack([*parts, np.full(linked.shape[:-1], sure.sum())], -1).astype(np.float64)


def _links(links: Links, shape: tuple[int, ...]) -> np.ndarray:
    found = np.zeros(shape, dtype=bool)
    for source, target in links:
        found[target, source] = True
    return found
