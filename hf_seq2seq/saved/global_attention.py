"""Global attention of encoders whose attention is otherwise local (LED)."""

from typing import Any

import torch
from torch import nn

GLOBAL = ("led",)
"""Model types whose encoder is told which tokens see, and are seen by, all others."""


def attends_globally(config: Any) -> bool:
    """Whether the first token of a source must be named as global."""
    return getattr(config, "model_type", None) in GLOBAL


def attend_globally(model: Any) -> None:
    """Makes the first token of every source global wherever the encoder is called without a mask of its own.

    Paper: Beltagy et al., 2020, section 7, https://arxiv.org/abs/2004.05150

    Args:
        model: modified in place where its type wants it.
    """
    if attends_globally(model.config):
        model.get_encoder().register_forward_pre_hook(_name_first, with_kwargs=True)


def _name_first(_: nn.Module, args: tuple[Any, ...], inputs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    ids = inputs.get("input_ids")
    if ids is None or inputs.get("global_attention_mask") is not None:
        return args, inputs
    mask = torch.zeros_like(ids)
    mask[:, 0] = 1
    return args, inputs | {"global_attention_mask": mask}
