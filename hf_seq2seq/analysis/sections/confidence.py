"""Whether the model knows when it is right: confidence against quality, reliability, and the scores of all rows.

Paper: Guo et al. 2017, On calibration of modern neural networks (ECE), https://proceedings.mlr.press/v70/guo17a.html
"""

from typing import Any

import numpy as np

from hf_seq2seq.analysis.records import Record, Section, Table
from hf_seq2seq.analysis.svg import columns, lines
from hf_seq2seq.decoding.label_kinds import THRESHOLD

BINS = 10


def confidence(record: Record) -> Section | None:
    """Reliability of the probability of whole outputs, and the score by confidence."""
    figures, key = record.figures, record.facts["key"]
    labels = record.facts["task"] == "labels"
    if record.facts.get("problem") == "regression":
        return None
    if not record.supervised:
        return _alone(figures["confidence"], labels)
    sure, right = _decisions(record) if labels else (np.exp(figures["log_prob"]), figures["exact"])
    known = ~np.isnan(sure)
    bins = reliability(sure[known], right[known])
    numbers: dict[str, Any] = {"bins": bins, "ece": expected_error(bins)}
    points = {"outputs": [(each["confidence"], each["right"]) for each in bins]}
    pictures = {"reliability": lines(points, "share that is right", "probability of the output", diagonal=True)}
    head = ("from", "to", "rows", "mean probability", "share right")
    tables = [Table("Reliability", head, [list(each.values()) for each in bins])]
    text = [
        f"Expected calibration error: {100 * numbers['ece']:.1f} points between the probability of an output and the "
        "share of outputs that are right, averaged over rows"
        + (" and labels" if record.facts.get("problem") == "multi_label" else "")
        + ". Points under the dashed line are overconfident.",
    ]
    if not labels:
        numbers |= {
            "spearman": rank_correlation(figures["confidence"], figures["score"]),
            "scores": _histogram(figures["score"]),
        }
        text.append(
            f"Rank correlation of the confidence (geometric mean of the tokens' probabilities) with {key}: "
            f"{numbers['spearman']:.2f}. Right is an output that equals a reference, which few do in tasks with many "
            "right answers: there the correlation says more."
        )
        names = [f"{each['from']:.3g}" for each in numbers["scores"]]
        shares = [each["rows"] for each in numbers["scores"]]
        pictures["scores"] = columns(names, shares, "rows", f"{key} of the row, from")
    return Section("Confidence", tuple(text), numbers, tuple(tables), pictures)


def _decisions(record: Record) -> tuple[np.ndarray, np.ndarray]:
    """Of a classifier: the probability of what it decides, and whether that is right; with several labels, of each."""
    if record.facts.get("problem") != "multi_label":
        return record.figures["confidence"], record.figures["exact"]
    scores, truth = record.labels["scores"], record.labels["truth"] > 0.5
    right = (scores > THRESHOLD) == truth
    return np.maximum(scores, 1 - scores).reshape(-1), right.reshape(-1).astype(np.float64)


def _alone(sure: np.ndarray, labels: bool) -> Section:
    """How sure the model is, where nothing says whether it is right."""
    found = _histogram(sure)
    names, shares = [f"{each['from']:.3g}" for each in found], [each["rows"] for each in found]
    what = (
        "probability of the predicted class" if labels else "geometric mean of the probabilities of the output's tokens"
    )
    text = f"Rows by the {what}."
    picture = columns(names, shares, "rows", "confidence of the row, from")
    return Section("Confidence", (text,), {"confidences": found}, (), {"confidences": picture})


def reliability(sure: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """Rows by probability in tenths: how many, their mean probability, and the share that is right."""
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    found = []
    for number in range(BINS):
        rows = places == number
        if rows.any():
            ends = {"from": number / BINS, "to": (number + 1) / BINS, "rows": int(rows.sum())}
            found.append(ends | {"confidence": float(sure[rows].mean()), "right": float(right[rows].mean())})
    return found


def expected_error(bins: list[dict[str, float]]) -> float:
    """Distance of probability and share of right rows, averaged over rows."""
    rows = sum(each["rows"] for each in bins)
    return float(sum(each["rows"] * abs(each["confidence"] - each["right"]) for each in bins) / max(1, rows))


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation of the rows that have both, ties ranked by their mean; NaN without a spread."""
    known = ~np.isnan(first) & ~np.isnan(second)
    if known.sum() < 2:
        return float("nan")
    ranks = [_ranks(values[known]) for values in (first, second)]
    if min(rank.std() for rank in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places])


def _histogram(values: np.ndarray) -> list[dict[str, float]]:
    counts, edges = np.histogram(values[np.isfinite(values)], bins=BINS)
    return [{"from": float(low), "rows": int(count)} for low, count in zip(edges[:-1], counts, strict=True)]
