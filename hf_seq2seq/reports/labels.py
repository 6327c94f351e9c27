"""The record of a classifier: logits and labels of every row."""

from pathlib import Path
from typing import Any

import numpy as np

from hf_seq2seq import strict_json
from hf_seq2seq.analysis.records import Record
from hf_seq2seq.decoding.counts import Counts
from hf_seq2seq.decoding.pipeline import check_lengths
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.model_scoring import Loaded, labelled_rows
from hf_seq2seq.metrics import LABEL_DEFAULTS, check_metrics, metrics_for
from hf_seq2seq.reports.folder import make_folder
from hf_seq2seq.reports.request import Request
from hf_seq2seq.reports.shown_rows import chosen_rows, one_set, rows_to_show


def read_labels(request: Request, loaded: Loaded, file: Path) -> tuple[Record, Counts, tuple[int | None, int | None]]:
    """Reads the test rows of a classifier.

    Returns:
        The record, counts of the texts, and the maximum length of a text.

    Raises:
        InputError: it does not predict one label per row, or there are no test rows.
    """
    from hf_seq2seq.decoding.classification import TextClassifier, probabilities

    network, tokenizer, settings = loaded
    config = request.config
    check_lengths(config.model, settings)
    limit = config.model.max_source_length or settings.max_source_length
    size = config.decoding.per_device_eval_batch_size
    classifier = TextClassifier(network, tokenizer, size, limit, request.advance)
    if not classifier.kind.is_class:
        raise InputError("analyze: this classifier predicts several labels, or a number; one label per row is needed")
    rows = one_set(labelled_rows(config.rows, classifier, settings.run, "analyze"))
    chosen = chosen_rows(config.report, len(rows.texts))
    logits, counts = classifier.read(rows.texts, rows.pairs)
    scores, truth = probabilities(logits, classifier.scoring), np.asarray(rows.labels)
    names = list(classifier.label_names)
    _write_rows(file, rows, scores, truth, names)
    record = _record(request, network, rows, (scores, truth, names), limit, file)
    why = rows_to_show(record, config.report, chosen)
    record.shown.update({n: row | {"why": why[n]} for n, row in enumerate(record.rows()) if n in why})
    return record, counts, (limit, None)


def _write_rows(file: Path, rows: Any, scores: np.ndarray, truth: np.ndarray, names: list[str]) -> None:
    make_folder(file.parent)
    with open_draft(file) as stream:
        for number, text in enumerate(rows.texts):
            line = {"source": text, "output": names[int(scores[number].argmax())]}
            line |= {"references": [names[int(truth[number])]], "confidence": round(float(scores[number].max()), 6)}
            if rows.pairs is not None:
                line["pair"] = rows.pairs[number]
            stream.write(strict_json.dumps(line, ensure_ascii=False) + "\n")


def _record(
    request: Request,
    network: Any,
    rows: Any,
    labels: tuple[np.ndarray, np.ndarray, list[str]],
    limit: int | None,
    file: Path,
) -> Record:
    """The record, in which a row's score is the probability of its true label."""
    scores, truth, names = labels
    name = request.config.report.metric or LABEL_DEFAULTS["single_label"][0]
    metric = check_metrics((name,), metrics_for("single_label"))[name]
    report = request.config.report
    facts = {
        "model": request.path,
        "kind": network.config.model_type,
        "task": "labels",
        "rows": len(truth),
        "metric": name,
        "key": metric.keys[0],
        "higher_is_better": metric.greater_is_better,
        "classes": len(names),
        "max_source_length": limit,
        "attends": False,
        "confidence": report.confidence,
        "resamples": report.resamples,
        "resampling_seed": report.resampling_seed,
    }
    figures = {
        "score": 100 * scores[np.arange(len(truth)), truth].astype(np.float64),
        "exact": (scores.argmax(1) == truth).astype(np.float64),
        "confidence": scores.max(1).astype(np.float64),
        "source_tokens": np.array([len(text.split()) for text in rows.texts], dtype=np.float64),
        "source_words": np.array([len(text.split()) for text in rows.texts], dtype=np.float64),
    }
    made = {"scores": scores, "truth": truth, "names": names}
    return Record(facts, figures, metric, np.zeros((len(truth), 0)), {}, file, labels=made)
