"""Randomly initialized models, built only if they fit in this machine's memory."""

import os
from collections.abc import Callable
from typing import TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn

from hf_seq2seq.errors import InputError

M = TypeVar("M", bound=nn.Module)
BYTES = 4
"""Bytes per float32 weight."""


def build_fresh(build: Callable[[], M]) -> M:
    """Builds a model after checking its size, which takes no memory and no random numbers.

    Args:
        build: creates the model.

    Raises:
        InputError: its weights alone exceed this machine's memory, or a size has the wrong type.
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
    except Exception as error:  # building it reports invalid sizes
        return float("inf") if "overflow" in str(error) else 0
