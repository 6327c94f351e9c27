"""Evaluation sets of many languages, one for each direction of translation, which are scored separately."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hf_seq2seq.data.annotated_text import directions
from hf_seq2seq.data.evaluation_sets import kind_of, name_of, split_of
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.preferences import Preferences
from hf_seq2seq.data.sources import chosen_rows


def by_direction(pairs: Mapping[str, Pairs]) -> dict[str, Pairs]:
    """The splits, with every evaluation set of several directions as one set per direction, such as "test_de-en"."""
    found: dict[str, Pairs] = {}
    for split, rows in pairs.items():
        parts = {split: None} if kind_of(split) == "train" else divided(split, rows.sources)
        found |= {name: rows if part is None else chosen_pairs(rows, part) for name, part in parts.items()}
    return found


def divided(split: str, sources: Sequence[str]) -> Mapping[str, np.ndarray | None]:
    """The numbers of the rows of each direction of a set, by the split's name; None where there is only one."""
    named = np.array(directions(sources), dtype=object)
    names = sorted(set(named.tolist()))
    if len(names) < 2:
        return {split: None}
    return {
        split_of(kind_of(split), "_".join(filter(None, (name_of(split), name)))): np.flatnonzero(named == name)
        for name in names
    }


def chosen_pairs(pairs: Pairs, rows: np.ndarray) -> Pairs:
    """The pairs at these indices, in the given order."""
    preferences = pairs.preferences
    if preferences is not None:
        preferences = Preferences(*([texts[row] for row in rows] for texts in vars(preferences).values()))
    return replace(
        pairs,
        sources=[pairs.sources[row] for row in rows],
        references=[pairs.references[row] for row in rows],
        table=None if pairs.table is None else chosen_rows(pairs.table, rows),
        preferences=preferences,
    )
