"""Which test rows of a classifier stand in its training rows, too."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hf_seq2seq.analysis.near_duplicates import NearDuplicates
from hf_seq2seq.data.labelled_texts import Labelled
from hf_seq2seq.decoding.classification import TextClassifier
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.compared_rows import own_training_file
from hf_seq2seq.evaluation.model_scoring import labelled_rows
from hf_seq2seq.reports.request import Request


def training_rows(request: Request, classifier: TextClassifier, run: Mapping[str, Any]) -> tuple[Labelled, str] | None:
    """The rows of `--train-file`, or of the run's own file; None where that is not known or not there.

    Raises:
        InputError: the file asked for cannot be read.
    """
    asked = request.config.report.train_file
    file = own_training_file(run) if asked is None else asked
    if file is None:
        return None
    rows = replace(request.config.rows, test_file=file, dataset_name=None, test_split=None)
    first = run.get("max_train_samples") if run.get("train_samples_seed") is None else None
    rows = replace(rows, max_predict_samples=None if asked else first)
    try:
        (found,) = labelled_rows(rows, classifier, dict(run), "analyze").values()
    except InputError:
        if asked is not None:
            raise
        return None
    return found, file


def overlap_of(test: Labelled, training: Labelled, place: str) -> dict[str, Any]:
    """The training row that is most like each test row, of those similar enough.

    Returns:
        `place`; and `rows`, with numbers from 0: `row`, `training_row`, `similarity`, whether the texts are the same
        (`exact`) and the labels are (`same_label`), and `training_text`.
    """
    wanted = texts_of(test)
    index, best = NearDuplicates(wanted), dict[int, tuple[bool, float, int]]()
    others = texts_of(training)
    for number, text in enumerate(others):
        for row, alike in index.like(text):
            key = (text.strip() == wanted[row].strip(), alike, -number)
            best[row] = max(key, best.get(row, key))
    rows = [
        {
            "row": row,
            "training_row": -number,
            "similarity": alike,
            "exact": exact,
            "same_label": bool(np.array_equal(test.labels[row], training.labels[-number])),
            "training_text": others[-number],
        }
        for row, (exact, alike, number) in sorted(best.items())
    ]
    return {"place": place, "rows": rows}


def texts_of(rows: Labelled) -> Sequence[str]:
    """The texts, and pairs as one text each."""
    if rows.pairs is None:
        return rows.texts
    return [f"{text}\n{pair}" for text, pair in zip(rows.texts, rows.pairs, strict=True)]
