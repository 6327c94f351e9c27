"""The files of a model folder: weights as safetensors, tokenizers, generation settings, the run's configuration."""

import json
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from hf_seq2seq import strict_json
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.objectives.objective import Objective
from hf_seq2seq.saved.adapters import is_adapted
from hf_seq2seq.saved.joined_pairs import separate_copies
from hf_seq2seq.saved.model_paths import ADAPTER_FILE, BASE_CONFIG
from hf_seq2seq.saved.run_settings import RUN_FILE
from hf_seq2seq.saved.weight_names import read_weights
from hf_seq2seq.sections import flatten
from hf_seq2seq.task import Task
from hf_seq2seq.training.weights.precision import Weights

MAGNITUDES = "lora_magnitude_vector"
EXTRA_STATE_FILE = "training_head.safetensors"


def write_model(folder: Path, task: Task, state: dict[str, Tensor]) -> None:
    """Writes everything that `from_pretrained` and this project's commands need to use the model."""
    model = task.model
    state = separate_copies(model, task.objective.saved_weights(state))
    set_output_length(task)
    dtype, model.config.dtype = model.config.dtype, "float32"
    try:
        model.save_pretrained(folder, state_dict=state, max_shard_size="1000GB")
        if is_adapted(model):
            write_adapter_base(folder, model)
            _name_magnitudes(folder / ADAPTER_FILE)
    finally:
        model.config.dtype = dtype
    task.tokenizers.save(folder)
    write_run_file(folder, task)


def _name_magnitudes(path: Path) -> None:
    """Gives the magnitudes of DoRA the names by which transformers finds them too; by PEFT's it would not."""
    state = load_file(path)
    if any(name.endswith(MAGNITUDES) for name in state):
        named = {f"{name}.weight" if name.endswith(MAGNITUDES) else name: value for name, value in state.items()}
        save_file(named, path, {"format": "pt"})


def write_adapter_base(folder: Path, model: Any) -> None:
    """Writes an adapter's base model next to it: its configuration and location.

    The configuration has labels and language codes that the base may lack. It is not named config.json, because
    transformers would then look for the base's weights in this folder.
    """
    settings = json.loads(model.config.to_json_string(use_diff=False))
    settings.pop("quantization_config", None)  # it would say that the base's own weights are quantized
    write_json(folder / BASE_CONFIG, settings)
    base = Path(model.name_or_path).expanduser()
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text())
    settings["base_model_name_or_path"] = str(base.resolve()) if base.is_dir() else model.name_or_path
    write_json(path, settings)


def write_run_file(folder: Path, task: Task) -> None:
    """Writes the resolved configuration, with which the run can be repeated."""
    values = {"recipe": task.recipe} | flatten(task.config)
    (folder / RUN_FILE).write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def set_output_length(task: Task) -> None:
    """Sets the maximum output length in the generation settings saved with a model."""
    settings, longest = getattr(task.model, "generation_config", None), task.problem.longest_output
    if longest is not None and settings is not None:
        settings.max_length = None
        settings.max_new_tokens = longest


def write_beside(folder: Path, task: Task, state: dict[str, Tensor]) -> None:
    """Writes the objective's additional state, if any, to a checkpoint."""
    if extra := task.objective.extra_state(state):
        save_file(extra, folder / EXTRA_STATE_FILE)


def load_weights(weights: Weights, folder: Path, objective: Objective) -> None:
    """Restores the weights or adapter of a checkpoint folder, as they were trained."""
    path = folder / EXTRA_STATE_FILE
    extra = load_file(path) if path.is_file() else {}
    if not is_adapted(weights.model):
        weights.load_state_dict(objective.trained_weights(read_weights(weights.model, folder), extra))
        return
    state = weights.model.state_dict()
    saved = weights.model.get_adapter_state_dict(state_dict=state)  # type: ignore[operator]
    names = {id(value): name for name, value in state.items()}  # a tensor's shard has no address to compare
    inside = {f"base_model.model.{name}": names[id(value)] for name, value in saved.items()}
    found = load_file(folder / ADAPTER_FILE)
    loaded = {inside[name.replace(f"{MAGNITUDES}.weight", MAGNITUDES)]: value for name, value in found.items()}
    weights.load_state_dict(objective.trained_weights(loaded, extra))


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes JSON atomically."""
    with open_draft(path) as stream:
        stream.write(strict_json.dumps(values, indent=2, ensure_ascii=False) + "\n")
