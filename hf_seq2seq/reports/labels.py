"""The record of a classifier: scores and labels of every row."""

from pathlib import Path
from typing import Any

import numpy as np

from hf_seq2seq import strict_json
from hf_seq2seq.analysis.records import Record
from hf_seq2seq.data.labelled_texts import Labelled
from hf_seq2seq.decoding.classification import TextClassifier, probabilities, windows_of
from hf_seq2seq.decoding.counts import Counts
from hf_seq2seq.decoding.pipeline import check_lengths
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.evaluation.model_scoring import Loaded, labelled_rows, unlabelled_rows
from hf_seq2seq.metrics import LABEL_DEFAULTS, check_metrics, metrics_for
from hf_seq2seq.reports.decisions import decisions_of
from hf_seq2seq.reports.folder import make_folder
from hf_seq2seq.reports.judged import Judged
from hf_seq2seq.reports.overlap import overlap_of, training_rows
from hf_seq2seq.reports.request import Request
from hf_seq2seq.reports.shown_rows import chosen_rows, one_set, rows_to_show

ROW_SCORES = {
    "single_label": "% for the true label",
    "multi_label": "% for the right decisions, mean",
    "regression": "absolute error",
}
"""What the score of a row is, by problem."""


def read_labels(
    request: Request, loaded: Loaded, folder: Path, file: Path
) -> tuple[Record, Counts, tuple[int | None, int | None]]:
    """Reads the test rows of a classifier, which need no labels.

    Args:
        request: what is to be analyzed.
        loaded: the model.
        folder: of the report, which is made once nothing else can be wrong.
        file: where the rows are written.

    Returns:
        The record, counts of the texts, and the maximum length of a text.

    Raises:
        InputError: there are no test rows, or they do not fit it.
    """
    network, tokenizer, settings = loaded
    config = request.config
    check_lengths(config.model, settings)
    limit = config.model.max_source_length or settings.max_source_length
    size = config.decoding.per_device_eval_batch_size
    windows = windows_of(tokenizer, limit, settings.run)
    classifier = TextClassifier(network, tokenizer, size, limit, request.advance, windows)
    rows = _rows(request, classifier, settings.run)
    chosen = chosen_rows(config.report, len(rows.texts))
    training = training_rows(request, classifier, settings.run)
    logits, counts = classifier.read(rows.texts, rows.pairs)
    scores = probabilities(logits, classifier.scoring)
    judged = Judged(classifier.problem, rows, scores, list(classifier.label_names))
    make_folder(folder)
    _write_rows(file, judged)
    record = _record(request, classifier, judged, file)
    if training is not None and judged.labelled:
        record.overlap.update(overlap_of(rows, *training))
    why = rows_to_show(record, config.report, chosen)
    record.shown.update({n: row | {"why": why[n]} for n, row in enumerate(record.rows()) if n in why})
    record.marked.extend(decisions_of(classifier, judged, why))
    return record, counts, (limit, None)


def _rows(request: Request, classifier: TextClassifier, run: dict[str, Any]) -> Labelled:
    """The test rows; those without labels have an empty array of them."""
    alone = unlabelled_rows(request.config.rows, classifier, run, "analyze")
    if alone is None:
        found: Labelled = one_set(labelled_rows(request.config.rows, classifier, run, "analyze"))
        return found
    texts, pairs = one_set(alone)
    return Labelled(texts, pairs, np.zeros(0), {})


def _write_rows(file: Path, judged: Judged) -> None:
    rows = judged.rows
    sure = judged.figures().get("confidence")
    with open_draft(file) as stream:
        for number, text in enumerate(rows.texts):
            line: dict[str, Any] = {
                "source": text,
                "output": judged.predicted(number),
                "references": [judged.true(number)] if judged.labelled else [],
            }
            if sure is not None:
                line["confidence"] = round(float(sure[number]), 6)
            if rows.pairs is not None:
                line["pair"] = rows.pairs[number]
            stream.write(strict_json.dumps(line, ensure_ascii=False) + "\n")


def _record(request: Request, classifier: TextClassifier, judged: Judged, file: Path) -> Record:
    report, rows = request.config.report, judged.rows
    name = report.metric or LABEL_DEFAULTS[judged.problem][0]
    metric = check_metrics((name,), metrics_for(judged.problem), "--metric")[name]
    facts: dict[str, Any] = {
        "model": request.path,
        "kind": classifier.model.config.model_type,
        "task": "labels",
        "problem": judged.problem,
        "rows": len(rows),
        "references": judged.labelled,
        "metric": name,
        "key": metric.keys[0],
        "row_score": ROW_SCORES[judged.problem],
        "higher_is_better": metric.greater_is_better,
        "classes": None if judged.problem == "regression" else len(judged.names),
        "max_source_length": classifier.max_source_length,
        "attends": False,
        "confidence": report.confidence,
        "resamples": report.resamples,
        "resampling_seed": report.resampling_seed,
    }
    sizes = np.array([len(text.split()) for text in rows.texts], dtype=np.float64)
    figures = judged.figures() | {"source_tokens": sizes, "source_words": sizes}
    made = {"scores": judged.scores, "truth": judged.truth, "names": judged.names}
    return Record(facts, figures, metric, np.zeros((len(rows), 0)), {}, file, labels=made)
