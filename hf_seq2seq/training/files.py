"""The files of a model folder: weights as safetensors, tokenizers, generation settings, the run's configuration."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from hf_seq2seq import strict_json
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.objectives.objective import Objective
from hf_seq2seq.saved.adapters import ADAPTED, is_adapted
from hf_seq2seq.saved.embeddings import TRAINED_ROWS
from hf_seq2seq.saved.joined_pairs import separate_copies
from hf_seq2seq.saved.model_paths import ADAPTER_FILE, BASE_CONFIG
from hf_seq2seq.saved.prompts import SAVED, STATE, is_prompted, save_prompt
from hf_seq2seq.saved.run_settings import RUN_FILE
from hf_seq2seq.saved.weight_names import read_weights
from hf_seq2seq.sections import flatten
from hf_seq2seq.settings_files import yaml_text
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
        if is_prompted(model):
            save_prompt(folder, model, state)
            write_adapter_base(folder, model)
        else:
            model.save_pretrained(folder, state_dict=state, max_shard_size="1000GB")
        if is_adapted(model) and not is_prompted(model):
            write_adapter_base(folder, model)
            _complete_adapter(folder / ADAPTER_FILE, model, state)
    finally:
        model.config.dtype = dtype
    task.tokenizers.save(folder)
    write_run_file(folder, task)


def _complete_adapter(path: Path, model: Any, state: dict[str, Tensor]) -> None:
    """Adds the tables of tokens that have new rows to an adapter's file, as PEFT does where it sees that they grew.

    As there, output weights are written also if they are tied: transformers separates them where it loads an adapter.

    Also gives the magnitudes of DoRA the names by which transformers finds them, too; by PEFT's it would not.
    """
    saved = load_file(path)
    named = {f"{name}.weight" if name.endswith(MAGNITUDES) else name: value for name, value in saved.items()}
    outputs = model.get_output_embeddings()
    first = {name for name, _ in model.named_parameters()}
    first |= {f"{name}.weight" for name, module in model.named_modules() if module is outputs}
    weights = model.named_parameters(remove_duplicate=False)
    tables = [name for name, weight in weights if name in first and hasattr(weight, TRAINED_ROWS)]
    named |= {f"{ADAPTED}{name}": state[name].detach().cpu().clone() for name in tables}
    if named.keys() != saved.keys():
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
    (folder / RUN_FILE).write_text(yaml_text(values))


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
    if is_prompted(weights.model):
        loaded = {STATE: load_file(folder / ADAPTER_FILE)[SAVED]}
        weights.load_state_dict(objective.trained_weights(loaded, extra))
        return
    state = weights.model.state_dict()
    saved = weights.model.get_adapter_state_dict(state_dict=state)  # type: ignore[operator]
    names = {id(value): name for name, value in state.items()}  # a tensor's shard has no address to compare
    inside = {f"{ADAPTED}{name}": names[id(value)] for name, value in saved.items()}
    found = load_file(folder / ADAPTER_FILE)
    found = {name.replace(f"{MAGNITUDES}.weight", MAGNITUDES): value for name, value in found.items()}
    loaded = {inside.get(name, name.removeprefix(ADAPTED)): value for name, value in found.items()}
    weights.load_state_dict(objective.trained_weights(loaded, extra))


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes JSON atomically."""
    with open_draft(path) as stream:
        stream.write(strict_json.dumps(values, indent=2, ensure_ascii=False) + "\n")
