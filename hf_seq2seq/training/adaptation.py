"""Training fewer weights: low-rank adapters, and frozen parts of a model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from hf_seq2seq.configs import Adaptation
from hf_seq2seq.errors import InputError
from hf_seq2seq.run_configs import AnySeq2SeqRun, PretrainedRun
from hf_seq2seq.saved.heads import head_parts, reads_forward
from hf_seq2seq.saved.quantization import HEADS, check_quantization, four_bits

if TYPE_CHECKING:
    from transformers import PreTrainedModel

QUERY_AND_VALUE = ["q_proj", "v_proj"]
OURS = {
    **dict.fromkeys(("transformer-seq2seq", "transformer-encoder", "transformer-decoder"), QUERY_AND_VALUE),
    **dict.fromkeys(("mbart", "pegasus", "olmo2", "smollm3"), QUERY_AND_VALUE),
    "umt5": ["q", "v"],
    "phi3": ["qkv_proj"],
    "distilbert": ["q_lin", "v_lin"],
}
"""Layers to adapt in families without defaults in PEFT: queries and values, as in the paper."""
NAMED_ALIKE = (
    *(("query", "value"), ("q_proj", "v_proj"), ("q", "v"), ("q_lin", "v_lin"), ("query_proj", "value_proj")),
    *(("Wqkv",), ("qkv_proj",), ("query_key_value",), ("in_proj",)),
)
"""Names of queries and values, or of both with keys, in other families."""


def check_adaptation(options: Adaptation, from_scratch: bool = False, bf16_on_cpu: bool = False) -> None:
    """Rejects mutually exclusive options before anything is loaded.

    Args:
        options: the section.
        from_scratch: whether the weights are random.
        bf16_on_cpu: whether the model itself will be in bfloat16, on a CPU.

    Raises:
        InputError: names the flags.
    """
    adapted = options.lora_r is not None
    if from_scratch and (adapted or options.freeze != "none"):
        name = "--lora-r" if adapted else "--freeze"
        raise InputError(f"{name}: freezes weights, which are random with --from-scratch")
    for name, given in (("--merge-adapter", options.merge_adapter), ("--load-in-4bit", options.load_in_4bit)):
        if given and not adapted:
            raise InputError(f"{name}: there is no adapter; also give --lora-r")
    if options.load_in_4bit:
        if options.merge_adapter:
            raise InputError(
                "--merge-adapter: an adapter cannot be merged into 4-bit weights; leave out --load-in-4bit"
            )
        if bf16_on_cpu:
            raise InputError("--bf16 with --load-in-4bit needs a GPU; leave out one of them")
        check_quantization()


def quantization(config: PretrainedRun | AnySeq2SeqRun) -> dict[str, Any]:
    """Options of `from_pretrained` that quantize a run's checkpoint; empty if it is not quantized."""
    if not config.adaptation.load_in_4bit:
        return {}
    low = torch.float16 if config.optimization.fp16 else torch.float32
    compute = torch.bfloat16 if config.optimization.bf16 else low
    return four_bits(compute, on_cpu=config.run.use_cpu or not torch.cuda.is_available())


def adapt(model: "PreTrainedModel", options: Adaptation, fresh: Sequence[str] = ()) -> None:
    """Freezes parts, and adds a low-rank adapter if requested.

    By default queries and values are adapted (section 4.2), and also keys if one layer computes all.

    Paper: Hu et al., 2022, https://arxiv.org/abs/2106.09685

    Args:
        model: modified in place.
        options: the section.
        fresh: randomly initialized modules, which are trained in full and saved with the adapter, such as a head.

    Raises:
        InputError: target modules match nothing or cannot be merged, or there is no encoder to freeze.
    """
    _freeze(model, options.freeze, fresh)
    if options.lora_r is None:
        return
    from peft import LoraConfig

    targets = list(options.lora_target_modules) or _usual_targets(model)
    _check_targets(model, targets)
    heads = [name for name in _heads(model) if name != "lm_head"]
    fresh = [name for name in fresh if name.split(".")[0] not in heads]
    settings = LoraConfig(
        r=options.lora_r,
        lora_alpha=options.lora_alpha or 2 * options.lora_r,
        lora_dropout=options.lora_dropout,
        target_modules=targets,
        fan_in_fan_out=_is_transposed(model, targets),
        modules_to_save=list(dict.fromkeys([*heads, *fresh])) or None,
        task_type=_task_type(model),
    )
    model.add_adapter(settings)


def _task_type(model: "PreTrainedModel") -> str | None:
    """PEFT's task type of the model, by which its Auto classes load the adapter; None if it has none."""
    kind = type(model).__name__
    if kind.endswith("ForSequenceClassification"):
        return "SEQ_CLS"
    if model.config.is_encoder_decoder:
        return "SEQ_2_SEQ_LM"
    return "CAUSAL_LM" if kind.endswith(("ForCausalLM", "LMHeadModel")) else None


def _heads(model: "PreTrainedModel") -> list[str]:
    """The output modules of a model: for a classifier, all outside its base."""
    if type(model).__name__.endswith("ForSequenceClassification"):
        return head_parts(model)
    return [name for name, _ in model.named_children() if name in HEADS]


def _freeze(model: "PreTrainedModel", part: str, fresh: Sequence[str]) -> None:
    frozen: list[nn.Module] = []
    if part == "embeddings":
        frozen = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    elif part == "encoder":
        encoder = model.get_encoder()
        if encoder is model and not reads_forward(
            model.config
        ):  # an encoder-only model, whose layers have another name
            encoder = model.base_model
        if encoder is model:
            raise InputError(f"--freeze encoder: a {model.config.model_type!r} model has no encoder")
        frozen = [encoder]
    elif part == "all_but_head":
        frozen = [model]
    for module in frozen:
        module.requires_grad_(False)
    learned = {*fresh, *(_heads(model) if part == "all_but_head" else ())}  # random weights must be trained
    for name in learned if frozen else ():
        model.get_submodule(name).requires_grad_(True)


def _usual_targets(model: "PreTrainedModel") -> list[str]:
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as USUAL

    kind = model.config.model_type
    linear = _linear(model)
    found = OURS.get(kind) or USUAL.get(kind) or next((names for names in NAMED_ALIKE if set(names) <= set(linear)), ())
    if not found:
        raise InputError(f"--lora-target-modules: no defaults for {kind!r}; choose from {', '.join(linear)}")
    return list(found)


def _check_targets(model: "PreTrainedModel", targets: list[str]) -> None:
    known = _linear(model)
    for target in targets:
        if target.split(".")[-1] not in known:
            names = f"choose from {', '.join(known)}"
            raise InputError(f"--lora-target-modules: no linear layer is named {target!r}; {names}")
        if target == "lm_head" and getattr(model.config, "tie_word_embeddings", False):
            raise InputError("--lora-target-modules: 'lm_head' is tied to the embeddings; leave it out")


def _linear(model: "PreTrainedModel") -> list[str]:
    """The last names of the model's linear layers."""
    kinds: Any = (nn.Linear, Conv1D)
    return sorted({name.split(".")[-1] for name, module in model.named_modules() if isinstance(module, kinds)})


def _is_transposed(model: "PreTrainedModel", targets: list[str]) -> bool:
    """Whether the layers are GPT-2's, whose weights are transposed (inputs by outputs)."""
    return any(isinstance(m, Conv1D) for name, m in model.named_modules() if name.split(".")[-1] in targets)
