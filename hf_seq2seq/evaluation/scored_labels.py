"""Files of labels or numbers, one row per line, for the label metrics; and printing of the confusion matrix."""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from hf_seq2seq.metrics.corpus import Corpus


def score_labels(
    systems: Mapping[str, "Corpus"], metrics: Mapping[str, Any], windows: Iterable[Any], place: str
) -> tuple["np.ndarray", "np.ndarray", list[str]] | None:
    """Adds all rows to the systems' corpora.

    Args:
        systems: one corpus per file of predictions.
        metrics: either all for labels or all for numbers.
        windows: predictions of each system, and references, as yielded by `Files`.
        place: name of the references, for errors.

    Returns:
        The first system's predictions, `(rows, classes)` of 0 and 1, the labels, `(rows,)`, and the classes' names in
        alphabetical order; None for numbers.

    Raises:
        InputError: metrics are of several kinds, a row has several references, or text should be a number.
    """
    from hf_seq2seq.data.label_lists import one_spelling
    from hf_seq2seq.metrics.classification import one_hot

    predictions: list[list[str]] = [[] for _ in systems]
    truth: list[str] = []
    for texts, references in windows:
        for whole, piece in zip(predictions, texts, strict=True):
            whole.extend(piece)
        truth.extend(_single(row, place) for row in references)
    if _problem(metrics) == "regression":
        for (name, corpus), texts in zip(systems.items(), predictions, strict=True):
            corpus.add(_numbers(texts, name), _numbers(truth, place))
        return None
    said = [_without_scores(texts, truth, name) for name, texts in zip(systems, predictions, strict=True)]
    called = one_spelling(text.strip() for column in (*said, truth) for text in column)
    names = sorted(set(called.values()))
    truth, *said = [[called[text.strip()] for text in column] for column in (truth, *said)]
    for name, texts in zip(systems, said, strict=True):
        _tell_foreign(texts, truth, name)
    labels = one_hot(truth, names).argmax(axis=1)
    logits = [one_hot(texts, names) for texts in said]
    for corpus, rows in zip(systems.values(), logits, strict=True):
        corpus.add(rows, labels)
    return logits[0], labels, names


def _without_scores(texts: list[str], truth: Sequence[str], name: str) -> list[str]:
    """The labels of lines with a label, a tab and its score, as written by `classify`."""
    cells = [text.split("\t") for text in texts]
    if any("\t" in label for label in truth) or not all(len(row) == 2 and _is_number(row[1]) for row in cells):
        return texts
    print(f"{name}: each line is read as a label and its score", file=sys.stderr)
    return [label for label, _ in cells]


def _tell_foreign(texts: Sequence[str], truth: Sequence[str], name: str) -> None:
    """Prints to standard error how many predictions are labels without any reference."""
    known = set(truth)
    foreign = [text for text in texts if text not in known]
    if foreign:
        detail = (
            f"{len(foreign)} of {len(texts)} predictions are labels that no reference has, such as {_shown(foreign[0])}"
        )
        print(f"{name}: {detail}", file=sys.stderr)


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:59]!r}…"


def _problem(metrics: Mapping[str, Any]) -> str:
    for problem in ("single_label", "regression"):
        if all(problem in metric.problems for metric in metrics.values()):
            return problem
    alone = next((name for name, metric in metrics.items() if metric.problems == ("multi_label",)), None)
    if alone:
        raise InputError(f"--metrics: {alone} is for multiple labels per row; files have one per row")
    raise InputError(f"--metrics: {', '.join(metrics)} score texts, labels and numbers; use one kind at a time")


def _single(row: Sequence[str], place: str) -> str:
    if len(row) > 1:
        raise InputError(f"{place}: a row has one label; give one file of references")
    return row[0]


def _numbers(texts: Sequence[str], place: str) -> "np.ndarray":
    import numpy as np

    wrong = next(((row, text) for row, text in enumerate(texts, start=1) if not _is_number(text)), None)
    if wrong:
        raise InputError(f"{place}: row {wrong[0]}: {_shown(wrong[1])} is not a number")
    return np.array(texts, dtype=np.float64)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def confusion(logits: "np.ndarray", labels: "np.ndarray", names: Sequence[str]) -> dict[str, Any]:
    """The confusion matrix for JSON: rows are true classes, columns are predicted ones."""
    from hf_seq2seq.metrics.classification import confusion_matrix

    return {"labels": list(names), "matrix": confusion_matrix(logits, labels).tolist()}


def print_confusion(found: Mapping[str, Any]) -> None:
    """Prints the matrix with class names: true ones left of the rows, predicted ones above the columns."""
    names, matrix = found["labels"], found["matrix"]
    first = max(len("true \\ predicted"), *map(len, names))
    widths = [max(len(name), *(len(str(row[place])) for row in matrix)) for place, name in enumerate(names)]
    print()
    for title, cells in [("true \\ predicted", names), *zip(names, matrix, strict=True)]:
        print("  ".join([f"{title:{first}}", *(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))]))
