"""Models with an adapter, and how they become plain ones."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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
