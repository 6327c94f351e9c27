"""Weights of a folder under the names that a model itself has for them."""

from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from hf_seq2seq.saved.loading import explained
from hf_seq2seq.saved.model_paths import WEIGHTS_FILE


def read_weights(model: Any, folder: Path) -> dict[str, Tensor]:
    """The weights in a folder, by the names of a model's `state_dict`.

    Args:
        model: of the same architecture.
        folder: written by its `save_pretrained`, under which transformers renames some weights (T5Gemma 2).
    """
    if not _are_renamed(model, folder):
        return load_file(folder / WEIGHTS_FILE)
    with explained(str(folder)):
        loaded = type(model).from_pretrained(folder, dtype="auto", use_safetensors=True)
    found: dict[str, Tensor] = loaded.state_dict()
    return found


def weight_shapes(model: Any, folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every weight in a folder, by its name as for `read_weights`."""
    if _are_renamed(model, folder):
        return {name: tuple(value.shape) for name, value in read_weights(model, folder).items()}
    return tensor_shapes(folder / WEIGHTS_FILE)


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a file, by its name."""
    with safe_open(path, "pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def _are_renamed(model: Any, folder: Path) -> bool:
    if not getattr(model, "_weight_conversions", None):
        return False
    return not set(tensor_shapes(folder / WEIGHTS_FILE)) <= set(model.state_dict())
