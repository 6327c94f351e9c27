"""Rows with a source and a target, read one by one, in every format and from every column that training reads."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.cleaning.cleaner import NOT_TEXT, Cleaner
from hf_seq2seq.data.cleaning.normal_form import hash_of
from hf_seq2seq.data.cleaning.options import SIDES
from hf_seq2seq.data.cleaning.rules import Pair, are_spaced
from hf_seq2seq.data.columns.finding import cell
from hf_seq2seq.data.columns.headers import Header, numbered
from hf_seq2seq.data.columns.templates import about, fill, template_columns
from hf_seq2seq.data.files.forms import named_form
from hf_seq2seq.data.files.lines import rejoined
from hf_seq2seq.data.files.patterns import is_saved, shards
from hf_seq2seq.data.files.readers import file_form, iterate_rows, layout_of
from hf_seq2seq.data.files.separators import NONE
from hf_seq2seq.data.files.text_files import opened
from hf_seq2seq.data.files.writers import Shape, arrow_schema
from hf_seq2seq.data.named_sets import load_folder, load_named
from hf_seq2seq.data.pairs import find_sides
from hf_seq2seq.data.rows import SAMPLE_ROWS, Row, names_of, shown
from hf_seq2seq.data.tabbed_text import split_stream_at_tabs
from hf_seq2seq.data.text_kinds import different_labels
from hf_seq2seq.errors import InputError

logger = logging.getLogger(__name__)
ROWS_FOR_LABELS = 1000
"""First rows in which a side is looked at for labels."""


@dataclass(frozen=True)
class PairRows:
    """Rows and what their sources and targets are read from.

    Attributes:
        rows: all rows, once.
        form: the format of their file.
        shape: their columns, and how they are written.
        place: the file or data set, for messages.
        template: what a source is composed by, if it is.
        source: its column otherwise.
        context: the column of a question's context.
        target: the column of the target.
        labels: the side, "source" or "target", that is labels; None for pairs of texts.
        spaced: the sides whose texts mostly have several words, in which `nan` is none.
    """

    rows: Iterator[Row]
    form: str
    shape: Shape
    place: str
    template: str | None
    source: str
    context: str | None
    target: str
    labels: str | None = None
    spaced: frozenset[str] = frozenset()

    def pair(self, row: Row) -> Pair:
        """The source and the target of a row; of several targets the first, on which models are trained.

        Raises:
            InputError: a cell is not text.
        """
        source = fill(self.template, row, "the source") if self.template else _text(row, self.source)
        if self.context:
            source = about(source, _text(row, self.context))
        return Pair(source, _text(row, self.target, may_be_several=True))

    def references(self, row: Row) -> list[str]:
        """All targets of a row that has several."""
        value = cell(row, self.target)
        return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _text(row: Row, column: str, may_be_several: bool = False) -> str:
    value = cell(row, column)
    if may_be_several and isinstance(value, list) and value:
        value = value[0]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"column {column!r}: {shown(value)} is not text")
    return value


def read_pair_rows(data: PairData) -> PairRows:
    """The rows of `train_file` or `dataset_name`, with their columns.

    Raises:
        InputError: there are no rows, they cannot be read, or columns cannot be found.
    """
    if data.train_file and data.dataset_name:
        raise InputError("--input-file and --dataset-name: give only one of them")
    if not data.train_file and not data.dataset_name:
        raise InputError("no rows: give --input-file or --dataset-name")
    path = data.train_file or ""
    if data.dataset_name:
        return _of_data_set(load_named(data)["train"], data, data.dataset_name)
    if is_saved(Path(path).expanduser()):
        saved = load_folder(Path(path).expanduser())
        if len(saved) > 1:
            raise InputError(f"{path}: contains the splits {', '.join(saved)}; use --dataset-name")
        return _of_data_set(next(iter(saved.values())), data, path)
    languages = (data.source_lang, data.target_lang)
    paths = shards(path, languages)[0]
    rows = iterate_rows(path, data.encoding, _header(data), languages=languages)
    found = _with_columns(rows, data, path)
    if len(paths) > 1:
        return replace(found, form="txt")
    form = form_of(paths[0], data)
    return replace(found, form=form, shape=shape_of(paths[0], form, found.shape.names, data.encoding))


def _header(data: PairData) -> Header:
    columns = template_columns(data.source_template) if data.source_template else []
    named = (data.source_column, data.target_column, data.context_column, data.source_lang, data.target_lang)
    return Header.of(*columns, *named)


def _with_columns(rows: Iterator[Row], data: PairData, place: str, schema: Any = None) -> PairRows:
    sample = list(islice(rows, SAMPLE_ROWS))
    rows, sample = split_stream_at_tabs(chain(sample, rows), sample, place)
    if not sample:
        raise InputError(f"{place}: has no rows")
    names = names_of(sample)
    template, source, target = find_sides(names, sample, data, place)
    shape = Shape(names, schema=schema)
    first = list(islice(rows, ROWS_FOR_LABELS))
    found = PairRows(chain(first, rows), "jsonl", shape, place, template, source, data.context_column, target)
    pairs = []
    for row in first:
        with suppress(InputError):  # which is counted when the row's turn comes
            pairs.append(found.pair(row))
    texts = {side: [str(getattr(pair, side)) for pair in pairs] for side in SIDES}
    labels = [side for side in SIDES if different_labels(texts[side], len(pairs))]
    spaced = frozenset(side for side in SIDES if are_spaced(texts[side]))
    return replace(found, labels=labels[0] if len(labels) == 1 else None, spaced=spaced)


def _of_data_set(rows: Any, data: PairData, place: str) -> PairRows:
    return _with_columns(iter(rows), data, place, rows.features.arrow_schema)


def form_of(path: Path, data: PairData) -> str:
    """The format of a file; plain text with tabs is `tsv`."""
    if not path.is_file():  # a pipe can be read only once
        return "jsonl"
    with opened(path) as file:
        return file_form(file, path, data.encoding, _header(data))


def shape_of(path: Path, form: str, names: Sequence[str], encoding: str) -> Shape:
    """How rows are written as they are in a file."""
    layout = layout_of(path, encoding, names) if form == "csv" else None
    separator = layout.separator if layout and layout.separator != NONE else ","
    return Shape(names, list(names) != numbered(len(names)), separator, arrow_schema(path, form))


class Decision(NamedTuple):
    """What became of a row: the rule that drops it and its reason, or None; `pair` is None if a cell is not text."""

    number: int
    row: Row
    pair: Pair | None
    rule: str | None
    reason: str


def decisions(read: PairRows, cleaner: Cleaner) -> Iterator[Decision]:
    """Decides on every row, in order; rows are numbered from 1."""
    for number, row in enumerate(read.rows, start=1):
        try:
            pair = read.pair(row)
        except InputError as error:
            cleaner.refuse()
            yield Decision(number, row, None, NOT_TEXT, str(error))
            continue
        yield Decision(number, row, pair, *(cleaner(pair) or (None, "")))


def output_paths(value: str | None, read: PairRows) -> tuple[Path, ...]:
    """The files named by `--output-file`; for parallel inputs also the common stem of parallel outputs."""
    if value is None:
        return ()
    paths = tuple(Path(part.strip()).expanduser() for part in value.split(",")) if "," in value else (Path(value),)
    known = named_form(paths[0]) is not None
    if read.form == "txt" and len(paths) == 1 and not known and len(read.shape.names) > 1:
        return tuple(Path(f"{value}.{name}") for name in read.shape.names)
    return paths


def sides_of_files(
    files: Sequence[str], data: PairData, columns: tuple[str | None, str] | None = None
) -> dict[str, frozenset[int]]:
    """Hashes of the sources and of the targets of files such as test sets.

    The text of a file with one column may be of either side.

    Args:
        files: their paths.
        data: the flags of columns and languages.
        columns: the names of the other rows' columns, which are the same sides here, wherever they stand. A file that
            lacks those named by flags is read by its own.

    Raises:
        InputError: a file cannot be read, or its columns cannot be found.
    """
    found: dict[str, set[int]] = {side: set() for side in SIDES}
    for file in rejoined(files):
        rows = iterate_rows(file, data.encoding, _header(data))
        sample = list(islice(rows, SAMPLE_ROWS))
        rows, sample = split_stream_at_tabs(chain(sample, rows), sample, file)
        if names_of(sample) == ["text"]:
            hashes = {hash_of(row["text"]) for row in rows if row["text"].strip()}
            for side in SIDES:
                found[side] |= hashes
            continue
        own, names = data, names_of(sample)
        if columns and {*columns} <= {*names}:
            own = replace(data, source_column=columns[0], target_column=columns[1])
        elif absent := [name for name in (data.source_column, data.target_column) if name and name not in names]:
            logger.warning("%s: has no column %s; its columns are detected again", file, ", ".join(map(repr, absent)))
            own = replace(data, source_column=None, target_column=None)
        pairs = _with_columns(rows, own, file)
        for row in pairs.rows:
            for side, text in (*pairs.pair(row).sides(), *(("target", text) for text in pairs.references(row))):
                found[side] |= {hash_of(text)} if text.strip() else set()
    return {side: frozenset(hashes) for side, hashes in found.items()}
