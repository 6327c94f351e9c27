"""Four-bit weights, on top of which an adapter is trained (QLoRA).

Paper: Dettmers et al., 2023, sections 3 (NormalFloat, double quantization), https://arxiv.org/abs/2305.14314
"""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    import torch

HEADS = ("lm_head", "embed_out", "classifier", "score", "classification_head")
"""Output layers, by their names in transformers, which are not quantized."""


def check_quantization() -> None:
    """Rejects four-bit loading if unsupported.

    Raises:
        InputError: bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise InputError("--load-in-4bit: bitsandbytes is not installed; pip install 'hf-seq2seq[quantization]'")


def four_bits(compute: "torch.dtype", on_cpu: bool) -> dict[str, Any]:
    """The options of `from_pretrained`: NormalFloat with double quantization, without output layers.

    Weights are quantized on the device where they stay, the process's own GPU if there are several.

    Args:
        compute: the dtype of matrix products.
        on_cpu: whether the model stays on the CPU.
    """
    from transformers import BitsAndBytesConfig

    options: dict[str, Any] = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    skipped = {"llm_int8_skip_modules": list(HEADS)}
    device = "cpu" if on_cpu else int(os.environ.get("LOCAL_RANK", "0"))
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=compute, **options, **skipped)
    return {"quantization_config": settings, "device_map": {"": device}}


def keep_differentiable(model: "torch.nn.Module") -> None:
    """Keeps four-bit layers on a CPU unchanged in evaluation mode.

    If a CPU supports bfloat16, bitsandbytes packs a layer's weights, rounding them again, when first evaluating them; a
    packed layer has no gradient, so training would continue without it.
    """
    module: Any
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
