"""A classifier that gives a text several labels: how good it is at each, and its surest errors."""

from typing import Any

import numpy as np

from hf_seq2seq.analysis.records import Record, Section, Table
from hf_seq2seq.analysis.sections.classes import CONFUSED, SUREST
from hf_seq2seq.decoding.label_kinds import THRESHOLD
from hf_seq2seq.metrics.classification import macro_f1, micro_f1


def label_sets(record: Record) -> Section | None:
    """Micro and macro F1, figures per label, labels given in place of others, and the surest errors."""
    if record.facts["task"] != "labels" or record.facts.get("problem") != "multi_label" or not record.supervised:
        return None
    scores, truth, names = (record.labels[name] for name in ("scores", "truth", "names"))
    chosen, true = scores > THRESHOLD, truth > 0.5
    per_label = [_figures(name, chosen[:, n], true[:, n]) for n, name in enumerate(names)]
    right = 100 * float((chosen == true).all(axis=1).mean())
    numbers: dict[str, Any] = micro_f1(scores - THRESHOLD, truth) | macro_f1(scores - THRESHOLD, truth)
    numbers |= {"all_right": right, "labels": per_label}
    numbers |= {"labels_per_row": float(true.sum(1).mean()), "predicted_per_row": float(chosen.sum(1).mean())}
    columns = ("label", "rows", "predicted", "precision", "recall", "F1")
    tables = (
        Table("By label, in percent", columns, [list(each.values()) for each in per_label]),
        Table("What is given in place of what", ("rows", "missing", "given"), _replaced(chosen, true, names)),
        Table("The surest errors", ("row", "label", "probability", "true", "text"), _surest(record, chosen != true)),
    )
    text = (
        f"Micro F1: {numbers['micro_f1']:.2f}; macro F1: {numbers['macro_f1']:.2f}; all labels right in {right:.2f}% "
        f"of rows. A row has {numbers['labels_per_row']:.2f} labels, and is given {numbers['predicted_per_row']:.2f}: "
        f"those of a probability above {THRESHOLD}.",
    )
    return Section("Labels", text, numbers, tables)


def _figures(name: str, chosen: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    right, given, own = int((chosen & true).sum()), int(chosen.sum()), int(true.sum())
    found: dict[str, Any] = {"label": name, "rows": own, "predicted": given}
    found["precision"] = 100 * right / given if given else None
    found["recall"] = 100 * right / own if own else None
    return found | {"f1": 200 * right / (given + own) if given + own else None}


def _replaced(chosen: np.ndarray, true: np.ndarray, names: list[str]) -> list[list[Any]]:
    """How many rows miss one label and have another that is wrong."""
    counts = (true & ~chosen).T.astype(np.int64) @ (chosen & ~true).astype(np.int64)
    found = [[int(counts[i, j]), names[i], names[j]] for i, j in np.argwhere(counts)]
    return sorted(found, key=lambda each: -each[0])[:CONFUSED]


def _surest(record: Record, wrong: np.ndarray) -> list[list[Any]]:
    scores, names = record.labels["scores"], record.labels["names"]
    places = np.argwhere(wrong)
    order = np.argsort(-np.abs(scores[wrong] - THRESHOLD), kind="stable")[:SUREST]
    wanted = {int(row) for row, _ in places[order]}
    texts = {number: row["source"][:1000] for number, row in enumerate(record.rows()) if number in wanted}
    return [
        [int(row) + 1, names[label], float(scores[row, label]), "no" if scores[row, label] > THRESHOLD else "yes",
         texts[int(row)]]
        for row, label in places[order]
    ]  # fmt: skip
