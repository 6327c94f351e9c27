"""Rows that occur in more than one split: a score on them says little about new texts."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from itertools import repeat

from hf_seq2seq.data.evaluation_sets import title_of
from hf_seq2seq.data.examples import Examples


def describe_shared(splits: Mapping[str, Examples]) -> list[str]:
    """A line for every two splits with equal rows, of which text and target, or label, are the same.

    Args:
        splits: by name; the later one of two is the one whose rows are counted. Sequences of documents and features
            are no rows to compare.
    """
    names = [name for name, examples in splits.items() if _is_of_texts(examples)]
    lines = []
    for at, name in enumerate(names):
        counts = Counter(_rows(splits[name]))
        for earlier in names[:at]:
            seen = counts.keys() & frozenset(row for row in _rows(splits[earlier]) if row in counts)
            if number := sum(counts[row] for row in seen):
                lines.append(
                    f"warning: {number:,} of {counts.total():,} {title_of(name)} rows are also {title_of(earlier)} rows"
                    "; `clean --against` drops them"
                )
    return lines


def _is_of_texts(examples: Examples) -> bool:
    return examples.positions is None and len(examples.texts) > 0 and isinstance(examples.texts[0], str)


def _rows(examples: Examples) -> Iterator[Hashable]:
    """What is compared of every row."""
    labels = repeat(None) if examples.labels is None else map(str, examples.labels.tolist())
    references = examples.references if examples.references is not None else repeat(())
    return zip(examples.texts, map(tuple, references), labels, strict=False)
