"""Test rows of a classifier that its training rows hold, too: what they flatter the score by."""

from typing import Any

import numpy as np

from hf_seq2seq.analysis.near_duplicates import SIMILAR
from hf_seq2seq.analysis.records import Record, Section, Table

SHOWN, LONGEST = 100, 500


def overlap(record: Record) -> Section | None:
    """Exact and near duplicates, counted, with their rows; and the score without them."""
    if record.facts["task"] != "labels" or not record.supervised:
        return None
    if not record.overlap:
        return Section("Overlap", left_out="The training rows are not known, or not there: give --train-file.")
    found = record.overlap["rows"]
    exact = [each for each in found if each["exact"]]
    near = [each for each in found if not each["exact"]]
    numbers: dict[str, Any] = {"training_rows": record.overlap["place"]}
    numbers |= {name: _count(record, rows) for name, rows in (("exact", exact), ("near", near))}
    numbers["score"] = _scores(record, [each["row"] for each in found])
    text = (
        f"Of {len(record):,} test rows, {len(exact):,} ({100 * len(exact) / len(record):.1f}%) stand word for word in "
        f"{record.overlap['place']}, and {len(near):,} ({100 * len(near) / len(record):.1f}%) nearly so: the sets of "
        f"their character trigrams, without case and punctuation, have a Jaccard similarity of at least {SIMILAR}.",
        _compared(numbers["score"]),
    )
    order = sorted(found, key=lambda each: (each["same_label"], not each["exact"], -each["similarity"], each["row"]))
    shown = {each["row"]: each for each in order[:SHOWN]}
    texts = {number: _text(row) for number, row in enumerate(record.rows()) if number in shown}
    rows = [
        [n + 1, each["training_row"] + 1, each["similarity"], "yes" if each["same_label"] else "no",
         texts[n][:LONGEST], each["training_text"][:LONGEST]]
        for n, each in shown.items()
    ]  # fmt: skip
    columns = ("row", "training row", "similarity", "same label", "text", "training text")
    table = Table(f"{len(rows)} of {len(found):,} rows, other labels first", columns, rows)
    return Section("Overlap", text, numbers, (table,) if rows else ())


def _text(row: dict[str, Any]) -> str:
    return row["source"] if "pair" not in row else f"{row['source']}\n{row['pair']}"


def _count(record: Record, rows: list[dict[str, Any]]) -> dict[str, Any]:
    other = sum(not each["same_label"] for each in rows)
    return {"rows": len(rows), "share": 100 * len(rows) / len(record), "other_label": other}


def _scores(record: Record, rows: list[int]) -> dict[str, Any]:
    """Share of right rows, or the mean absolute error, of all rows, of these, and of the others."""
    numbers = record.facts.get("problem") == "regression"
    values = record.figures["score"] if numbers else 100 * record.figures["exact"]
    inside = np.zeros(len(record), dtype=bool)
    inside[rows] = True
    parts = {"all": values, "overlapping": values[inside], "others": values[~inside]}
    name = "mean absolute error" if numbers else "% of rows right"
    return {"score": name} | {part: float(own.mean()) if len(own) else None for part, own in parts.items()}


def _compared(scores: dict[str, Any]) -> str:
    shown = ", ".join(
        f"{scores[part]:.4g} of {what}"
        for part, what in (("all", "all rows"), ("overlapping", "these"), ("others", "the others"))
        if scores[part] is not None
    )
    return f"{scores['score'][:1].upper()}{scores['score'][1:]}: {shown}."
