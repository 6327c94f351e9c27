"""The input of a classifier's head: the first token, the mean over all tokens, or the last token.

Most families in transformers support only one of these. Any other is recorded in `config.json` as `pooling`, and
inserted between base model and head wherever this package loads the model; transformers alone does not do this.
"""

import inspect
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.heads import reads_forward

POOLINGS = ("cls", "mean", "last")
NAMES = {"cls": "the first token", "mean": "the mean over all tokens", "last": "the last token"}
FIELD = "pooling"


def own_pooling(config: Any) -> str:
    """The family's own pooling; "" for anything other than these three."""
    if config.model_type in ("modernbert", "modernvbert"):
        return str(config.classifier_pooling)
    if config.model_type == "eurobert":
        return "cls" if config.classifier_pooling == "bos" else ""
    if config.model_type in ("xlnet", "xlm", "flaubert"):
        return {"last": "last", "first": "cls"}.get(config.summary_type, "")
    return "last" if reads_forward(config) or config.is_encoder_decoder else "cls"


def choose_pooling(model: Any, wanted: str) -> None:
    """Sets a classifier's pooling, using its own options if it has them, and recording it otherwise.

    Args:
        model: a classifier, modified in place.
        wanted: one of `POOLINGS`.

    Raises:
        InputError: first-token pooling is requested of a left-to-right model, or any change of an encoder-decoder.
    """
    config = model.config
    kind = config.model_type
    if wanted == "cls" and reads_forward(config):
        raise InputError(
            f"--pooling cls: a {kind!r} model reads left to right, so its first token sees no other; use last"
        )
    if config.is_encoder_decoder and wanted != own_pooling(config):
        raise InputError(f"--pooling {wanted}: a {kind!r} model sees the last token of its decoder; leave it out")
    if hasattr(config, FIELD):
        delattr(config, FIELD)
    if kind == "modernbert" and wanted in ("cls", "mean"):
        config.classifier_pooling = wanted
    elif wanted != own_pooling(config):
        setattr(config, FIELD, wanted)
        apply_pooling(model)


def recorded_pooling(config: Any) -> str | None:
    """The pooling that transformers alone does not support, if any."""
    found = getattr(config, FIELD, None)
    return found if found in POOLINGS else None


def apply_pooling(model: Any) -> None:
    """Inserts the recorded pooling between a classifier's base model and its head."""
    if found := recorded_pooling(model.config):
        model.base_model.register_forward_hook(partial(_pool, found), with_kwargs=True)


def _pool(pooling: str, base: Any, args: tuple[Any, ...], named: dict[str, Any], outputs: Any) -> Any:
    """Returns the pooled vector in place of every token, so that a head finds it at any position."""
    given = dict(zip(inspect.signature(base.forward).parameters, args, strict=False)) | named
    hidden = outputs.last_hidden_state
    mask = given.get("attention_mask")
    if mask is None and given.get("input_ids") is not None:  # FNet's base does not accept a mask
        mask = given["input_ids"] != base.config.pad_token_id
    if mask is None:
        mask = torch.ones(hidden.shape[:2], device=hidden.device)
    outputs.last_hidden_state = pool(hidden, mask, pooling)[:, None].expand_as(hidden)
    if outputs.get("pooler_output") is not None:
        outputs.pooler_output = _repooled(base, outputs.last_hidden_state)
    return outputs


def pool(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """One vector per text, `(batch, width)`, from `(batch, length, width)` and a padding mask `(batch, length)`."""
    if pooling == "mean":
        shares = mask.to(hidden.dtype) / mask.sum(1, keepdim=True)
        return torch.einsum("bl,blw->bw", shares, hidden)
    places = (mask != 0) * torch.arange(1, mask.shape[1] + 1, device=mask.device)
    chosen = (places != 0).int().argmax(1) if pooling == "cls" else places.argmax(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), chosen]


def _repooled(base: Any, hidden: Tensor) -> Any:
    if hasattr(base, "pooler_activation"):  # ALBERT's pooler is a bare linear layer
        return base.pooler_activation(base.pooler(hidden[:, 0]))
    return base.pooler(hidden)
