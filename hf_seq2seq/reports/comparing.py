"""`compare`: scores several systems on the same test rows, and writes the table, the page and the figures."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from hf_seq2seq.analysis.comparison_page import PAGE, markdown, write_comparison
from hf_seq2seq.analysis.sections.lengths import unit_of
from hf_seq2seq.configs import PairData
from hf_seq2seq.data.evaluation_sets import check_files
from hf_seq2seq.evaluation.compared_rows import (
    ComparedRows,
    CompareRequest,
    find_rows,
    training_words,
    with_outputs,
)
from hf_seq2seq.evaluation.compared_systems import COSTS, FASTER_IS_CHEAPER, ComparedSystem
from hf_seq2seq.evaluation.comparison_scores import (
    Draws,
    Resampling,
    Scored,
    by_length,
    compare_pairs,
    part_worth,
    score_systems,
)
from hf_seq2seq.evaluation.comparison_texts import agreement, by_frequency, marked, ngrams_apart, rows_apart
from hf_seq2seq.folders import locked_folder
from hf_seq2seq.inference import DEFAULT_METRICS
from hf_seq2seq.metrics import TEXT_METRICS, check_metrics, trained_metrics
from hf_seq2seq.metrics.metric import Metric
from hf_seq2seq.metrics.words import words

POOR = ("bleu", "exact_match", "word_error_rate")
"""Metrics that give most single rows 0: those are scored by another one."""
USUAL_FOR_ROWS = "chrf"
Found = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Attributes:
        folder: of the page, the table, the figures and the pictures.
        figures: all numbers, as in `comparison.json`: `systems`, `pairs`, `by_length`, `by_frequency`, `apart`.
    """

    folder: Path
    figures: Found

    @property
    def page(self) -> Path:
        """The page to open with a browser."""
        return self.folder / PAGE

    @property
    def table(self) -> str:
        """The table of scores and costs, as Markdown."""
        return "\n".join(markdown(self.figures))


def compare_systems(request: CompareRequest) -> Comparison:
    """Compares systems, and writes the files.

    Raises:
        InputError: systems have no common test rows, metrics do not suit texts, flags conflict, or the folder cannot be
            written.
    """
    asked = request.config.comparing
    folder = Path(asked.output_dir)
    if asked.train_file is not None:
        check_files(PairData(train_file=asked.train_file))
    with locked_folder(folder):
        metrics = _metrics(request)
        rows = find_rows(request)
        systems = with_outputs(request, rows)
        found = figures_of(request, systems, rows, metrics)
        write_comparison(folder, found)
    return Comparison(folder, found)


def _metrics(request: CompareRequest) -> dict[str, Metric]:
    """The metrics of texts that were asked for, or those of the first run that has any."""
    names = request.config.comparing.metrics
    if names:
        return check_metrics(names, TEXT_METRICS)
    first = next((run for run in request.runs if run.settings.get("metrics")), None)
    if first is None:
        return check_metrics(DEFAULT_METRICS, TEXT_METRICS)
    fit = [name for name in first.settings["metrics"] if name.partition(":")[0] in TEXT_METRICS]
    return check_metrics(trained_metrics(fit or DEFAULT_METRICS, TEXT_METRICS, first.place), TEXT_METRICS)


def figures_of(
    request: CompareRequest, systems: Sequence[ComparedSystem], rows: ComparedRows, metrics: Mapping[str, Metric]
) -> Found:
    """All figures of a comparison; see docs/comparing.md."""
    asked = request.config.comparing
    resampling = Resampling(asked.confidence, asked.resamples, asked.resampling_seed)
    row_metric = _row_metric(metrics)
    every = dict(metrics) | {row_metric: TEXT_METRICS[row_metric]} if row_metric not in metrics else dict(metrics)
    outputs = {system.name: [run.predictions or [] for run in system.runs] for system in systems}
    scored = [Scored(name, n, runs, rows.references, every) for n, (name, runs) in enumerate(outputs.items())]
    scored[0].corpora[0].tell_doubts()
    shown = [_only(system, metrics) for system in scored]
    draws = Draws(shown, resampling)
    keys = {key: metric.greater_is_better for metric in metrics.values() for key in metric.keys}
    first = next(iter(metrics))
    found: Found = {
        "test_set": rows.place,
        "rows": len(rows.references),
        "metrics": keys,
        "first_metric": first,
        "first_key": metrics[first].keys[0],
        "row_metric": row_metric,
        "costs": COSTS,
        "more_is_cheaper": list(FASTER_IS_CHEAPER),
        "resampling": {"confidence": asked.confidence, "bs": asked.resamples, "seed": asked.resampling_seed},
        "signatures": scored[0].corpora[0].signatures(),
        "systems": [
            _system(system, scores) for system, scores in zip(systems, score_systems(shown, draws), strict=True)
        ],
        "pairs": compare_pairs(shown, draws),
    }
    if len(next(iter(request.settings.values()), ())) > 1:
        found["parts"] = part_worth(list(outputs), request.settings, draws, list(keys))
    row_scores = {system.name: system.row_scores(row_metric) for system in scored}
    for pair in found["pairs"]:
        names = pair["first"], pair["second"]
        first_runs = [outputs[name][0] for name in names]
        pair["agreement"] = agreement(first_runs, rows.references, [row_scores[name] for name in names])
    found |= {
        "by_length": _by_length(shown, rows, first, resampling),
        "by_frequency": _by_frequency(request, outputs, rows),
        "apart": _apart(outputs, rows, row_scores, every[row_metric].greater_is_better, asked.show),
    }
    return found


