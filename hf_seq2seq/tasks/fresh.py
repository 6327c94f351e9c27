"""Models with fresh weights: built only if this machine can hold them."""

import os
from collections.abc import Callable
from typing import TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn

from hf_seq2seq.errors import InputError

M = TypeVar("M", bound=nn.Module)
BYTES = 4
"""Of a weight in float32."""


def build_fresh(build: Callable[[], M]) -> M:
    """Builds a model, after a look at how large it would be that takes no memory and draws no random number.

    Args:
        build: makes the model.

    Raises:
        InputError: its weights alone are more than this machine's memory, or a size has a wrong type.
    """
    parameters = _count(build)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if parameters * BYTES > memory:
        raise InputError(
            f"the model would have {parameters:.3g} parameters, which take {parameters * BYTES / 2**30:,.0f} GiB; "
            f"this machine has {memory / 2**30:,.0f} GiB: choose smaller sizes"
        )
    try:
        return build()
    except StrictDataclassError as error:
        raise InputError(f"--config-overrides: {str(error).strip().splitlines()[-1].strip()}") from error


def _count(build: Callable[[], nn.Module]) -> float:
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return sum(parameter.numel() for parameter in build().parameters())
    except Exception as error:  # what is wrong with its sizes, building it says
        return float("inf") if "overflow" in str(error) else 0
