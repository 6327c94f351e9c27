"""Training fewer weights: adapters, and frozen parts of a model."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from hf_seq2seq.configs import Adaptation
from hf_seq2seq.errors import InputError
from hf_seq2seq.run_configs import AnySeq2SeqRun, PretrainedRun
from hf_seq2seq.saved.embeddings import train_rows
from hf_seq2seq.saved.heads import head_parts, reads_forward
from hf_seq2seq.saved.prompts import OPTION as PROMPT
from hf_seq2seq.saved.prompts import add_prompt, sampled_prompt
from hf_seq2seq.saved.quantization import HEADS, check_quantization, four_bits
from hf_seq2seq.sections import flag
from hf_seq2seq.training.weights.sharding import DEEPSPEED, SWITCH

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
INITIALIZED = ("pissa", "olora")
"""Variants that take their start from the weights under them, and change those."""
NewRows = list[tuple[nn.Parameter, list[int]]]
KEYS_AND_VALUES = (("k_proj", "v_proj"), ("k", "v"), ("key", "value"), ("k_lin", "v_lin"))
LAST_LAYERS = ("fc2", "down_proj", "wo", "lin2")
"""Names of the last linear layers of feed-forward parts."""


def check_adaptation(options: Adaptation, from_scratch: bool = False, bf16_on_cpu: bool = False) -> None:
    """Rejects mutually exclusive options before anything is loaded.

    Args:
        options: the section.
        from_scratch: whether the weights are random.
        bf16_on_cpu: whether the model itself will be in bfloat16, on a CPU.

    Raises:
        InputError: names the flags.
    """
    adapted = options.has_adapter
    if from_scratch and (adapted or options.freeze != "none"):
        name = options.adapter_flag or "--freeze"
        raise InputError(f"{name}: freezes weights, which are random with --from-scratch")
    for name, given in (("--merge-adapter", options.merge_adapter), ("--load-in-4bit", options.load_in_4bit)):
        if given and not adapted:
            raise InputError(f"{name}: there is no adapter; also give --lora-r")
    _check_form(options)
    if options.load_in_4bit:
        if options.lora_variant in INITIALIZED:
            raise InputError(
                f"--lora-variant {options.lora_variant}: changes the weights under the adapter, which four bits "
                "cannot store; leave out --load-in-4bit"
            )
        if options.merge_adapter:
            raise InputError(
                "--merge-adapter: an adapter cannot be merged into 4-bit weights; leave out --load-in-4bit"
            )
        if bf16_on_cpu:
            raise InputError("--bf16 with --load-in-4bit needs a GPU; leave out one of them")
        check_quantization()


def _check_form(options: Adaptation) -> None:
    """Rejects options of a low-rank adapter where none is trained."""
    usual = Adaptation()
    for name in ("lora_variant", "lora_alpha", "lora_dropout", "lora_target_modules"):
        if options.lora_r is None and getattr(options, name) != getattr(usual, name):
            raise InputError(f"{flag(name)}: there is no low-rank adapter; also give --lora-r")
    if options.ia3 and options.lora_r is not None:
        raise InputError("--ia3 and --lora-r are two adapters; leave out one of them")
    if options.prompt_tokens is not None:
        if options.adapter_flag != PROMPT:
            raise InputError(f"{PROMPT} and {options.adapter_flag} are two adapters; leave out one of them")
        if options.merge_adapter:
            raise InputError(f"--merge-adapter: the prompt of {PROMPT} cannot be merged into weights; leave it out")


def quantization(config: PretrainedRun | AnySeq2SeqRun) -> dict[str, Any]:
    """Options of `from_pretrained` that quantize a run's checkpoint; empty if it is not quantized."""
    if not config.adaptation.load_in_4bit:
        return {}
    low = torch.float16 if config.optimization.fp16 else torch.float32
    compute = torch.bfloat16 if config.optimization.bf16 else low
    return four_bits(compute, on_cpu=config.run.use_cpu or not torch.cuda.is_available())


