"""Plots as PNG files: the loss curve, the confusion matrix, and quality against cost."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hf_seq2seq.analysis.fonts import drawable

# Blue and vermilion of Okabe and Ito's palette: distinct to color-blind readers and in grayscale.
TRAINING, VALIDATION = "#0072B2", "#D55E00"
LINES = (TRAINING, VALIDATION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
FAR = 5  # a loss this many times the next lower one would flatten all others
COUNTED_CLASSES = 30  # with more, the numbers in the cells would be illegible


def draw_losses(log: Path, picture: Path) -> None:
    """Plots the training loss and the validation loss of every set over optimizer steps.

    Non-finite values are crosses at the bottom. A few outliers far above the rest are triangles at the top, so that the
    others keep their scale.

    Args:
        log: one JSON object per line: {"step", "loss"} for training, {"step", "eval_loss"} for an evaluation, with
            "eval_NAME_loss" and "eval_NAME_samples" of each set that has a name.
        picture: the PNG file to write.
    """
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    series = _series(lines)
    figure = Figure(figsize=(7, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    top = _top([value for points in series.values() for _, value in points if math.isfinite(value)])
    for number, (label, points) in enumerate(series.items()):
        if points:
            _draw_loss(axes, points, label, number, top)
    axes.set_xlabel("optimizer steps")
    axes.set_ylabel("loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if any(series.values()):
        axes.set_xlim(left=0)
        axes.legend(frameon=False, ncols=1 + len(series) // 10)
    else:
        axes.text(0.5, 0.5, "no loss was logged", ha="center", va="center", transform=axes.transAxes)
    figure.savefig(picture, format="png")


def _series(lines: Sequence[dict[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Steps and losses of each curve; a non-finite loss is stored as null."""
    sets = dict.fromkeys(
        key[len("eval_") : -len("_samples")]
        for line in lines
        for key in line
        if key.startswith("eval_") and key.endswith("_samples") and key != "eval_samples"
    )
    keys = {"training": "loss", "validation, mean" if len(sets) > 1 else "validation": "eval_loss"}
    keys |= {f"validation {name}": f"eval_{name}_loss" for name in sets} if len(sets) > 1 else {}
    return {
        label: [(line["step"], math.nan if line[key] is None else line[key]) for line in lines if key in line]
        for label, key in keys.items()
    }


