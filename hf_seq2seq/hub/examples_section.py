"""The examples section of a model card: the five best and five worst predictions of the last evaluated split."""

from typing import Any

import numpy as np

from hf_seq2seq.data.evaluation_sets import title_of
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.hub.markdown import code, table
from hf_seq2seq.task import Task

SHOWN = 5
MOST_ROWS = 1000
LONGEST_CELL = 200  # characters

Row = tuple[float, list[str]]


def examples_section(task: Task, predictions: dict[str, Any]) -> list[str]:
    """Paragraphs with predictions and references; none if the model predicts neither text nor labels.

    Args:
        task: the trained task.
        predictions: texts or `(rows, classes)` logits, for every split that has any.
    """
    if not predictions:
        return []
    split, found = list(predictions.items())[-1]
    examples = task.splits[split]
    rows = (_texts if task.problem == "seq2seq" else _labels)(task, examples, found[:MOST_ROWS])
    ranked = sorted(rows, key=lambda row: -row[0])
    count = min(SHOWN, max(1, len(ranked) // 2))
    of = f"{'' if len(rows) == len(examples) else 'the first '}{len(rows):,} {title_of(split)} rows"
    best, worst = ranked[:count], ranked[count:][-count:]
    paragraphs = [f"The best {count} of {of} by {MEASURES[task.problem]}:", _table(task, best)]
    return paragraphs + ([f"The worst {len(worst)}:", _table(task, worst)] if worst else [])


def _table(task: Task, rows: list[Row]) -> str:
    return table(["Source", "Prediction", "Reference", MEASURES[task.problem]], [cells for _, cells in rows], texts=3)


MEASURES = {
    "seq2seq": "chrF",
    "single_label": "probability of the correct label",
    "multi_label": "share of correct decisions",
    "regression": "error",
}


def _texts(task: Task, examples: Examples, predictions: list[str]) -> list[Row]:
    """The chrF of each row, 0 to 100."""
    from sacrebleu.metrics import CHRF

    scorer = CHRF()
    rows = []
    for source, text, references in zip(examples.texts, predictions, examples.references or [], strict=False):
        score = scorer.sentence_score(text, references).score
        rows.append((score, [_cell(source), _cell(text), _cell(references[0]), f"{score:.1f}"]))
    return rows


def _labels(task: Task, examples: Examples, logits: np.ndarray) -> list[Row]:
    """Predicted labels with their scores; for a number, its error."""
    assert examples.labels is not None
    of_row = {"single_label": _single_label, "multi_label": _multi_label, "regression": _number}[task.problem]
    rows = []
    for text, row, truth in zip(examples.texts, np.asarray(logits, dtype=np.float64), examples.labels, strict=False):
        score, predicted, right, shown = of_row(task.label_names, row, truth)
        rows.append((score, [_cell(text), _cell(predicted), _cell(right), shown]))
    return rows


def _single_label(names: tuple[str, ...], logits: np.ndarray, truth: Any) -> tuple[float, str, str, str]:
    shares = np.exp(logits - logits.max())
    share = float(shares[int(truth)] / shares.sum())
    return share, names[int(logits.argmax())], names[int(truth)], f"{share:.3f}"


def _multi_label(names: tuple[str, ...], logits: np.ndarray, truth: Any) -> tuple[float, str, str, str]:
    share = float(np.mean((logits > 0) == (truth > 0)))
    predicted, right = (
        ", ".join(name for name, value in zip(names, values, strict=True) if value > 0) for values in (logits, truth)
    )
    return share, predicted, right, f"{share:.3f}"


def _number(names: tuple[str, ...], logits: np.ndarray, truth: Any) -> tuple[float, str, str, str]:
    error = abs(float(logits[0]) - float(truth))
    return -error, f"{logits[0]:.4g}", f"{truth:.4g}", f"{error:.4g}"


def _cell(text: str) -> str:
    short = text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"
    return code(short) if short.strip() else "(nothing)"
