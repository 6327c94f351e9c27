"""DeepSpeed's settings: Accelerate's configuration, and the parts of it that are incompatible with this loop."""

import os
from importlib.util import find_spec
from typing import Any

from hf_seq2seq.configs import Adaptation, Optimization
from hf_seq2seq.errors import InputError
from hf_seq2seq.training.weights.sharding import DEEPSPEED, PLACE, check_flags

STAGES = (2, 3)
SERVED = (
    "bf16",
    "comms_logger",
    "communication_data_type",
    "fp16",
    "gradient_accumulation_steps",
    "gradient_clipping",
    "memory_breakdown",
    "steps_per_print",
    "train_batch_size",
    "train_micro_batch_size_per_gpu",
    "wall_clock_breakdown",
    "zero_allow_untested_optimizer",
    "zero_force_ds_cpu_optimizer",
    "zero_optimization",
)
"""Sections of DeepSpeed's configuration that do not affect the arithmetic of a step, or are set here."""
USUAL = {
    "zero_quantized_weights": False,
    "zero_quantized_nontrainable_weights": False,
    "zero_quantized_gradients": False,
    "zero_hpz_partition_size": 1,
    "mics_shard_size": -1,
    "zenflow": None,
}
"""Options of ZeRO that would affect the arithmetic or the placement of shards, and the values that do not."""


def is_asked_for() -> bool:
    """Whether the environment, as set by `accelerate launch` and this project's launcher, requests DeepSpeed."""
    return os.environ.get(DEEPSPEED, "").lower() == "true"


def check_zero(optimization: Optimization, adaptation: Adaptation | None) -> None:
    """Rejects options that are incompatible with DeepSpeed, without importing it.

    Raises:
        InputError: an option is incompatible; names it, or the flag.
    """
    if not is_asked_for():
        return
    if find_spec("deepspeed") is None:
        raise InputError(f"{PLACE}: DeepSpeed is not installed; pip install 'hf-seq2seq[deepspeed]'")
    settings = _read()
    _check_sections(settings)
    _check_stage(settings["zero_optimization"])
    clipping = optimization.max_grad_norm or 0.0
    accumulation = optimization.gradient_accumulation_steps
    _check_value(settings, "gradient_clipping", ("auto", clipping, None), f"--max-grad-norm {clipping:g}")
    steps = ("auto", accumulation, 1, None)
    _check_value(settings, "gradient_accumulation_steps", steps, f"--gradient-accumulation-steps {accumulation}")
    for name in ("train_batch_size", "train_micro_batch_size_per_gpu"):
        _check_value(settings, name, ("auto", None), "--per-device-train-batch-size")
    for name in ("bf16", "fp16"):
        allowed = (False, "auto", None, getattr(optimization, name) or None)
        if settings.get(name, {}).get("enabled") not in allowed:
            raise InputError(f'{PLACE}: {name}: write "enabled": "auto", and give --{name}')
    check_flags("DeepSpeed", optimization)
    if adaptation is not None and adaptation.load_in_4bit:
        raise InputError("--load-in-4bit cannot be combined with DeepSpeed; leave one of them out")


def _read() -> dict[str, Any]:
    """The configuration, as read by Accelerate from the environment."""
    from accelerate.utils import DeepSpeedPlugin

    try:
        found: dict[str, Any] = DeepSpeedPlugin().deepspeed_config
    except (ValueError, OSError) as error:
        raise InputError(f"{PLACE}: Accelerate cannot read it: {str(error).splitlines()[0]}") from None
    return found


def _check_sections(settings: dict[str, Any]) -> None:
    for name in ("optimizer", "scheduler"):
        if name in settings:
            flags = "--optim and --learning-rate" if name == "optimizer" else "--lr-scheduler-type"
            raise InputError(f"{PLACE}: DeepSpeed's {name!r} is not supported; leave it out, and give {flags}")
    for name in settings:
        if name not in SERVED:
            raise InputError(f"{PLACE}: DeepSpeed's {name!r} is not supported; leave it out")


def _check_stage(zero: dict[str, Any]) -> None:
    if (stage := zero.get("stage", 0)) not in STAGES:
        raise InputError(f"{PLACE}: zero_stage {stage} is not supported; choose from 2, 3, or use ddp")
    for name, usual in USUAL.items():
        if zero.get(name, usual) != usual:
            raise InputError(f"{PLACE}: {name} is not supported; leave it out")
    for name in ("offload_optimizer", "offload_param"):
        device = (zero.get(name) or {}).get("device") or "none"
        if device not in ("none", "cpu"):
            raise InputError(f"{PLACE}: {name}_device {device} is not supported; choose from none, cpu")


def _check_value(settings: dict[str, Any], name: str, allowed: tuple[Any, ...], flag: str) -> None:
    if (value := settings.get(name)) not in allowed:
        raise InputError(f"{PLACE}: {name} {value} contradicts this run; write 'auto' there, and give {flag}")


def engine_settings(options: Optimization) -> dict[str, Any]:
    """DeepSpeed's configuration, with this run's precision and clipping; the rest is left to DeepSpeed."""
    settings = _without_auto(_read()) | {
        "train_micro_batch_size_per_gpu": 1,  # unused: the loop creates the batches
        "gradient_accumulation_steps": 1,  # the loop marks the last backward pass of a step
        "gradient_clipping": options.max_grad_norm or 0.0,
        "bf16": {"enabled": options.bf16},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }
    if options.bf16:
        settings = {"communication_data_type": "fp32"} | settings | {"data_types": {"grad_accum_dtype": "fp32"}}
    return settings


def _without_auto(settings: dict[str, Any]) -> dict[str, Any]:
    found = {name: _without_auto(value) if isinstance(value, dict) else value for name, value in settings.items()}
    return {name: value for name, value in found.items() if value not in ("auto", None)}
