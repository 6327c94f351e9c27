"""Models with an adapter: loading and merging."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.model_paths import ADAPTER_CONFIG, find_model
from hf_seq2seq.settings_files import read_json_object

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def is_adapted(model: Any) -> bool:
    """Whether a model has an adapter; if so, only that is trained and saved."""
    return bool(getattr(model, "_hf_peft_config_loaded", False))


def merge_adapter(model: "PreTrainedModel") -> None:
    """Merges the adapter into the weights; the model is then like one that never had an adapter."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import ModulesToSaveWrapper

    for name, module in list(model.named_modules()):
        parent, _, last = name.rpartition(".")
        if isinstance(module, BaseTunerLayer):
            module.merge(safe_merge=True)
            setattr(model.get_submodule(parent), last, module.get_base_layer())
        elif isinstance(module, ModulesToSaveWrapper):
            setattr(model.get_submodule(parent), last, module.modules_to_save["default"])
    model._hf_peft_config_loaded = False
    # For a loaded adapter, the names of its weights, under which all would be saved.
    model._weight_conversions = None  # type: ignore[assignment]
    del model.peft_config


def load_adapted(auto: Any, folder: str, config: "PreTrainedConfig", options: dict[str, Any]) -> tuple[Any, list[str]]:
    """Loads an adapter and its base model.

    The adapter may come with its own modules, such as a head, which the base may lack or have for other labels.

    Args:
        auto: the Auto class.
        folder: the adapter's folder.
        config: configuration of the model with its adapter.
        options: options of `from_pretrained`.

    Returns:
        The model, and the names of weights found in neither.

    Raises:
        InputError: the base differs in size from the model that was adapted.
    """
    settings = read_json_object(Path(folder) / ADAPTER_CONFIG)
    if settings.get("megatron_config"):
        raise InputError(f"{folder}: {ADAPTER_CONFIG} names a Python module to run; such adapters are not supported")
    base, own = settings["base_model_name_or_path"], settings.get("modules_to_save") or []
    options = options | find_model(base) | {"config": config, "ignore_mismatched_sizes": bool(own)}
    model, report = auto.from_pretrained(base, output_loading_info=True, **options)

    def others(keys: Any) -> list[str]:
        return sorted(key for key in keys if not any(f"{name}." in key for name in own))

    if wrong := others(key for key, *_ in report["mismatched_keys"]):
        raise InputError(f"{folder}: contains an adapter of another model than {base}: the sizes of {wrong[0]} differ")
    found = model.load_adapter(folder)
    return model, others(report["missing_keys"]) + sorted(found.missing_keys)
