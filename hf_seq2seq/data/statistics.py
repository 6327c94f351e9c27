"""Statistics of rows: lengths in tokens, truncation, and unknown tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hf_seq2seq.data.evaluation_sets import title_of
from hf_seq2seq.data.examples import Dialogues, Examples
from hf_seq2seq.data.frames import Matrix
from hf_seq2seq.data.mapped.texts import first_references
from hf_seq2seq.data.text_kinds import different_labels
from hf_seq2seq.data.tokenizers.spelled import describe_spelled
from hf_seq2seq.data.tokenizers.unknown import (
    Unknown,
    count_unknown,
    lacks_spaces,
    learned_whole,
    lost_characters,
    no_spaces,
    percent,
    reads_words,
    vanishing,
    whole_texts,
)
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers

MUCH_UNKNOWN = 2.0
"""Unknown tokens among the targets that are learned, in percent, beyond which a warning says so."""
PERCENTILES = (50, 90, 95, 99, 100)


@dataclass(frozen=True)
class Lengths:
    """The lengths of one side of a split.

    Attributes:
        percentiles: tokens by percent: `{50: 12, …, 100: 80}`; half of the rows have at most 12 tokens. Truncated rows
            count with the length of the limit.
        tokens: number of tokens in all rows.
        truncated: share of truncated rows, in percent.
        unknown: share of unknown tokens among the tokens of text, in percent.
    """

    percentiles: dict[int, int]
    tokens: int
    truncated: float
    unknown: float = 0.0


def describe_lengths(examples: Examples, tokenizers: Tokenizers) -> dict[str, Lengths]:
    """Measures a split.

    Args:
        examples: an encoded split; without rows, lengths are 0.
        tokenizers: the tokenizers that encoded it.

    Returns:
        The lengths of "source" and, if there is one, of "target".
    """
    sides = {"source": examples.source, "target": examples.target}
    read = (tokenizers.source, tokenizers.target)
    described = {}
    for (side, ids), cut, tokenizer in zip(sides.items(), examples.truncated, read, strict=True):
        if ids is None:
            continue
        lengths = ids.lengths if len(ids) else np.zeros(1, dtype=np.int64)
        # The length of an actual row, not a mean of two.
        percentiles = np.percentile(lengths, PERCENTILES, method="inverted_cdf")
        whole = {percent: int(length) for percent, length in zip(PERCENTILES, percentiles, strict=True)}
        unknown = sum((count_unknown(part, tokenizer) for part in ids.parts()), Unknown()).share
        described[side] = Lengths(whole, int(lengths.sum()), 100 * cut / len(lengths), unknown)
    return described


def describe_losses(splits: Mapping[str, Examples], tokenizers: Tokenizers) -> list[str]:
    """Lines about text that a model does not see: truncated text and unknown tokens."""
    found = {split: describe_lengths(examples, tokenizers) for split, examples in splits.items()}
    cut = ", ".join(f"{side} {lengths.truncated:.1f}%" for side, lengths in found["train"].items())
    unknown = [
        f"{title_of(split)} {side} {percent(lengths.unknown)}"
        for split, sides in found.items()
        for side, lengths in sides.items()
        if lengths.unknown
    ]
    lines = [f"truncated: {cut}; unknown tokens: {', '.join(unknown) or 'none'}"]
    learned = found["train"]["target"].unknown if "target" in found["train"] else 0.0
    if learned > MUCH_UNKNOWN:
        lines.append(
            f"warning: {percent(learned)} of the target tokens are unknown, so that the model learns to write the "
            "unknown token; train a tokenizer on these rows, or add what is missing by --added-tokens"
        )
    return lines + remarks(splits["train"], tokenizers)


def remarks(train: Examples, tokenizers: Tokenizers) -> list[str]:
    """Lines about texts that a tokenizer reads in unexpected ways.

    Words without spaces between them, for a word tokenizer; a vocabulary of whole sources; characters that vanish;
    special tokens spelled in texts; one side of a pair that is a label.
    """
    targets = first_references(train.references or [])
    sides = {"source": (tokenizers.source, train.texts), "target": (tokenizers.target, targets)}
    if any(isinstance(text, Matrix) for text in train.texts[:1]):  # which no tokenizer reads
        del sides["source"]
    lines = []
    for side, (tokenizer, texts) in sides.items():
        lines += [no_spaces(side)] if reads_words(tokenizer) and lacks_spaces(texts) else []
        lines += [whole_texts(side)] if side == "source" and learned_whole(texts, tokenizer) else []
        lost = lost_characters(texts, tokenizer)
        lines += [vanishing(side, lost)] if lost else []
        lines += describe_spelled(texts, tokenizer, side)
        lines += _as_labels(side, texts) if targets and not isinstance(train.made_of, Dialogues) else []
    return lines


def _as_labels(side: str, texts: Sequence[str]) -> list[str]:
    """A line where a few texts are all that a side of the pairs has."""
    found = different_labels(texts, len(texts))
    if found is None:
        return []
    detail = f"the {side}s are {found} different text{'s' * (found != 1)} in {len(texts):,} rows, as labels are"
    return [f"warning: {detail}; the recipe bert_classifier learns to predict labels"]
