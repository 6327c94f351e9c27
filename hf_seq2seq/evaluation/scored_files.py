"""Files of predictions and references for `evaluate`, read a window of rows at a time."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.errors import InputError, shorten
from hf_seq2seq.metrics.metric import with_sources
from hf_seq2seq.saved.model_paths import BASELINE_FILE

if TYPE_CHECKING:
    from hf_seq2seq.metrics.corpus import Corpus

WINDOW = 1000
BASELINE_PREDICTIONS = ("generated_predictions*.txt", "predictions*.jsonl")
BASELINE_LIKELIHOODS = "likelihoods*.jsonl"
"""Of each document of a test set: its log-probability under a language model, and the number of its tokens."""
COLUMN_OPTIONS = {"reference": "target_column", "source": "source_column"}
"""The flags that name columns of the files of `--references` and `--sources`."""
Cell = str | list[str]


class Texts(str):
    """Texts in memory, with a name for messages, in place of a file.

    Args:
        name: their name.
        cells: the texts.
    """

    cells: Sequence[Cell]

    def __new__(cls, name: str, cells: Sequence[Cell]) -> "Texts":
        """A name with texts attached."""
        found = super().__new__(cls, name)
        found.cells = cells
        return found


class Files:
    """Systems' predictions and references, row by row.

    Args:
        predictions: one file per system; the others must have as many rows as the first.
        references: files; each has one reference per row, or several if its cell is a list; none if none is needed.
        encoding: of text files.
        may_be_empty: whether a reference may be an empty text.
        sources: a file of the rows' sources, for metrics that read them.
        columns: of references and sources, as for `read_cells`.

    Raises:
        InputError: a file cannot be read.
    """

    def __init__(
        self,
        predictions: Sequence[str],
        references: Sequence[str],
        encoding: str,
        may_be_empty: bool = False,
        sources: str | None = None,
        columns: Mapping[str, str | None] | None = None,
    ) -> None:
        read = () if sources is None else (sources,)
        self._names = [*predictions, *references, *read]
        twice = next((file for file in predictions if predictions.count(file) > 1), None)
        if twice:
            raise InputError(f"--compare {twice}: is given twice; compare different systems")
        self._systems, self._may_be_empty = len(predictions), may_be_empty
        self._columns = [read_cells(file, "prediction", encoding) for file in predictions]
        self._columns += [read_cells(file, "reference", encoding, columns) for file in references]
        self._columns += [read_cells(file, "source", encoding, columns) for file in read]
        self._references, self._sourced, self._rows = len(references), bool(read), 0

    def __iter__(self) -> Iterator[tuple[list[list[str]], list[list[str]]]]:
        """Windows of rows: the predictions of each system, and the rows' references.

        Raises:
            InputError: the numbers of rows differ, or a row has no reference.
        """
        while True:
            pieces = [list(islice(column, WINDOW)) for column in self._columns]
            self._check_counts([len(piece) for piece in pieces])
            if not pieces[0]:
                return
            systems, references = pieces[: self._systems], pieces[self._systems :][: self._references]
            cells = zip(*references, strict=True) if references else repeat((), len(pieces[0]))
            rows = [self._accepted(each, row) for row, each in enumerate(cells, self._rows + 1)]
            yield (
                [list(map(_only, piece)) for piece in systems],
                with_sources(rows, pieces[-1]) if self._sourced else rows,
            )
            self._rows += len(pieces[0])

    def _check_counts(self, counts: list[int]) -> None:
        if len(set(counts)) == 1:
            return
        totals = [self._rows + n + sum(1 for _ in column) for n, column in zip(counts, self._columns, strict=True)]
        for place, (name, total) in enumerate(zip(self._names, totals, strict=True)):
            if total != totals[0]:
                what = "predictions" if place < self._systems else "references"
                what = "sources" if self._sourced and place == len(self._names) - 1 else what
                others = "" if what == "predictions" else "predictions "
                raise InputError(f"{name}: {total} {what} for {totals[0]} {others}in {self._names[0]}")

    def _accepted(self, cells: tuple[Cell, ...], row: int) -> list[str]:
        """A row's references; with several files, empty ones mean that the row has fewer."""
        texts = [text for cell in cells for text in ([cell] if isinstance(cell, str) else cell)]
        found = [text for text in texts if text.strip()]
        if found or not self._references:
            return found
        if self._may_be_empty:
            return texts[:1]
        raise InputError(f"{self._names[self._systems]}: the reference of row {row} is empty")


def _only(cell: Cell) -> str:
    assert isinstance(cell, str)
    return cell


def is_baseline(place: str) -> bool:
    """Whether a place is the folder of a baseline, which stands for the file of its predictions."""
    return (Path(place) / BASELINE_FILE).is_file()


