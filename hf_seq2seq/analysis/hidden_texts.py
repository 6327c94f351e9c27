"""Reports on data that may not be shown: figures and pictures stay, texts are left out, and tokens are numbered."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hf_seq2seq import strict_json
from hf_seq2seq.analysis.records import Heat, Marked, Record, Section, Table, without_texts
from hf_seq2seq.drafts import open_draft


def hide_texts(record: Record) -> Record:
    """The record with empty texts, and tokens numbered from 1; a classifier's labels stay."""
    task, overlap = record.facts["task"], dict(record.overlap)
    if "rows" in overlap:
        overlap["rows"] = [each | {"training_text": ""} for each in overlap["rows"]]
    return replace(
        record,
        facts=record.facts | {"texts": False},
        heats=list(map(_numbered, record.heats)),
        saliency=list(map(_numbered, record.saliency)),
        marked=[_numbered_text(each) for each in record.marked],
        overlap=overlap,
        shown={number: without_texts(row, task) for number, row in record.shown.items()},
    )


def without_empty_columns(section: Section) -> Section:
    """The section, whose tables lose the columns that have nothing but empty texts."""
    return replace(section, tables=tuple(map(_filled, section.tables)))


def write_figures_of_rows(record: Record, file: Path) -> None:
    """Writes the lines of the record's file without texts, tokens and ids.

    Raises:
        OSError: it cannot be written.
    """
    texts = {"source", "output", "references"} if record.facts["task"] == "text" else {"source"}
    with open_draft(file) as stream:
        for row in record.rows():
            figures = {name: value for name, value in row.items() if name not in texts}
            stream.write(strict_json.dumps(figures, ensure_ascii=False) + "\n")


def _numbers(tokens: Sequence[str]) -> list[str]:
    return [str(number) for number in range(1, len(tokens) + 1)]


def _numbered(each: Heat) -> Heat:
    return replace(each, source=_numbers(each.source), output=_numbers(each.output))


def _numbered_text(each: Marked) -> Marked:
    return replace(each, tokens=_numbers(each.tokens))


def _filled(table: Table) -> Table:
    kept = [n for n in range(len(table.columns)) if not table.rows or any(row[n] != "" for row in table.rows)]
    return replace(
        table, columns=tuple(table.columns[n] for n in kept), rows=[[r[n] for n in kept] for r in table.rows]
    )
