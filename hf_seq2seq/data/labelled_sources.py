"""The labelled rows of a run, with stratified held-out rows and caps."""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset

from hf_seq2seq.configs import LabelledData
from hf_seq2seq.data.cells import column_cells, row_sample, texts
from hf_seq2seq.data.columns.labels import find_label_columns, find_text_columns, lacks_labels
from hf_seq2seq.data.label_lists import hot_places, hot_width, is_written_list, read_written_list, separator
from hf_seq2seq.data.labelled_lines import LabelledLines, lines_lack_labels
from hf_seq2seq.data.sources import OpenShare, load_splits
from hf_seq2seq.data.splits import Splits


def load_labelled_splits(
    data: LabelledData, problem: str, names: Sequence[str] = (), share: OpenShare | None = None
) -> Splits:
    """`load_splits` with held-out rows and caps stratified by class; at random for regression.

    Args:
        data: where the rows come from.
        problem: "single_label", "multi_label" or "regression".
        names: the classes if fixed by a trained model.
        share: as for `load_splits`.

    Raises:
        InputError: as for `load_splits`, or the label column cannot be found.
    """
    arrange = LabelledLines(names)
    return load_splits(data, arrange, lambda rows, place: _classes(rows, place, data, problem), share)


def load_unlabelled(data: LabelledData, names: Sequence[str]) -> dict[str, tuple[list[str], list[str] | None]] | None:
    """Texts, and second texts if there are any, of every split whose rows have no labels; None if they have some.

    Args:
        data: where the rows come from.
        names: the classes of the trained model.

    Raises:
        InputError: as for `load_splits`, or a text is null or empty.
    """
    splits = load_splits(data)
    rows, place = splits[splits.first], splits.place(splits.first)
    columns, sample = rows.column_names, row_sample(rows)
    if columns == ["text"]:
        if not lines_lack_labels(rows, names):
            return None
        return {
            split: ([line for line in column_cells(each, "text").to_pylist() if line.strip()], None)
            for split, each in splits.items()
        }
    if not lacks_labels(columns, sample, data):
        return None
    text, second = find_text_columns(columns, sample, data, place)
    return {
        split: (
            texts(each, str(text), splits.place(split)),
            texts(each, second, splits.place(split)) if second else None,
        )
        for split, each in splits.items()
    }


def _classes(rows: Dataset, place: str, data: LabelledData, problem: str) -> list[list[str]]:
    """The classes of every row, unchecked."""
    if problem == "regression":
        return [[] for _ in range(len(rows))]
    column = find_label_columns(rows.column_names, row_sample(rows), data, place)[2]
    cells = column_cells(rows, column).to_pylist()
    if problem == "single_label":
        return [[str(cell).strip()] for cell in cells]
    sign = separator(cells)
    lists = [_as_list(cell, sign) for cell in cells]
    if hot_width(lists):
        lists = [hot_places(cell) for cell in lists]
    return [[str(part) for part in cell] for cell in lists]


def _as_list(cell: Any, sign: str) -> Sequence[Any]:
    if not isinstance(cell, str):
        return cell if isinstance(cell, list) else [cell]
    found = read_written_list(cell) if is_written_list(cell) else None
    return [part.strip() for part in cell.split(sign) if part.strip()] if found is None else found
