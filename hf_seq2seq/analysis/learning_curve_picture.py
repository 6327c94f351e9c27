"""A learning curve as a picture: scores by training rows, the fitted law, and its interval beyond the largest size."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hf_seq2seq.analysis.learning_curves import Curve
from hf_seq2seq.analysis.pictures import TRAINING, VALIDATION

BEYOND = 4  # times the largest size


def draw_learning_curve(curve: Curve, rows: Sequence[int], scores: Sequence[float], metric: str, picture: Path) -> None:
    """Plots scores over rows, on a logarithmic axis, with the law and the interval of a further run.

    Args:
        curve: the law.
        rows: of each run.
        scores: of each run.
        metric: the name of the score.
        picture: the PNG file to write.
    """
    figure = Figure(figsize=(7, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    along = np.geomspace(min(rows), BEYOND * curve.largest, 80)
    fitted, low, high = np.array([curve.predicted(float(each)) for each in along]).T
    axes.fill_between(along, low, high, color=TRAINING, alpha=0.2, linewidth=0, label=f"{curve.confidence:g} %")
    axes.plot(along, fitted, color=TRAINING, label="power law")
    axes.plot(rows, scores, "o", color=VALIDATION, label="runs")
    axes.axvline(curve.largest, color="#888888", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_xlabel("training rows")
    axes.set_ylabel(metric)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(picture, format="png")
