"""Trackers of a run: a resumed run is the same run to them, and no step is recorded twice."""

import uuid
from typing import Any

from accelerate import Accelerator

from hf_seq2seq.configs import RunConfig
from hf_seq2seq.sections import flatten
from hf_seq2seq.training.state import State

PROJECT = "hf-seq2seq"


def start_trackers(accelerator: Accelerator, config: RunConfig, state: State) -> None:
    """Starts the trackers named by `--report-to`, or resumes those of the state's run.

    Args:
        accelerator: was created with their names.
        config: the recipe's configuration; recorded by trackers of a new run.
        state: gets a name for the run if it has none.
    """
    if not config.run.report_to:
        return
    state.run_id = state.run_id or uuid.uuid4().hex[:12]
    settings = tracker_settings(state)
    noted = {name: str(value) for name, value in flatten(config).items()} if not state.global_step else None
    accelerator.init_trackers(PROJECT, noted, {name: settings[name] for name in config.run.report_to})


def tracker_settings(state: State) -> dict[str, dict[str, Any]]:
    """Start options of each tracker that identify the state's run.

    TensorBoard drops what a killed run wrote after its last checkpoint; Weights & Biases and Trackio identify a run by
    name, and the former keeps the first value of a repeated step.
    """
    return {
        "tensorboard": {"purge_step": state.global_step + 1},
        "wandb": {"id": state.run_id, "resume": "allow"},
        "trackio": {"name": state.run_id, "resume": "allow"},
    }
