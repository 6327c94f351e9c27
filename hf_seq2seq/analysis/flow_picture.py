"""How gradients flow through layers and along time, as a picture."""

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hf_seq2seq.analysis.pictures import LINES


def draw_gradient_flow(log: Path, picture: Path) -> None:
    """Plots the last measurement of a run; nothing if it has none.

    Args:
        log: one JSON object per line, of which those with "gradient_flow" are read.
        picture: the PNG file to write.
    """
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if '"gradient_flow"' in line]
    if not lines:
        return
    flow, states = lines[-1]["gradient_flow"], lines[-1]["gradient_flow"].get("states", {})
    names = list(flow["gradient_norm"])
    panels = 2 if states else 1
    figure = Figure(figsize=(7 * panels, max(4, 0.25 * len(names))), dpi=150, layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for color, (key, label) in zip(
        LINES, {"gradient_norm": "norm of the gradient", "update_ratio": "update / weights"}.items(), strict=False
    ):
        axes[0].plot([flow[key][name] for name in names], range(len(names)), "o", color=color, label=label)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_xscale("log")
    axes[0].legend(frameon=False)
    axes[0].set_title(f"step {lines[-1]['step']}")
    if states:
        _draw_states(axes[1], states)
    figure.savefig(picture, format="png")


def _draw_states(axes: Axes, states: dict[str, Any]) -> None:
    for color, (name, flow) in zip(LINES * len(states), states.items(), strict=False):
        axes.plot(flow["gradient_norm"], "-", color=color, label=f"{name}: gradient")
        axes.plot(flow["jacobian_product_norm"], ":", color=color, label=f"{name}: product of Jacobians to the end")
    axes.set_yscale("log")
    axes.set_xlabel("step of the layer")
    axes.legend(frameon=False, fontsize="small")
