"""Losses that some families add to cross-entropy in training; evaluation is without them.

Every term is a sum over rows that depends on nothing but the row, so that neither batches nor processes change it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_seq2seq.ragged import IGNORE


def asked_outputs(model: Any) -> dict[str, bool]:
    """The outputs that a model must be asked for in training: a router's logits."""
    return {"output_router_logits": True} if has_router(model) else {}


def has_router(model: Any) -> bool:
    """Whether a model has a router to experts, whose loss counts."""
    return model.config.model_type in ("switch_transformers", "nllb-moe")


def with_family_losses(model: Any, loss: Tensor, outputs: Any, batch: dict[str, Tensor], smoothing: float) -> Tensor:
    """Adds a model's own terms to the summed cross-entropy of a batch.

    Args:
        model: the model.
        loss: the sum over real target tokens.
        outputs: the model's outputs, with those of `asked_outputs`.
        batch: `attention_mask`, `(batch, source)`, and `labels`, `(batch, target)`.
        smoothing: label smoothing.

    Returns:
        `auxiliary_losses`, `(batch, target)` in nats, are added at real target tokens; the losses of ProphetNet's
        further streams are averaged with the first one's; the router's losses of a row count once per target token.
    """
    real = batch["labels"] != IGNORE
    if (auxiliary := getattr(outputs, "auxiliary_losses", None)) is not None:
        loss = loss + auxiliary[real].float().sum()
    if (later := getattr(outputs, "logits_ngram", None)) is not None and not model.config.disable_ngram_loss:
        loss = _mean_of_streams(loss, later, batch["labels"], smoothing)
    if has_router(model):
        loss = loss + (router_losses(model, outputs, batch["attention_mask"], real) * real.sum(1)).sum()
    return loss


def _mean_of_streams(first: Tensor, later: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """The loss averaged over the streams that predict a token from one, two, ... tokens before it.

    Paper: Qi et al., 2020, section 2.2, https://aclanthology.org/2020.findings-emnlp.217

    Args:
        first: the summed loss of the first stream.
        later: logits of the others, `(batch, streams, target, vocabulary)`.
        labels: `(batch, target)`.
        smoothing: label smoothing.
    """
    streams = later.shape[1]
    targets = labels[:, None].expand(-1, streams, -1)
    real = targets != IGNORE
    others = F.cross_entropy(later[real].float(), targets[real], reduction="sum", label_smoothing=smoothing)
    return (first + others) / (1 + streams)


def router_losses(model: Any, outputs: Any, source: Tensor, target: Tensor) -> Tensor:
    """The weighted losses of a router, balance and size of its logits, of each row's real tokens, `(batch,)`.

    Each token of NLLB-MoE has two experts, and only the balance counts, as in transformers.

    Paper: Fedus et al., 2022, equations 4 to 6, https://arxiv.org/abs/2101.03961; Zoph et al., 2022, equation 5,
    https://arxiv.org/abs/2202.08906

    Args:
        model: has the weights of both losses.
        outputs: its outputs, with the router's logits.
        source: 1 at real source tokens, `(batch, source)`.
        target: 1 at real target tokens, `(batch, target)`.
    """
    total = torch.zeros(len(source), device=source.device)
    sides = ((outputs.encoder_router_logits, source), (outputs.decoder_router_logits, target))
    has_two = model.config.model_type == "nllb-moe"
    for layers, mask in sides:
        if layers:  # none where a whole layer was dropped
            logits = torch.cat([layer.unflatten(0, (len(mask), -1)) if has_two else layer for layer in layers], 1)
            logits, counted = logits.float(), mask.repeat(1, len(layers)).float()
            total = total + model.router_aux_loss_coef * _imbalance(logits, counted, 1 + has_two)
            if not has_two:
                size = _row_mean(logits.logsumexp(-1)[..., None] ** 2, counted)[:, 0]
                total = total + model.router_z_loss_coef * size
    return total


def _imbalance(logits: Tensor, counted: Tensor, chosen: int) -> Tensor:
    """The product of each expert's share of tokens and mean probability, summed, times the experts, `(batch,)`.

    Args:
        logits: of a router, `(batch, positions, experts)`.
        counted: 1 at the positions that count, `(batch, positions)`.
        chosen: experts of a token.
    """
    experts = logits.shape[-1]
    shares = _row_mean(F.one_hot(logits.topk(chosen).indices, experts).sum(-2).float(), counted)
    return experts * (shares * _row_mean(logits.softmax(-1), counted)).sum(-1)


def _row_mean(values: Tensor, counted: Tensor) -> Tensor:
    """Means over the counted positions of each row; `(batch, positions, n)` becomes `(batch, n)`."""
    return (values * counted[..., None]).sum(1) / counted.sum(1, keepdim=True).clamp(min=1)
