"""Models with an adapter: loading and merging."""

from collections.abc import Collection
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.embeddings import resize_tokens
from hf_seq2seq.saved.integrity import tell_surplus
from hf_seq2seq.saved.model_paths import ADAPTER_CONFIG, ADAPTER_FILE, find_model
from hf_seq2seq.saved.pickles import pickles_in
from hf_seq2seq.saved.prompts import KIND, is_prompted, load_prompt
from hf_seq2seq.saved.setting_types import GENERATION
from hf_seq2seq.settings_files import read_json_object

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


ADAPTED = "base_model.model."
"""What the names of weights begin with in an adapter's file."""
VOCABULARIES = ("vocab_size", "source_vocab_size")


def is_adapted(model: Any) -> bool:
    """Whether a model has an adapter; if so, only that is trained and saved."""
    return bool(getattr(model, "_hf_peft_config_loaded", False)) or is_prompted(model)


def merge_adapter(model: "PreTrainedModel") -> None:
    """Merges the adapter into the weights; the model is then like one that never had an adapter.

    Raises:
        InputError: it is a prompt.
    """
    if is_prompted(model):
        raise InputError(f"{model.name_or_path}: its adapter is a prompt, which cannot be merged into weights")
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


def _with_vocabulary_of(base: str, config: "PreTrainedConfig", options: dict[str, Any]) -> "PreTrainedConfig":
    """The configuration with the sizes of vocabularies that the base has, which the adapter's may exceed."""
    from transformers import AutoConfig

    first = AutoConfig.from_pretrained(base, **find_model(base), trust_remote_code=options.get("trust_remote_code"))
    sized = deepcopy(config)
    pairs = [(sized, first)]
    for own, theirs in pairs:
        pairs += [(getattr(own, name), getattr(theirs, name, None)) for name in own.sub_configs]
        for name in VOCABULARIES:
            if hasattr(own, name) and hasattr(theirs, name):
                setattr(own, name, getattr(theirs, name))
    return sized


def _load_weights(model: Any, folder: str, own: Collection[str]) -> Any:
    """Loads an adapter's weights and its tables of tokens into the base; returns transformers' report.

    Args:
        model: the base, modified in place.
        folder: the adapter's.
        own: names of modules that the adapter has itself, such as a head.
    """
    from peft import PeftConfig
    from safetensors.torch import load_file

    if not (Path(folder) / ADAPTER_FILE).is_file():
        pickles = pickles_in(Path(folder))
        beside = f", but {pickles[0]}, which is not read" if pickles else ""
        raise InputError(f"{folder}: contains no {ADAPTER_FILE}{beside}")
    state = load_file(Path(folder) / ADAPTER_FILE)
    known = dict(model.named_parameters(remove_duplicate=False))
    plain = {name.removeprefix(ADAPTED): value for name, value in state.items()}
    tables = {n: value for n, value in plain.items() if n in known and not any(f"{each}." in n for each in own)}
    if not tables:
        return model.load_adapter(folder)
    _grow(model, {id(known[name]): len(table) for name, table in tables.items() if len(table) > len(known[name])})
    # transformers would load them, too, but separate tied ones.
    others = {name: value for name, value in state.items() if name.removeprefix(ADAPTED) not in tables}
    found = model.load_adapter(peft_config=PeftConfig.from_pretrained(folder), adapter_state_dict=others)
    model.load_state_dict(tables, strict=False)
    return found


def _grow(model: Any, grown: dict[int, int]) -> None:
    """Gives tables of tokens more rows: the number by the table's id."""
    source = getattr(model.get_encoder(), "embed_tokens", None) if hasattr(model, "resize_source_embeddings") else None
    if source is not None and not model.config.share_embeddings and id(source.weight) in grown:
        model.resize_source_embeddings(grown[id(source.weight)])
    if id(model.get_input_embeddings().weight) in grown:
        resize_tokens(model, grown[id(model.get_input_embeddings().weight)])


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
    from transformers import GenerationConfig

    settings = read_json_object(Path(folder) / ADAPTER_CONFIG)
    if settings.get("megatron_config"):
        raise InputError(f"{folder}: {ADAPTER_CONFIG} names a Python module to run; such adapters are not supported")
    base, own = settings["base_model_name_or_path"], settings.get("modules_to_save") or []
    own_size = _with_vocabulary_of(base, config, options)
    options = options | find_model(base) | {"config": own_size, "ignore_mismatched_sizes": bool(own)}
    model, report = auto.from_pretrained(base, output_loading_info=True, **options)

    def others(keys: Any) -> list[str]:
        return sorted(key for key in keys if not any(f"{name}." in key for name in own))

    if wrong := others(key for key, *_ in report["mismatched_keys"]):
        raise InputError(f"{folder}: contains an adapter of another model than {base}: the sizes of {wrong[0]} differ")
    if (Path(folder) / GENERATION).is_file() and hasattr(model, "generation_config"):
        model.generation_config = GenerationConfig.from_pretrained(folder)  # such as the language that was learned
    if settings.get("peft_type") == KIND:
        load_prompt(model, folder, settings)
        return model, others(report["missing_keys"])
    found = _load_weights(model, folder, own)
    tell_surplus(folder, found.unexpected_keys)
    return model, others(report["missing_keys"]) + sorted(found.missing_keys)
