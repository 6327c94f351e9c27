"""The files of a model folder: weights as safetensors, tokenizers, generation settings, the run's configuration."""

import json
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file
from torch import Tensor

from hf_seq2seq.configs import flatten
from hf_seq2seq.training.precision import Weights
from hf_seq2seq.training.task import Task

WEIGHTS_FILE = "model.safetensors"
RUN_FILE = "run.yaml"


def write_model(folder: Path, task: Task, state: dict[str, Tensor]) -> None:
    """Writes all that `from_pretrained` and this project's commands need to use the model."""
    model = task.model
    set_output_length(task)
    dtype, model.config.dtype = model.config.dtype, "float32"
    try:
        model.save_pretrained(folder, state_dict=state, max_shard_size="1000GB")
    finally:
        model.config.dtype = dtype
    task.tokenizers.save(folder)
    write_run_file(folder, task)


def write_run_file(folder: Path, task: Task) -> None:
    """Writes the resolved configuration, which runs again as it is."""
    values = {"recipe": task.recipe} | flatten(task.config)
    (folder / RUN_FILE).write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def set_output_length(task: Task) -> None:
    """Puts the one output length into the generation settings that are saved with a model."""
    settings = getattr(task.model, "generation_config", None)
    if task.problem in ("seq2seq", "causal_lm") and settings is not None:
        settings.max_length = None
        settings.max_new_tokens = task.config.tokens.max_target_length


def load_weights(weights: Weights, folder: Path) -> None:
    """Restores the weights of a checkpoint folder."""
    weights.load_state_dict(load_file(folder / WEIGHTS_FILE))


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes JSON beside its place and renames it."""
    draft = path.with_name(path.name + ".writing")
    draft.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    draft.replace(path)
