"""A classifier's errors: which classes it confuses, how good it is at each, and the errors it is surest of."""

from typing import Any

import numpy as np

from hf_seq2seq.analysis.records import Record, Section, Table
from hf_seq2seq.decoding.label_kinds import THRESHOLD
from hf_seq2seq.metrics.classification import one_label

SUREST = 25
CONFUSED = 25
LEFT_OUT = "The test rows have no labels: accuracy, figures per class, confusion, errors and reliability are left out."


def classes(record: Record) -> Section | None:
    """Accuracy, figures per class, the most frequent confusions and the surest errors."""
    problem = record.facts.get("problem", "single_label")
    if record.facts["task"] == "labels" and not record.supervised:
        return _unlabelled(record.labels["scores"], record.labels["names"], problem)
    if record.facts["task"] != "labels" or problem != "single_label":
        return None
    scores, truth, names = (record.labels[name] for name in ("scores", "truth", "names"))
    chosen = scores.argmax(axis=1)
    matrix = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(matrix, (truth, chosen), 1)
    per_class = figures_per_class(matrix, names)
    confused = [(int(matrix[i, j]), names[i], names[j]) for i, j in np.argwhere(matrix) if i != j]
    confused = sorted(confused, key=lambda each: -each[0])[:CONFUSED]
    surest = _surest(record, np.flatnonzero(chosen != truth))
    accuracy = 100 * float(np.trace(matrix) / max(1, matrix.sum()))
    numbers = {"accuracy": accuracy, "classes": per_class, "confusion": matrix.tolist(), "labels": list(names)}
    columns = ("class", "rows", "predicted", "precision", "recall", "F1")
    tables = [
        Table("By class, in percent", columns, [list(each.values()) for each in per_class]),
        Table("What is taken for what", ("rows", "true", "predicted"), [list(each) for each in confused]),
        Table("The surest errors", ("row", "probability", "text", "predicted", "true"), surest),
    ]
    if len(names) <= 30:
        rows = [[name, *map(int, row)] for name, row in zip(names, matrix, strict=True)]
        tables.insert(1, Table("Confusion: true classes down, predicted across", ("true", *names), rows))
    alone = one_label(truth, names, "test")
    said = (f"Accuracy: {accuracy:.2f}%.", *([f"{alone[0].upper()}{alone[1:]}."] if alone else []))
    return Section("Classes", said, numbers, tuple(tables))


def _unlabelled(scores: np.ndarray, names: list[str], problem: str) -> Section:
    """How often each class is predicted, and how surely, or which numbers, where the rows have no labels."""
    if problem == "regression":
        parts = [[part, float(np.quantile(scores, part / 100))] for part in (0, 10, 25, 50, 75, 90, 100)]
        table = Table("Predictions", ("% of rows up to", "number"), parts)
        return Section("Numbers", (), {"quantiles": parts}, (table,), left_out=LEFT_OUT)
    several = problem == "multi_label"
    chosen = scores > THRESHOLD if several else scores.argmax(axis=1)[:, None] == np.arange(len(names))
    found = [
        [name, int(rows.sum()), 100 * float(rows.mean()), float(own[rows].mean()) if rows.any() else None]
        for name, rows, own in zip(names, chosen.T, scores.T, strict=True)
    ]
    columns = ("class", "predicted", "% of rows", "mean probability")
    numbers = {"predicted": [dict(zip(columns, row, strict=True)) for row in found]}
    return Section("Classes", (), numbers, (Table("Predictions", columns, found),), left_out=LEFT_OUT)


def figures_per_class(matrix: np.ndarray, names: list[str]) -> list[dict[str, Any]]:
    """Precision, recall and F1 in percent; None where a class has no rows or is never predicted."""
    found = []
    for number, name in enumerate(names):
        right, true, predicted = matrix[number, number], matrix[number].sum(), matrix[:, number].sum()
        figures: dict[str, Any] = {"class": name, "rows": int(true), "predicted": int(predicted)}
        figures["precision"] = 100 * float(right / predicted) if predicted else None
        figures["recall"] = 100 * float(right / true) if true else None
        figures["f1"] = 200 * float(right / (true + predicted)) if true + predicted else None
        found.append(figures)
    return found


def _surest(record: Record, wrong: np.ndarray) -> list[list[Any]]:
    order = wrong[np.argsort(-record.figures["confidence"][wrong], kind="stable")][:SUREST].tolist()
    found = {}
    for number, row in enumerate(record.rows()):
        if number in order:
            sure = float(record.figures["confidence"][number])
            found[number] = [number + 1, sure, row["source"][:1000], row["output"], row["references"][0]]
    return [found[number] for number in order]
