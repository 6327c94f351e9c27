"""Shared by all Transformer models: initialization and supported features of transformers."""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init

from .configuration_transformer import TransformerConfig
from .depth_scaling import ScaledLinear, embedding_gain


class TransformerPreTrainedModel(PreTrainedModel):
    """Initial values, attention functions, activation checkpointing."""

    config: TransformerConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _skip_keys_device_placement = ["past_key_values"]
    _no_split_modules = ["TransformerEncoderLayer", "TransformerDecoderLayer"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Matrices: Glorot, scaled by the stack's gain if the initialization has one; embeddings: normal.

        Papers: Glorot and Bengio, 2010, equation 16, https://proceedings.mlr.press/v9/glorot10a.html; Wang et al.,
        2022, figure 2, https://arxiv.org/abs/2203.00555; Huang et al., 2020, section 3.2,
        https://proceedings.mlr.press/v119/huang20f.html
        """
        if isinstance(module, nn.Embedding):
            assert self.config.initializer_range is not None
            init.normal_(module.weight, std=self.config.initializer_range * embedding_gain(self.config))
        elif isinstance(module, nn.Linear):
            # DeepNet draws from a normal distribution, the others from a uniform one of the same variance.
            draw = init.xavier_normal_ if self.config.initialization == "deepnet" else init.xavier_uniform_
            draw(module.weight, gain=module.gain if isinstance(module, ScaledLinear) else 1.0)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)


def resolve(given: bool | None, default: Any) -> bool:
    """An argument of `forward`, or the configuration's value if not given."""
    return bool(default if given is None else given)
