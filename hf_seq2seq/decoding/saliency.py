"""Gradients x input: how much each input token adds to a score, to first order.

A token's share is the dot product of its embedding and the gradient of the score with respect to it: the derivative of
the score as the embedding is scaled. It says how the score would begin to change, not why the model computes it.

Paper: Denil et al. 2015, Extraction of Salient Sentences from Labelled Documents, section 3,
    https://arxiv.org/abs/1412.6815 (for text)
Paper: Shrikumar et al. 2017, Not Just a Black Box, https://arxiv.org/abs/1605.01713 (gradient x input)
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hf_seq2seq.data.windows import pool_windows
from hf_seq2seq.decoding.scoring import target_logits


@contextmanager
def recorded(model: nn.Module) -> Iterator[list[Tensor]]:
    """Keeps the embeddings that a forward pass looks up, in order, as leaves that gradients reach.

    cuDNN is off meanwhile: its recurrent layers have no gradients in evaluation mode.
    """
    leaves: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        leaves.append(output.detach().clone().requires_grad_())
        return leaves[-1]

    hooks = [module.register_forward_hook(keep) for module in _embeddings(model)]
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            yield leaves
    finally:
        for hook in hooks:
            hook.remove()


def _embeddings(model: Any) -> list[nn.Module]:
    """The tables of tokens, each once: the model's own, its encoder's and its decoder's."""
    parts = [model, *(model.get_encoder(), model.get_decoder())] if model.config.is_encoder_decoder else [model]
    found = dict[int, nn.Module]()
    for part in parts:
        table = getattr(part, "embed_tokens", None)
        table = part.get_input_embeddings() if table is None else table
        found[id(table)] = table
    return list(found.values())


def _shares(score: Tensor, leaves: Sequence[Tensor], again: bool = False) -> list[np.ndarray]:
    """The dot products of embeddings and gradients, `(tokens,)` of each leaf `(1, tokens, width)`."""
    slopes = torch.autograd.grad(score, list(leaves), retain_graph=again, allow_unused=True)
    return [
        np.zeros(leaf.shape[1]) if slope is None else (slope * leaf).sum(-1)[0].detach().double().cpu().numpy()
        for slope, leaf in zip(slopes, leaves, strict=True)
    ]


def label_saliency(model: Any, batch: dict[str, Tensor], score_of: Callable[[Tensor], Tensor]) -> np.ndarray:
    """What each token of one text adds to a score of its logits, `(tokens,)` float64.

    Args:
        model: a classifier in evaluation mode.
        batch: its inputs, `(1, tokens)` each.
        score_of: a number of the logits `(classes,)`, such as one of them.
    """
    with recorded(model) as leaves:
        logits = model(**batch).logits[0].float()
        return _shares(score_of(logits), leaves[:1])[0]


def pooled_saliency(
    model: Any, windows: Sequence[dict[str, Tensor]], pooling: str, score_of: Callable[[Tensor], Tensor]
) -> list[np.ndarray]:
    """What each token of each window of one text adds to a score of the pooled logits, `(tokens,)` float64 per window.

    Memory is that of one window's backward pass.

    Args:
        model: a classifier in evaluation mode.
        windows: the inputs of each window, `(1, tokens)` each.
        pooling: "mean", "max" or "first", as in `data.windows`.
        score_of: a number of the pooled logits `(classes,)`.
    """
    with torch.no_grad():
        logits = torch.cat([model(**window).logits.float() for window in windows])
    with torch.inference_mode(False), torch.enable_grad():
        logits = logits.detach().clone().requires_grad_()
        owners = torch.zeros(len(windows), dtype=torch.long, device=logits.device)
        slopes = torch.autograd.grad(score_of(pool_windows(logits, owners, 1, pooling)[0]), logits)[0]
    return [
        label_saliency(model, window, lambda own, slope=slope: (own * slope).sum())  # type: ignore[misc]
        for window, slope in zip(windows, slopes, strict=True)
    ]


def target_saliency(model: Any, batch: dict[str, Tensor], target: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """What each token before it adds to the log-probability of each output token.

    Args:
        model: in evaluation mode.
        batch: `input_ids` and `attention_mask` of one source, `(1, source)`; it may have what `data.inputs.searched`
            gives.
        target: ids of the output.

    Returns:
        Of the source `(target, source)`, and of the output's earlier tokens `(target, target)`, whose column t is the
        token before token t, so that the first column is the start token; NaN where a model embeds them one by one.
    """
    size, own = batch["input_ids"].shape[1], torch.tensor([list(target)], device=batch["input_ids"].device)
    with recorded(model) as leaves:
        log_probs = _target_log_probs(model, batch, own)
        whole = [leaves[0], *(leaf for leaf in leaves[1:2] if leaf.shape[1] == len(target))]
        rows = [_shares(each, whole, again=True) for each in log_probs]
    parts = [np.stack(each) for each in zip(*rows, strict=True)]
    if not model.config.is_encoder_decoder:
        places = np.arange(size - 1, size + len(target) - 1)
        before = parts[0][:, places]
        before[:, 0] = 0  # the last token of the source is one of the source
        return parts[0][:, :size], before
    return parts[0], parts[1] if len(parts) > 1 else np.full((len(target), len(target)), np.nan)


def _target_log_probs(model: Any, batch: dict[str, Tensor], target: Tensor) -> Tensor:
    """The log-probability of every token of a target `(1, target)`, as `(target,)` float32 with a graph."""
    logits, _ = target_logits(model, batch, target)
    return logits.log_softmax(-1).gather(2, target[..., None])[0, :, 0]
