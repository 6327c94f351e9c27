"""A blind sheet for the pyramid method: a table in which annotators list content units and who expresses them.

Each unit is a line of the kind `unit`; its `name` lists the references and texts of the row that express it, such as
`R1 R3 A`, and its `text` says what it is. A unit weighs as many references as hold it.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_seq2seq.analysis.ratings import Key, Ratings
from hf_seq2seq.data.files.text_files import opened
from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.metrics.pyramid import modified_score, original_score

COLUMNS = ("row", "kind", "name", "text")
CRITERIA = ("pyramid", "pyramid_modified")
Json = dict[str, Any]


def pyramid_table(page: Json) -> str:
    """The sheet as CSV, of what `make_sheet` shows; one empty unit per row shows where units go."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerows([COLUMNS, ("", "sheet", page["sheet"], "add units: name lists who says it, such as R1 R3 A")])
    for number, row in enumerate(page["rows"], start=1):
        if row["source"] is not None:
            table.writerow((number, "source", "", row["source"]))
        table.writerows((number, "reference", f"R{n}", text) for n, text in enumerate(row["references"], start=1))
        table.writerows((number, "text", text["id"].lstrip("0123456789"), text["text"]) for text in row["texts"])
        table.writerow((number, "unit", "", ""))
    return out.getvalue()


def read_pyramids(paths: Sequence[Path], key: Key) -> Ratings:
    """Reads annotated sheets into scores of every text, one column per annotator, named after the file.

    Raises:
        InputError: a file is no sheet or another's, has no unit, or a unit names what its row does not have.
    """
    values = {name: np.full((len(key.texts), len(paths)), np.nan) for name in CRITERIA}
    names = [path.stem for path in paths]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"ratings: two files are named {twice!r}; give each annotator's file once, with its own name")
    for column, path in enumerate(paths):
        for text, scores in _scores(path, key).items():
            for name, score in zip(CRITERIA, scores, strict=True):
                values[name][key.texts[text], column] = score
    return Ratings(tuple(names), values)


def _scores(path: Path, key: Key) -> dict[str, tuple[float, float]]:
    """The original and the modified score of every text in the rows that have units."""
    with opened(path) as file:
        content = file.text("utf-8-sig")
    first = content.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    lines = list(csv.reader(io.StringIO(content), delimiter=delimiter))
    if not lines or tuple(lines[0][:4]) != COLUMNS:
        raise InputError(f"{path}: not a pyramid sheet; its columns are {', '.join(COLUMNS)}")
    known: dict[str, dict[str, list[str]]] = {}
    units: dict[str, list[list[str]]] = {}
    for number, line in enumerate(lines[1:], start=2):
        row, kind, name = (cell.strip() for cell in [*line, "", "", ""][:3])
        if kind == "sheet" and name != key.sheet:
            raise InputError(f"{path}: is the sheet {name!r}, but the key is that of {key.sheet!r}")
        if kind in ("reference", "text"):
            known.setdefault(row, {"reference": [], "text": []})[kind].append(name)
        if kind == "unit" and name:
            places = known.get(row, {"reference": [], "text": []})
            units.setdefault(row, []).append(_named(name, [*places["reference"], *places["text"]], f"{path}:{number}"))
    found = {
        f"{row}{text}": scores
        for row, held in units.items()
        for text, scores in _of_row(held, known[row]["reference"], known[row]["text"]).items()
    }
    if stranger := next((text for text in found if text not in key.texts), None):
        raise InputError(f"{path}: the sheet has no text {stranger!r}")
    if not found:
        raise InputError(f"{path}: contains no content unit that a reference holds")
    return found


def _named(names: str, known: Sequence[str], place: str) -> list[str]:
    found = list(dict.fromkeys(names.replace(",", " ").split()))
    for name in found:
        if name not in known:
            raise InputError(f"{place}: the row has no reference or text {name!r}{nearest(name, known)}")
    return found


def _of_row(
    units: Sequence[Sequence[str]], references: Sequence[str], texts: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """The scores of a row's texts; none where no reference holds a unit."""
    weighed = [(sum(name in references for name in unit), unit) for unit in units]
    weights = [weight for weight, _ in weighed if weight]
    if not weights:
        return {}
    found = {}
    for text in texts:
        held = [weight for weight, unit in weighed if text in unit]
        found[text] = (original_score(weights, held), modified_score(weights, held, len(references)))
    return found