def _is_run(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    from hf_seq2seq.saved.run_settings import RUN_FILE

    return (folder / RUN_FILE).is_file()


def _predictions_of(place: str) -> str:
    """The file of the predictions of a baseline or a run."""
    return _only_file(place, "predictions", BASELINE_PREDICTIONS)


def _only_file(place: str, what: str, patterns: Sequence[str]) -> str:
    """The one file of a folder that a baseline or a run wrote.

    Raises:
        InputError: it has none, or one for each of several sets.
    """
    found = sorted(path for pattern in patterns for path in Path(place).glob(pattern))
    if len(found) != 1:
        names = shorten(", ".join(path.name for path in found)) or "none"
        raise InputError(f"{place}: files of {what}: {names}; one is needed")
    return str(found[0])


def read_likelihoods(place: str) -> list[tuple[float, float]]:
    """The log-probability and the number of tokens of every document, from the folder of a baseline.

    Raises:
        InputError: a folder without likelihoods, or a line that has none.
    """
    file = _only_file(place, "likelihoods", [BASELINE_LIKELIHOODS])
    found = []
    for number, line in enumerate(Path(file).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            found.append((float(row["log_probability"]), float(row["tokens"])))
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{file}:{number}: no log_probability and tokens; run the baseline again") from None
    return found


def read_cells(
    file: str, column: str, encoding: str, columns: Mapping[str, str | None] | None = None
) -> Iterator[Cell]:
    """The texts of a file: its lines, its column of this name, the one that a flag names, or its only column.

    Args:
        file: text, or a table as in training; or texts themselves; or the folder of a baseline or a run.
        column: "prediction", "source", or "reference", of which a cell may also be a list.
        encoding: of text files.
        columns: of a command with `COLUMN_OPTIONS`, their values by "reference" and "source".

    Raises:
        InputError: the file cannot be read, has no such column, or has a cell that is not text.
    """
    if isinstance(file, Texts):
        return _given_cells(file, several=column == "reference")
    if is_baseline(file) or _is_run(Path(file)):
        file = _predictions_of(file)
    from hf_seq2seq.data.columns.finding import cell
    from hf_seq2seq.data.rows import read_rows, text_cell

    asked = (columns or {}).get(column)
    rows, sample = read_rows(None, file, encoding, ("prediction", "reference", asked))
    found = _column(file, column, sample, columns)
    lists = column == "reference"
    return (
        _list(cell(row, found)) if lists and _is_list(cell(row, found)) else text_cell(row, found, number, file)
        for number, row in enumerate(rows, start=1)
    )


def _column(file: str, column: str, sample: list[Any], columns: Mapping[str, str | None] | None) -> str:
    """The name of the column to read; see `read_cells`."""
    from hf_seq2seq.data.columns.finding import named_column
    from hf_seq2seq.data.rows import names_of
    from hf_seq2seq.sections import flag

    names, option = names_of(sample), COLUMN_OPTIONS.get(column, "")
    asked = (columns or {}).get(column)
    if asked:
        return named_column(names, sample, option, asked, file)
    if column not in names and len(names) > 1:
        hint = f"; name one by {flag(option)}" if columns is not None and option else ""
        raise InputError(f"{file}: has columns {shorten(', '.join(names))}, but none named {column!r}{hint}")
    return column if column in names else names[0]


def _given_cells(texts: Texts, several: bool) -> Iterator[Cell]:
    for number, cell in enumerate(texts.cells, start=1):
        if not (isinstance(cell, str) or (several and _is_list(cell))):
            raise InputError(f"{texts}: row {number}: {shorten(repr(cell))} is not text")
        yield cell


def _is_list(cell: Any) -> bool:
    return isinstance(cell, list) and all(isinstance(text, str) for text in cell)


def _list(cell: Any) -> list[str]:
    return list(cell)


def score_windows(
    systems: Mapping[str, "Corpus"], windows: Iterable[tuple[list[list[str]], list[list[str]]]], aligned: bool = False
) -> dict[str, int]:
    """Adds all rows to the systems' corpora; returns the number of empty predictions of each system.

    Args:
        systems: one corpus per file of predictions.
        windows: as yielded by `Files`.
        aligned: whether a prediction must have as many words as each of its references.

    Raises:
        InputError: it does not; names file and row.
    """
    empty, rows = dict.fromkeys(systems, 0), 0
    for predictions, references in windows:
        if aligned:
            for name, texts in zip(systems, predictions, strict=True):
                _check_aligned(name, texts, references, rows)
        rows += len(references)
        for (name, corpus), texts in zip(systems.items(), predictions, strict=True):
            corpus.add(texts, references)
            empty[name] += sum(not text.strip() for text in texts)
    return empty


def _check_aligned(file: str, texts: Sequence[str], references: Sequence[Sequence[str]], before: int) -> None:
    for row, (text, accepted) in enumerate(zip(texts, references, strict=True), before + 1):
        for reference in accepted:
            said, wanted = len(text.split()), len(reference.split())
            if said != wanted:
                raise InputError(f"{file}: row {row} has {said} tags, its reference {wanted}; each word has one")


def report_empty(empty: Mapping[str, int], rows: int) -> None:
    """Prints to standard error how many predictions are empty."""
    for name, count in empty.items():
        if count:
            print(f"{name}: {count} of {rows} predictions are empty and count as wrong", file=sys.stderr)