def _row_metric(metrics: Mapping[str, Metric]) -> str:
    """The first metric that suits single rows."""
    fit = [n for n, metric in metrics.items() if metric.statistics and metric.streams and n in TEXT_METRICS]
    return next((name for name in fit if name not in POOR), USUAL_FOR_ROWS)


def _only(system: Scored, metrics: Mapping[str, Metric]) -> Scored:
    """A system by the metrics that are shown; the outputs are not scored again."""
    found = Scored.__new__(Scored)
    found.__dict__ |= system.__dict__ | {"metrics": metrics}
    return found


def _system(system: ComparedSystem, scores: Found) -> Found:
    """A system's scores, its costs and its runs."""
    texts = [run.predictions or [] for run in system.runs]
    found: Found = {
        "name": system.name,
        "scores": scores,
        "costs": system.costs,
        "runs": [{"place": run.place, "seed": run.settings.get("seed"), "costs": run.costs} for run in system.runs],
        "empty_outputs": sum(not text.strip() for each in texts for text in each) / len(texts),
    }
    if len(texts) > 1:
        pairs = itertools.combinations(texts, 2)
        found["seeds_identical"] = 100 * mean(
            float(np.mean([x.strip() == y.strip() for x, y in zip(a, b, strict=True)])) for a, b in pairs
        )
    return found


def _by_length(systems: Sequence[Scored], rows: ComparedRows, metric: str, resampling: Resampling) -> Found:
    """Scores by the length of the source, or of the reference where no sources are known."""
    texts = list(map(source_text, rows.sources)) or [accepted[0] for accepted in rows.references]
    lengths = [len(text.split()) for text in texts]
    unit = unit_of(lengths)
    if unit == "characters":
        lengths = list(map(len, texts))
    groups = by_length(systems, lengths, metric, resampling)
    return {"text": "source" if rows.sources else "reference", "unit": unit, "groups": groups}


def source_text(source: Any) -> str:
    """A source as one text; of a conversation, all its messages."""
    return source if isinstance(source, str) else "\n".join(str(message["content"]) for message in source)


def _by_frequency(request: CompareRequest, outputs: Mapping[str, Sequence[Sequence[str]]], rows: ComparedRows) -> Found:
    """F1 of words by their frequency in training, or in the references where no training rows are known."""
    known = training_words(request, rows)
    if known is None:
        counts = Counter(word for accepted in rows.references for word in words(accepted[0]))
        known = counts, "the references, since no training rows are known (--train-file)"
    return {"counted_in": known[1], "groups": by_frequency(outputs, rows.references, known[0])}


def _apart(
    outputs: Mapping[str, Sequence[list[str]]],
    rows: ComparedRows,
    scores: Mapping[str, np.ndarray],
    greater: bool,
    most: int,
) -> list[Found]:
    """For every system but the first: the n-grams and rows in which it and the first one are better."""
    first, *others = outputs
    found = []
    for name in others:
        texts = outputs[name][0], outputs[first][0]
        apart = rows_apart((scores[name], scores[first]), greater, most, texts)
        grams = ngrams_apart(outputs[name], outputs[first], rows.references, most)
        shown = [_row(row, difference, texts, rows) for row, difference in apart]
        found.append({"first": name, "second": first, "ngrams": grams, "rows": shown})
    return found


def _row(row: int, difference: float, texts: tuple[list[str], list[str]], rows: ComparedRows) -> Found:
    own, other = marked(texts[0][row], texts[1][row])
    return {
        "row": row + 1,
        "difference": difference,
        "source": source_text(rows.sources[row]) if rows.sources else None,
        "first": own,
        "second": other,
        "references": rows.references[row],
    }
