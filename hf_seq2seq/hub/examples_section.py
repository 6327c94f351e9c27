"""The examples section of a model card: the five best and five worst predictions of the last evaluated split."""

from typing import Any

from hf_seq2seq.data.evaluation_sets import title_of
from hf_seq2seq.hub.markdown import table
from hf_seq2seq.task import Judged, Task

SHOWN = 5
MOST_ROWS = 1000


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
    rows = task.problem.judged(task, examples, found[:MOST_ROWS])
    rows = sorted(rows, key=lambda row: -len(row[1][0]))  # of equal rows, long ones say more
    ranked = sorted(rows, key=lambda row: -row[0])
    count = min(SHOWN, max(1, len(ranked) // 2))
    of = f"{'' if len(rows) == len(examples) else 'the first '}{len(rows):,} {title_of(split)} rows"
    best, rest = ranked[:count], ranked[count:]
    worst = sorted(rest, key=lambda row: row[0])[:count][::-1]
    paragraphs = [f"The best {count} of {of} by {task.problem.measure_of(task)}:", _table(task, best)]
    return paragraphs + ([f"The worst {len(worst)}:", _table(task, worst)] if worst else [])


def _table(task: Task, rows: list[Judged]) -> str:
    return table(
        ["Source", "Prediction", "Reference", task.problem.measure_of(task)], [cells for _, cells in rows], texts=3
    )
