"""The head of a classifier: the layers between its base model and its logits."""

import inspect
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEAD_DROPOUTS = {
    **dict.fromkeys(("albert", "rembert"), "classifier_dropout_prob"),
    **dict.fromkeys(("deberta", "deberta-v2"), "cls_dropout"),
    **dict.fromkeys(("flaubert", "xlm"), "summary_first_dropout"),
    "distilbert": "seq_classif_dropout",
    "xlnet": "summary_last_dropout",
}
"""The configuration field of the head's dropout, where it is not called classifier_dropout."""


def head_parts(model: Any) -> list[str]:
    """The names of a classifier's modules that are outside its base model and have weights."""
    base = model.base_model
    return [name for name, part in model.named_children() if part is not base and any(True for _ in part.parameters())]


def reads_forward(config: Any) -> bool:
    """Whether a model is decoder-only, so that tokens see only previous ones."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    both_ways = config.is_encoder_decoder or type(config) in MODEL_FOR_MASKED_LM_MAPPING
    return type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and not both_ways and config.model_type != "xlnet"


def output_layer(model: Any) -> str:
    """The name of a classifier's last linear layer, which computes the logits."""
    inside = tuple(f"{part}." for part in head_parts(model))
    last = [
        name
        for name, part in model.named_modules()
        if isinstance(part, nn.Linear)
        and f"{name}.".startswith(inside)
        and part.out_features == model.config.num_labels
    ][-1]
    return plain_name(last)


def is_fresh(name: str, fresh: Iterable[str]) -> bool:
    """Whether a module is one of the randomly initialized ones, or inside one; "" is the whole model."""
    return any(not outer or f"{name}.".startswith(f"{outer}.") for outer in fresh)


def dropout_field(model_type: str) -> str:
    """The configuration field of a family for the dropout before the last linear layer."""
    return HEAD_DROPOUTS.get(model_type, "classifier_dropout")


def set_head_dropout(model: Any, share: float) -> None:
    """Sets the dropout of a classifier's head, and adds one before the last layer if the family has none.

    Args:
        model: modified in place. DeBERTa's pooler has a separate dropout, which is kept.
        share: 0 to 1.
    """
    inside = tuple(f"{name}." for name, part in model.named_children() if part is not model.base_model)
    found = False
    for name, part in model.named_modules():
        if f"{name}.".startswith(inside) and hasattr(part, "p") and not name.startswith("pooler."):
            part.p, found = share, True
    if not found:
        layer = model.get_submodule(output_layer(model))
        layer.register_forward_pre_hook(partial(_drop, share))


def _drop(share: float, layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (F.dropout(inputs[0], share, layer.training), *inputs[1:])


def read_segments(tokenizer: Any, model: Any) -> None:
    """Makes a tokenizer return token types only if the model accepts them; also saved that way."""
    if "token_type_ids" not in inspect.signature(model.forward).parameters:
        names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
        tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = names


def plain_name(name: str) -> str:
    """The name of a module or weight without the adapter, which trains a copy of the head."""
    return name.replace(".modules_to_save.default", "")


def renew(model: Any, name: str) -> None:
    """Reinitializes a layer in the way of its family."""
    layer = model.get_submodule(name)
    for weight in layer.parameters():
        weight._is_hf_initialized = False  # otherwise transformers considers it loaded
    layer._is_hf_initialized = False
    with torch.no_grad():
        model._init_weights(layer)