def adapt(
    model: "PreTrainedModel", options: Adaptation, fresh: Sequence[str] = (), new_rows: NewRows | None = None
) -> None:
    """Freezes parts, and adds an adapter if requested.

    By default a low-rank adapter changes queries and values (section 4.2), and also keys if one layer computes all.

    Paper: Hu et al., 2022, https://arxiv.org/abs/2106.09685; DoRA: Liu et al., 2024, https://arxiv.org/abs/2402.09353;
    rsLoRA: Kalajdzievski, 2023, https://arxiv.org/abs/2312.03732; PiSSA: Meng et al., 2024,
    https://arxiv.org/abs/2404.02948; OLoRA: Büyükakyüz, 2024, https://arxiv.org/abs/2406.01775; (IA)³: Liu et al.,
    2022, https://arxiv.org/abs/2205.05638

    Args:
        model: modified in place.
        options: the section.
        fresh: randomly initialized modules, which are trained in full and saved with the adapter, such as a head.
        new_rows: tables of tokens, which are saved with the adapter, and the rows of them that are trained with it.

    Raises:
        InputError: target modules match nothing or cannot be merged, there is no encoder to freeze, or weights with
            new rows would be sharded.
    """
    _freeze(model, options.freeze, fresh)
    if not options.has_adapter:
        return
    if options.prompt_tokens is not None:
        if new_rows:
            raise InputError(f"{PROMPT}: a prompt is saved without the embeddings of new tokens; use --lora-r")
        add_prompt(model, sampled_prompt(model, options.prompt_tokens))
        return
    heads = [name for name in _heads(model) if name != "lm_head"]
    fresh = [name for name in fresh if name.split(".")[0] not in heads]
    shared = {"modules_to_save": list(dict.fromkeys([*heads, *fresh])) or None, "task_type": _task_type(model)}
    model.add_adapter(_low_rank(model, options, shared) if options.lora_r else _factors(model, shared))
    if new_rows and any(os.environ.get(name, "").lower() == "true" for name in (SWITCH, DEEPSPEED)):
        raise InputError("new tokens beside an adapter cannot be combined with FSDP or DeepSpeed; leave out either")
    for table, rows in new_rows or ():
        train_rows(table, rows, is_frozen=options.freeze == "embeddings")


def _low_rank(model: "PreTrainedModel", options: Adaptation, shared: dict[str, Any]) -> Any:
    from peft import LoraConfig

    targets = list(options.lora_target_modules) or _usual_targets(model)
    _check_targets(model, targets)
    transposed, variant = _is_transposed(model, targets), options.lora_variant
    if transposed and variant in INITIALIZED:
        kind = f"those of a {model.config.model_type!r} model are transposed"
        raise InputError(
            f"--lora-variant {variant}: PEFT starts it for linear layers alone, and {kind}; choose another"
        )
    assert options.lora_r is not None
    return LoraConfig(
        r=options.lora_r,
        lora_alpha=options.lora_alpha or 2 * options.lora_r,
        lora_dropout=options.lora_dropout,
        target_modules=targets,
        fan_in_fan_out=transposed,
        use_dora=variant == "dora",
        use_rslora=variant == "rslora",
        init_lora_weights=variant if variant in INITIALIZED else True,  # type: ignore[arg-type]
        **shared,
    )


def _factors(model: "PreTrainedModel", shared: dict[str, Any]) -> Any:
    """An (IA)³ adapter; it scales the outputs of keys and values, and the inputs of the last feed-forward layers."""
    from peft import IA3Config
    from peft.utils import constants

    kind, linear = model.config.model_type, set(_linear(model))
    usual = constants.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
    forward = constants.TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING
    targets, inputs = usual.get(kind), forward.get(kind)
    if targets is None or inputs is None:
        found = next((names for names in KEYS_AND_VALUES if set(names) <= linear), None)
        inputs = next(([name] for name in LAST_LAYERS if name in linear), None)
        if found is None or inputs is None:
            raise InputError(
                f"--ia3: no defaults for {kind!r}; --lora-r trains a low-rank adapter of any linear layers"
            )
        targets = [*found, *inputs]
    transposed = _is_transposed(model, [name.split(".")[-1] for name in targets])
    return IA3Config(target_modules=targets, feedforward_modules=inputs, fan_in_fan_out=transposed, **shared)


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
