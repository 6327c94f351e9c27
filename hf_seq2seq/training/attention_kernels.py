"""The ways to compute attention that transformers has, by `--attn-implementation`."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hf_seq2seq.configs import Pretrained, RunConfig
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import section_of
from hf_seq2seq.training_options import Loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SUPPORT = {
    "sdpa": "_supports_sdpa", "flash_attention_2": "_supports_flash_attn", "flex_attention": "_supports_flex_attn",
}  # fmt: skip
"""The attribute by which a class of models says that it has a way; every one has `eager`."""


def check_kernels(config: RunConfig, on_cpu: bool) -> None:
    """Rejects a way to compute attention that the device or another option excludes.

    Raises:
        InputError: names the flag and what it needs.
    """
    asked = _asked(config)
    if asked is None:
        return
    if asked in ("flash_attention_2", "flex_attention") and on_cpu:
        raise InputError(f"--attn-implementation {asked}: trains on a GPU alone; sdpa is the fastest on a CPU")
    if asked == "flash_attention_2":
        if find_spec("flash_attn") is None:
            raise InputError("--attn-implementation flash_attention_2: needs the package flash-attn")
        if not (config.optimization.bf16 or config.optimization.fp16):
            raise InputError("--attn-implementation flash_attention_2: has no float32; add --bf16 or --fp16")
    loss = section_of(config, Loss)
    if loss is not None and loss.coverage_weight and asked != "eager":
        raise InputError(f"--attn-implementation {asked}: --coverage-weight reads the attention, which takes eager")


def use_kernels(model: "PreTrainedModel", config: RunConfig) -> None:
    """Lets a model compute attention as asked for; nothing changes where nothing is.

    Raises:
        InputError: the model does not have it; names what it has.
    """
    asked = _asked(config)
    if asked is None:
        return
    kind = f"a {model.config.model_type!r} model"
    if asked in SUPPORT and not getattr(model, SUPPORT[asked], False):
        able = ", ".join(["eager", *(name for name, mark in SUPPORT.items() if getattr(model, mark, False))])
        raise InputError(f"--attn-implementation {asked}: {kind} does not have it; it has {able}")
    if asked == "flex_attention" and (rate := _dropout(model)):
        raise InputError(f"--attn-implementation flex_attention: has no dropout, and {kind} drops {rate:g} of it")
    try:
        changed: Any = model
        changed.set_attn_implementation(asked)
    except (ValueError, ImportError) as error:
        raise InputError(f"--attn-implementation {asked}: {str(error).splitlines()[0]}") from error


def _asked(config: RunConfig) -> str | None:
    source = section_of(config, Pretrained)
    return None if source is None else source.attn_implementation


def _dropout(model: "PreTrainedModel") -> float:
    """The highest rate of dropout on attention in any layer."""
    layers = [module for module in model.modules() if type(module).__name__.endswith("Attention")]
    rates = (getattr(layer, name, 0.0) for layer in layers for name in ("dropout", "attention_dropout"))
    return max((rate for rate in rates if isinstance(rate, float)), default=0.0)
