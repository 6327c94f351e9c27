"""The rows shown: the worst, typical ones, and those asked for."""

import json
from typing import Any

from hf_seq2seq.analysis.records import Record, Section, Table

MOST, FEWEST = 100_000, 100
"""Characters of the sources, and as many of outputs and of references, of all rows together, and at least of a row."""


def rows(record: Record) -> Section | None:
    """Source, output, references and score of the rows shown, the worst first."""
    order = [int(number) for number in record.worst_first() if int(number) in record.shown]
    score = (record.facts.get("row_score", record.facts["key"]),) if record.supervised else ()
    sure = ("confidence",) if "confidence" in record.figures else ()
    columns = ("row", "shown as", *score, *sure, "source", "output", *(("references",) if record.supervised else ()))
    most = max(FEWEST, MOST // max(1, len(order)))
    found = [_row(record, number, most) for number in order]
    table = Table(f"{len(found)} of {len(record):,} rows; rows.jsonl beside this page has all", columns, found)
    kept = [{name: value for name, value in zip(columns, row, strict=True) if value != ""} for row in found]
    return Section(
        "Rows",
        numbers={"rows": kept if record.hidden else [dict(zip(columns, row, strict=True)) for row in found]},
        tables=(table,),
    )


def _row(record: Record, number: int, most: int) -> list[Any]:
    row = record.shown[number]
    names = ("score", "confidence") if record.supervised else ("confidence",)
    figures = [float(record.figures[name][number]) for name in names if name in record.figures]
    source = row["source"] if isinstance(row["source"], str) else json.dumps(row["source"], ensure_ascii=False)
    texts = (source, row["output"], *(("\n".join(row["references"]),) if record.supervised else ()))
    return [number + 1, row["why"], *figures, *(text if len(text) <= most else f"{text[:most]}…" for text in texts)]
