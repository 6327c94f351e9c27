"""Rows that occur in more than one split: a score on them says little about new texts."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from itertools import repeat

from hf_seq2seq.configs import RunConfig, Sources
from hf_seq2seq.data.evaluation_sets import title_of
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.sections import flatten, section_of


def describe_shared(splits: Mapping[str, Examples], hint: str) -> list[str]:
    """A line for every two splits with equal rows, of which text and target, or label, are the same.

    Args:
        splits: by name; the later one of two is the one whose rows are counted. Sequences of documents and features
            are no rows to compare.
        hint: what to do about them; "" where nothing is known.
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
                    + (f"; {hint}" if hint else "")
                )
    return lines


def hint_on_shared(config: RunConfig) -> str:
    """What a run may do about rows that several of its splits have; "" for conversations, which nothing drops."""
    data = section_of(config, Sources) or Sources()
    if "dialogue" in (flatten(config).get("objective") or ""):
        return ""
    held_out = not (data.validation_file or data.test_file or data.dataset_name)
    return "--deduplicate leaves no row twice" if held_out else "`clean --against` drops them"


def _is_of_texts(examples: Examples) -> bool:
    return examples.positions is None and len(examples.texts) > 0 and isinstance(examples.texts[0], str)


def _rows(examples: Examples) -> Iterator[Hashable]:
    """What is compared of every row."""
    labels = repeat(None) if examples.labels is None else map(str, examples.labels.tolist())
    references = examples.references if examples.references is not None else repeat(())
    return zip(examples.texts, map(tuple, references), labels, strict=False)
