"""Models with an adapter: how they are loaded, and how they become plain ones."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.model_paths import ADAPTER_CONFIG, find_model
from hf_seq2seq.settings_files import read_json_object

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def is_adapted(model: Any) -> bool:
    """Whether a model has an adapter, which is then all that is trained and saved."""
    return bool(getattr(model, "_hf_peft_config_loaded", False))


def merge_adapter(model: "PreTrainedModel") -> None:
    """Adds the adapter to the weights it adapts; the model is then as if it had never had one."""
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
    # Of a loaded adapter, the names of its weights, under which all would be saved.
    model._weight_conversions = None  # type: ignore[assignment]
    del model.peft_config


def load_adapted(auto: Any, folder: str, config: "PreTrainedConfig", options: dict[str, Any]) -> tuple[Any, list[str]]:
    """Loads the model that an adapter adapts, and the adapter.

    The adapter brings modules of its own, such as a head, which the model may lack or have for other labels.

    Args:
        auto: the Auto class.
        folder: of the adapter.
        config: of the model with its adapter.
        options: of `from_pretrained`.

    Returns:
        The model, and the names of weights that are in neither place.

    Raises:
        InputError: a model of other sizes than that which was adapted.
    """
    settings = read_json_object(Path(folder) / ADAPTER_CONFIG)
    if settings.get("megatron_config"):
        raise InputError(
            f"{folder}: {ADAPTER_CONFIG} names a Python module that is to run; adapters of it are not read"
        )
    base, own = settings["base_model_name_or_path"], settings.get("modules_to_save") or []
    options = options | find_model(base) | {"config": config, "ignore_mismatched_sizes": bool(own)}
    model, report = auto.from_pretrained(base, output_loading_info=True, **options)

    def others(keys: Any) -> list[str]:
        return sorted(key for key in keys if not any(f"{name}." in key for name in own))

    if wrong := others(key for key, *_ in report["mismatched_keys"]):
        raise InputError(f"{folder}: holds an adapter of another model than {base}: the sizes of {wrong[0]} differ")
    found = model.load_adapter(folder)
    return model, others(report["missing_keys"]) + sorted(found.missing_keys)
