"""A final model that is the mean of several checkpoints, instead of the best one.

Paper: Vaswani et al., 2017, section 6.1, https://arxiv.org/abs/1706.03762, which averages the last 5 or 20 checkpoints.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from hf_seq2seq.objectives.objective import Objective
from hf_seq2seq.training.damage import damage
from hf_seq2seq.training.files import load_weights
from hf_seq2seq.training.state import State
from hf_seq2seq.training.weights.moving_average import local_parts
from hf_seq2seq.training.weights.precision import Weights
from hf_seq2seq.training_options import Averaging


def averaged_steps(state: State, options: Averaging, around: str | None = None) -> list[int]:
    """Steps of the checkpoints whose mean is the final model; all there are if they are fewer than asked for.

    Args:
        state: has the steps of the checkpoints that the schedule asked for, and the best one.
        options: how many, and which.
        around: "last" or "best", if not the options'.
    """
    count, steps = options.average_checkpoints or 0, state.averaged_steps
    start = max(0, len(steps) - count)
    best = [step for step in steps if f"checkpoint-{step}" == state.best_model_checkpoint]
    if best and (around or options.average_around) == "best":
        start = min(start, max(0, steps.index(best[0]) - (count - 1) // 2))
    return steps[start : start + count]


def needed_later(state: State, options: Averaging) -> set[str]:
    """Names of the checkpoints that the mean at the end may include, and that must not be deleted."""
    steps = {*averaged_steps(state, options, "last"), *averaged_steps(state, options)}
    return {f"checkpoint-{step}" for step in steps}


def load_mean(
    weights: Weights, folder: Path, state: State, options: Averaging, objective: Objective
) -> tuple[list[str], list[str]]:
    """Loads the mean of a run's checkpoints, summed in float64; nothing if there are not two of them.

    Returns:
        The names of the checkpoints, and those that are missing or damaged.
    """
    wanted = [f"checkpoint-{step}" for step in averaged_steps(state, options)]
    found = [name for name in wanted if not damage(folder / name)]
    if len(found) > 1:
        _load_mean(weights, [folder / name for name in found], objective)
    return found, [name for name in wanted if name not in found]


@torch.no_grad()
def _load_mean(weights: Weights, folders: Sequence[Path], objective: Objective) -> None:
    load_weights(weights, folders[0], objective)
    sums = [part.double() for part in local_parts(weights)]
    for folder in folders[1:]:
        load_weights(weights, folder, objective)
        torch._foreach_add_(sums, [part.double() for part in local_parts(weights)])
    for part, total in zip(local_parts(weights), sums, strict=True):
        part.copy_(total / len(folders))
    weights.sync_from_master()
