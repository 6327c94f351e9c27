"""The reports of `evaluate`: files against files, and a model's predictions against those of other systems."""

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.scored_files import Files, read_cells, report_empty, score_windows
from hf_seq2seq.evaluation.significance import Significance, report
from hf_seq2seq.inference import DEFAULT_METRICS

Found = dict[str, Any]
NO_LABELS = (
    "--confusion-matrix: counts labels; it needs a classifier, or files and --metrics for labels such as accuracy"
)
_MODEL = "the model"


@dataclass(frozen=True)
class Truth:
    """What predictions are compared with.

    Attributes:
        references: files, or `Texts`; none if no metric compares with references.
        sources: a file of sources, or `Texts`, for metrics that read them.
        columns: of these files, where flags may name them; see `read_cells`.
    """

    references: Sequence[str]
    sources: str | None = None
    columns: Mapping[str, str | None] | None = None


def score_files(
    predictions: str,
    truth: Truth,
    metrics: Sequence[str],
    significance: Significance,
    encoding: str = "utf-8",
    others: Sequence[str] | None = None,
    confusion_matrix: bool = False,
) -> Found:
    """Scores a file of predictions, and the files it is compared with; files may also be texts.

    Args:
        predictions: a file, or `Texts`.
        truth: files of references and sources.
        metrics: names; empty for the default text metrics.
        significance: options of intervals and tests.
        encoding: of text files.
        others: systems to compare with, if not given by `significance`.
        confusion_matrix: also count the rows of each true and predicted label.

    Raises:
        InputError: files do not fit each other or the metrics.
    """
    from hf_seq2seq.metrics import LABEL_METRICS, TEXT_METRICS, check_metrics
    from hf_seq2seq.metrics.corpus import Corpus

    chosen = check_metrics(metrics or DEFAULT_METRICS, TEXT_METRICS | LABEL_METRICS)
    _check_needs(chosen, truth)
    of_texts = ["seq2seq" in metric.problems for metric in chosen.values()]
    if any(of_texts) and confusion_matrix:
        raise InputError(NO_LABELS)
    files = (predictions, *(significance.compare if others is None else others))
    systems = {file: Corpus(chosen, keep=significance.resamples) for file in files}
    may_be_empty = any(metric.empty_rows for metric in chosen.values())
    windows = Files(files, truth.references, encoding, may_be_empty, truth.sources, truth.columns)
    if all(of_texts):
        empty = score_windows(systems, windows, any(metric.aligned for metric in chosen.values()))
        return _with_empty(
            report(systems, chosen, significance), {} if all(metric.empty_rows for metric in chosen.values()) else empty
        )
    from hf_seq2seq.evaluation.scored_labels import confusion, score_labels

    labels = score_labels(systems, chosen, windows, truth.references[0])
    found = report(systems, chosen, significance)
    if confusion_matrix and labels:
        found["confusion_matrix"] = confusion(*labels)
    return found


def _check_needs(metrics: Mapping[str, Any], truth: Truth) -> None:
    """Rejects metrics that need references or sources that are not there."""
    for name, metric in metrics.items():
        if metric.needs_references and not truth.references:
            raise InputError(f"--predictions needs --references: {name} compares with them")
        if metric.needs_sources and truth.sources is None:
            raise InputError(f"--metrics {name}: reads the sources; add --sources FILE")


def read_others(files: Sequence[str], encoding: str) -> dict[str, list[str]]:
    """The predictions of other systems, by file.

    Raises:
        InputError: a file cannot be read, or is named twice.
    """
    if len(set(files)) < len(files):
        raise InputError("--compare: a file is given twice; compare different systems")
    return {file: [str(text) for text in read_cells(file, "prediction", encoding)] for file in files}


def check_others(others: Mapping[str, Sized], sets: Sequence[int]) -> None:
    """Rejects files of other systems whose number of predictions differs from the number of test rows.

    Args:
        others: the result of `read_others`.
        sets: the rows of each test set, of which there must be one.

    Raises:
        InputError: a file is of the wrong length, or there are several sets.
    """
    if others and len(sets) > 1:
        raise InputError(f"--compare: there are {len(sets)} test sets; evaluate one at a time")
    for file, texts in others.items():
        if len(texts) != sets[0]:
            raise InputError(f"--compare {file}: {len(texts)} predictions for {sets[0]} test rows")


def score_rows(
    metrics: Mapping[str, Any],
    predictions: Any,
    truth: Any,
    significance: Significance,
    others: Mapping[str, Any] | None = None,
) -> Found:
    """Scores a model's predictions, texts, logits or likelihoods, and those of the systems it is compared with."""
    from hf_seq2seq.metrics.corpus import Corpus

    found: dict[str, Any] = {_MODEL: predictions, **(others or {})}
    systems = {name: Corpus(metrics, keep=significance.resamples) for name in found}
    for name, corpus in systems.items():
        corpus.add(found[name], truth)
    texts = {name: rows for name, rows in found.items() if isinstance(rows, list)}
    empty = {name: sum(not text.strip() for text in rows) for name, rows in texts.items()}
    return _with_empty(report(systems, metrics, significance), empty)


def joined(first: Found, second: Found) -> Found:
    """Merges two reports with different metrics of the same rows and systems."""
    nested = {key: first[key] | second[key] for key in ("signatures",) if key in first and key in second}
    if "compared" in first:
        nested["compared"] = {name: first["compared"][name] | found for name, found in second["compared"].items()}
    return first | second | nested


def _with_empty(found: Found, empty: Mapping[str, int]) -> Found:
    """Reports how many predictions are empty, for the first system also in the results."""
    report_empty(empty, found["samples"])
    first = next(iter(empty.values()), 0)
    return found | ({"empty_predictions": first} if first else {})
