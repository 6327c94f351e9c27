"""How long rows are in tokens, how many the limits cut, and how many tokens the vocabulary lacks."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hf_seq2seq.data.evaluation_sets import title_of
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.tokenizers.spelled import describe_spelled
from hf_seq2seq.data.tokenizers.unknown import (
    count_unknown,
    lacks_spaces,
    learnt_whole,
    lost_characters,
    no_spaces,
    percent,
    reads_words,
    vanishing,
    whole_texts,
)
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers

PERCENTILES = (50, 90, 95, 99, 100)


@dataclass(frozen=True)
class Lengths:
    """The lengths of one side of a split.

    Attributes:
        percentiles: tokens by percent: `{50: 12, …, 100: 80}`; half of the rows have at most 12 tokens. Rows that were
            cut count as long as the limit.
        tokens: of all rows together.
        truncated: share of the rows that the limit cut, in percent.
        unknown: share of the tokens of text that stand for what the vocabulary lacks, in percent.
    """

    percentiles: dict[int, int]
    tokens: int
    truncated: float
    unknown: float = 0.0


def describe_lengths(examples: Examples, tokenizers: Tokenizers) -> dict[str, Lengths]:
    """Measures a split.

    Args:
        examples: an encoded split; one without rows has lengths of 0.
        tokenizers: that encoded it.

    Returns:
        The lengths of "source" and, where there is one, of "target".
    """
    sides = {"source": examples.source, "target": examples.target}
    read = (tokenizers.source, tokenizers.target)
    described = {}
    for (side, ids), cut, tokenizer in zip(sides.items(), examples.truncated, read, strict=True):
        if ids is None:
            continue
        lengths = ids.lengths if len(ids) else np.zeros(1, dtype=np.int64)
        # The length of a row that is there, not a mean of two.
        percentiles = np.percentile(lengths, PERCENTILES, method="inverted_cdf")
        whole = {percent: int(length) for percent, length in zip(PERCENTILES, percentiles, strict=True)}
        unknown = count_unknown(ids.values, tokenizer).share
        described[side] = Lengths(whole, int(lengths.sum()), 100 * cut / len(lengths), unknown)
    return described


def describe_losses(splits: Mapping[str, Examples], tokenizers: Tokenizers) -> list[str]:
    """Lines that say what of the text a model does not get to see: what is cut, and what the vocabulary lacks."""
    found = {split: describe_lengths(examples, tokenizers) for split, examples in splits.items()}
    cut = ", ".join(f"{side} {lengths.truncated:.1f}%" for side, lengths in found["train"].items())
    unknown = [
        f"{title_of(split)} {side} {percent(lengths.unknown)}"
        for split, sides in found.items()
        for side, lengths in sides.items()
        if lengths.unknown
    ]
    lines = [f"cut to the limits: {cut}; unknown tokens: {', '.join(unknown) or 'none'}"]
    return lines + remarks(splits["train"], tokenizers)


def remarks(train: Examples, tokenizers: Tokenizers) -> list[str]:
    """Lines about texts that a tokenizer does not read as they look.

    Words that spaces do not part, for a tokenizer that takes words for tokens; a vocabulary of whole sources;
    characters that vanish; special tokens that texts spell.
    """
    targets = [references[0] for references in train.references or []]
    sides = {"source": (tokenizers.source, train.texts), "target": (tokenizers.target, targets)}
    lines = []
    for side, (tokenizer, texts) in sides.items():
        lines += [no_spaces(side)] if reads_words(tokenizer) and lacks_spaces(texts) else []
        lines += [whole_texts(side)] if side == "source" and learnt_whole(texts, tokenizer) else []
        lost = lost_characters(texts, tokenizer)
        lines += [vanishing(side, lost)] if lost else []
        lines += describe_spelled(texts, tokenizer, side)
    return lines