def _top(values: Sequence[float]) -> float | None:
    """The highest loss to show, if at most one value in twenty is far above it; None to show all."""
    ordered = sorted(values)
    for left_out in range(1, 1 + max(1, len(ordered) // 20) if len(ordered) >= 5 else 0):
        if 0 < FAR * ordered[-1 - left_out] < ordered[-left_out]:
            return ordered[-1 - left_out]
    return None


def _draw_loss(axes: Axes, points: Sequence[tuple[int, float]], label: str, number: int, top: float | None) -> None:
    """One curve; `number` determines its color and style. Only finite values up to `top` are drawn at their height."""
    color, style = LINES[number % len(LINES)], ("-", "--", ":", "-.")[min(number, 1 + number // len(LINES))]
    steps, values = zip(*points, strict=True)
    seen = [value if math.isfinite(value) and (top is None or value <= top) else math.nan for value in values]
    # Few points get markers, because a single one would be invisible; many form a line.
    marker = "o" if len(points) <= 25 else ""
    axes.plot(steps, seen, color=color, linestyle=style, marker=marker, markersize=4, label=label)
    high = [step for step, value in points if top is not None and math.isfinite(value) and value > top]
    wrong = [step for step, value in points if not math.isfinite(value)]
    edge: Any = {"linestyle": "", "color": color, "clip_on": False, "transform": axes.get_xaxis_transform()}
    if high:
        most = max(value for value in values if math.isfinite(value))
        name = f"{label}: above the picture, up to {most:.3g}"
        axes.plot(high, [0.99] * len(high), marker="^", label=name, **edge)
    if wrong:
        axes.plot(wrong, [0.02] * len(wrong), marker="x", label=f"{label}: not finite", **edge)


def draw_confusion(matrix: np.ndarray, label_names: Sequence[str], picture: Path) -> None:
    """Plots a confusion matrix: color is the share of a true class, numbers are counts of rows.

    Args:
        matrix: counts by true class (first axis) and predicted class, `(classes, classes)` integers.
        label_names: in the order of the ids.
        picture: the PNG file to write.
    """
    classes = len(matrix)
    cell = (0.45 if classes <= COUNTED_CLASSES else 0.2) if classes <= 100 else 20 / classes  # inches
    side = 2.5 + cell * classes
    figure = Figure(figsize=(side + 1.2, side), dpi=150)
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, fraction=0.04, label="share of the true class")
    _name_classes(axes, label_names, size=min(9, 60 * cell))
    if classes <= COUNTED_CLASSES:
        _count_cells(axes, matrix, shares)
    figure.savefig(picture, format="png", bbox_inches="tight")  # room for labels of any length


def _count_cells(axes: Axes, matrix: np.ndarray, shares: np.ndarray) -> None:
    size = min(9, 36 / len(str(matrix.max())))  # points, so that the longest number fits in its cell
    for true, predicted in np.ndindex(matrix.shape):
        color = "white" if shares[true, predicted] > 0.55 else "black"
        text = str(matrix[true, predicted])
        axes.text(predicted, true, text, ha="center", va="center", color=color, fontsize=size)


def _name_classes(axes: Axes, label_names: Sequence[str], size: float) -> None:
    names, families = drawable(label_names)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    for text in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        text.set(family=families, fontsize=size, parse_math=False)  # a $ in a label is a literal dollar sign
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")


@dataclass(frozen=True)
class System:
    """A point of a leaderboard's picture.

    Attributes:
        name: of the system.
        kind: systems of one kind have one colour.
        cost: seconds, above 0 or taken for a hundredth.
        score: its quality.
        complete: whether it was trained to its end; else its point is hollow.
    """

    name: str
    kind: str
    cost: float
    score: float
    complete: bool


def draw_leaderboard(systems: Sequence[System], metric: str, greater: bool, picture: Path) -> None:
    """Draws the score of systems over what they cost; a line joins those that no cheaper one beats.

    Args:
        systems: at least one.
        metric: what the scores are of.
        greater: whether a greater score is better.
        picture: the PNG file to write.
    """
    figure = Figure(figsize=(7, 4.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for number, kind in enumerate(dict.fromkeys(system.kind for system in systems)):
        color = LINES[number % len(LINES)]
        for complete in (True, False):
            points = [(_cost(s), s.score) for s in systems if s.kind == kind and s.complete == complete]
            if points:
                label = kind if complete else f"{kind}, stopped"
                face = color if complete else "none"
                costs, scores = zip(*points, strict=True)
                axes.scatter(costs, scores, s=36, facecolors=face, edgecolors=color, label=label, zorder=3)
    best = frontier(systems, greater)
    axes.plot([_cost(s) for s in best], [s.score for s in best], color="#999999", linewidth=1, zorder=1)
    for number, system in enumerate(best):
        place = (4, -10 if number % 2 else 4)  # above and below in turn, as neighbours may be close
        axes.annotate(system.name, (_cost(system), system.score), xytext=place, textcoords="offset points", fontsize=7)
    axes.set_xscale("log")
    axes.set_xlabel("seconds")
    axes.set_ylabel(f"validation {metric}, {'higher' if greater else 'lower'} is better")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(picture, format="png")


def frontier(systems: Sequence[System], greater: bool) -> list[System]:
    """The systems that are better than every cheaper one, cheapest first."""
    found: list[System] = []
    for system in sorted(systems, key=lambda s: (_cost(s), -s.score if greater else s.score)):
        if not found or (system.score > found[-1].score if greater else system.score < found[-1].score):
            found.append(system)
    return found


def _cost(system: System) -> float:
    return max(system.cost, 0.01)
