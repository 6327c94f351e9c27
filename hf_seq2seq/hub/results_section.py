"""The results section of a model card: scores by split, how they were computed, and the plots."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_seq2seq.data.evaluation_sets import RESULTS, kind_of, learned_by_heart, name_of, sets_of, split_of, title_of
from hf_seq2seq.data.tokenizers.unknown import TOO_LOW, percent
from hf_seq2seq.hub.intervals import Intervals
from hf_seq2seq.hub.markdown import code, table
from hf_seq2seq.hub.metadata import SCORES, scores
from hf_seq2seq.metrics import LABEL_METRICS, TEXT_METRICS, check_metrics
from hf_seq2seq.sections import flatten
from hf_seq2seq.task import Task

LOSSES = ("loss", "masked_loss", "target_loss")
CORRELATIONS = ("matthews", "pearson", "spearman")
NOT_PERCENT = (*LOSSES, *CORRELATIONS, "perplexity", "bits_per_byte", "mse", "levenshtein", "cider", "cider_d")
BRACKETS = " In brackets: bootstrap 95 % confidence intervals."
PICTURES = {"loss*.png": "loss", "confusion*.png": "confusion matrix"}


def results_section(
    folder: Path,
    task: Task,
    results: dict[str, float],
    intervals: Intervals,
    predictions: Mapping[str, Any] | None = None,
) -> list[str]:
    """Paragraphs with the scores of the run and the plots in its folder.

    Args:
        folder: the run's folder.
        task: the trained task.
        results: all results, by name.
        intervals: lower and upper bounds of scores, by the same names, where estimated.
        predictions: texts or logits by split, for splits that have any.
    """
    measured = scores(results, task)
    if not measured:
        scored = len(task.splits) > 1
        why = "the model is not scored yet" if scored else "the run had neither validation nor test rows"
        return [f"Nothing was evaluated: {why}.", *_pictures(folder)]
    keys = dict.fromkeys(key for found in measured.values() for key in found)
    rows = [[score_title(task, key), *score_cells(key, list(measured), results, intervals)] for key in keys]
    signatures, doubts = _signatures(task), _doubts(task, predictions or {})
    titles = [title_of(split) if split in task.splits else f"{split}, mean" for split in measured]
    return [
        table(["Score", *titles], rows),
        *(f"{line}." for line in learned_by_heart(flatten(task.config))),
        f"Arrows show which direction is better. {task.problem.units}{BRACKETS if intervals else ''}",
        *_unknown(results),
        *(["\n".join(f"- {name}: {code(text)}" for name, text in signatures.items())] if signatures else []),
        *(["\n".join(f"- {line}" for line in doubts)] if doubts else []),
        *_pictures(folder),
    ]


def _doubts(task: Task, predictions: Mapping[str, Any]) -> list[str]:
    """Warnings about misleading scores."""
    found = []
    for split, said in predictions.items():
        references = task.splits[split].references if split in task.splits else None
        for name, metric in check_metrics(task.metrics_of(split), TEXT_METRICS | LABEL_METRICS).items():
            count = metric.doubts(said, references) if metric.doubts is not None and references is not None else 0
            if count:
                found.append(f"{title_of(split)}, {name}: in {count} of {len(said)} rows {metric.doubt}")
    return found


def _unknown(results: dict[str, float]) -> list[str]:
    """A warning if likelihoods include unknown tokens."""
    shares = [value for key, value in results.items() if key.endswith("_unknown_tokens")]
    if not shares:
        return []
    return [f"Up to {percent(max(shares)).replace('%', ' %')} of the tokens are unknown. {TOO_LOW}"]


def _pictures(folder: Path) -> list[str]:
    found = [(path, title) for pattern, title in PICTURES.items() for path in sorted(folder.glob(pattern))]
    return [f"![{' '.join([title, *path.stem.split('_')[1:]])}]({path.name})" for path, title in found]


def score_title(task: Task, key: str) -> str:
    """The name of a score, with an arrow for the better direction."""
    metrics = check_metrics(task.metrics, TEXT_METRICS | LABEL_METRICS).values()
    rises = next((metric.greater_is_better for metric in metrics if key in metric.keys), key.endswith("_accuracy"))
    return f"{SCORES.get(key, (key, key))[0]} {'↑' if rises else '↓'}"


def _number(key: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if key in NOT_PERCENT or key not in SCORES else f"{value:.2f}"


def score_cells(key: str, splits: list[str], results: dict[str, float], intervals: Intervals) -> list[str]:
    """A score of each split, with its interval; an empty text if it was not computed."""
    return [_shown(split, key, results, intervals) for split in splits]


def _shown(split: str, key: str, results: dict[str, float], intervals: Intervals) -> str:
    """A score, with its interval in brackets."""
    name = f"{split_of(RESULTS[kind_of(split)], name_of(split))}_{key}"
    score = _number(key, results.get(name))
    if not score or name not in intervals:
        return score
    least, most = intervals[name]
    return f"{score} ({_number(key, least)}–{_number(key, most)})"


def _signatures(task: Task) -> dict[str, str]:
    """How scores were computed, keyed by metric, from the last set that has it."""
    found = {}
    for split in (split for kind in RESULTS for split in sets_of(task.splits, kind)):
        references = task.splits[split].references
        for name, metric in check_metrics(task.metrics_of(split), TEXT_METRICS | LABEL_METRICS).items():
            if metric.signature is not None and references is not None:
                found[name] = metric.signature(references)
    return found
