"""Trackers of a run: one that goes on is one run to them, and no step of it stands there twice."""

import uuid
from typing import Any

from accelerate import Accelerator

from hf_seq2seq.configs import RunConfig
from hf_seq2seq.sections import flatten
from hf_seq2seq.training.state import State

PROJECT = "hf-seq2seq"


def start_trackers(accelerator: Accelerator, config: RunConfig, state: State) -> None:
    """Starts the trackers that `--report-to` names, or goes on with those of the run that the state is of.

    Args:
        accelerator: was made with their names.
        config: the recipe's; noted by trackers of a run that begins.
        state: is given a name for the run where it has none.
    """
    if not config.run.report_to:
        return
    state.run_id = state.run_id or uuid.uuid4().hex[:12]
    settings = tracker_settings(state)
    noted = {name: str(value) for name, value in flatten(config).items()} if not state.global_step else None
    accelerator.init_trackers(PROJECT, noted, {name: settings[name] for name in config.run.report_to})


def tracker_settings(state: State) -> dict[str, dict[str, Any]]:
    """What each tracker is started with, so that it takes a run for the one that the state is of.

    TensorBoard drops what a killed run wrote beyond its last checkpoint; Weights & Biases and Trackio know a run by its
    name, and the former keeps the first value of a step that comes again.
    """
    return {
        "tensorboard": {"purge_step": state.global_step + 1},
        "wandb": {"id": state.run_id, "resume": "allow"},
        "trackio": {"name": state.run_id, "resume": "allow"},
    }
