"""Pictures of a run as PNG files: the course of the loss, and which classes are taken for which."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hf_seq2seq.analysis.fonts import drawable

# Blue and vermilion of Okabe and Ito's palette: distinct to colour-blind readers and in grey.
TRAINING, VALIDATION = "#0072B2", "#D55E00"
COUNTED_CLASSES = 30  # with more, numbers in the cells could not be read


def draw_losses(log: Path, picture: Path) -> None:
    """Draws the training and the validation loss over optimizer steps.

    Args:
        log: a JSON object a line: {"step", "loss"} for training, {"step", "eval_loss"} for an evaluation.
        picture: the PNG file to write.
    """
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    figure = Figure(figsize=(7, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    drawn = [
        _draw_loss(axes, lines, "loss", "training", TRAINING, "-"),
        _draw_loss(axes, lines, "eval_loss", "validation", VALIDATION, "--"),
    ]
    axes.set_xlabel("optimizer steps")
    axes.set_ylabel("loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if any(drawn):
        axes.set_xlim(left=0)
        axes.legend(frameon=False)
    else:
        axes.text(0.5, 0.5, "no loss was logged", ha="center", va="center", transform=axes.transAxes)
    figure.savefig(picture, format="png")


def _draw_loss(axes: Axes, lines: Sequence[dict[str, float]], key: str, label: str, color: str, style: str) -> bool:
    points = [(line["step"], line[key]) for line in lines if key in line]
    if not points:
        return False
    # A few points are marked, as a single one would not show; many are a line.
    marker = "o" if len(points) <= 25 else ""
    axes.plot(*zip(*points, strict=True), color=color, linestyle=style, marker=marker, markersize=4, label=label)
    return True


def draw_confusion(matrix: np.ndarray, label_names: Sequence[str], picture: Path) -> None:
    """Draws which classes are predicted for which: colour is the share of a true class, numbers are rows.

    Args:
        matrix: rows counted by true class (first axis) and predicted class, `(classes, classes)` integers.
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
    size = min(9, 36 / len(str(matrix.max())))  # points, so that the longest number fits its cell
    for true, predicted in np.ndindex(matrix.shape):
        color = "white" if shares[true, predicted] > 0.55 else "black"
        text = str(matrix[true, predicted])
        axes.text(predicted, true, text, ha="center", va="center", color=color, fontsize=size)


def _name_classes(axes: Axes, label_names: Sequence[str], size: float) -> None:
    names, families = drawable(label_names)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    for text in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        text.set(family=families, fontsize=size, parse_math=False)  # a $ in a label is a dollar
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
