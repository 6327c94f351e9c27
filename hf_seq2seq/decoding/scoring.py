"""Forced decoding: log-probabilities of given targets, token by token, and the attention on the source."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from hf_seq2seq.data.collation import pad
from hf_seq2seq.data.inputs import source_of
from hf_seq2seq.decoding.decoder import mean_attention, start_tokens, takes_places
from hf_seq2seq.decoding.ensemble import average


@dataclass(frozen=True)
class Scored:
    """The scores of a target under a model.

    Attributes:
        log_probs: natural log-probability of each token.
        attention: attention on the source, averaged over layers and heads, `(target, source)`; None unless requested.
        others: log-probability of each of the other tokens that were asked about, at the steps that the target has.
        best: the most probable token of each step; empty unless requested.
    """

    log_probs: list[float]
    attention: np.ndarray | None = None
    others: list[float] = field(default_factory=list)
    best: list[int] = field(default_factory=list)

    @property
    def perplexity(self) -> float:
        """The exponential of the negative mean log-probability per token; infinite on overflow."""
        mean = sum(self.log_probs) / max(1, len(self.log_probs))
        return math.exp(-mean) if mean > -700 else math.inf


@torch.inference_mode()
def score_targets(
    models: Sequence[PreTrainedModel],
    batch: dict[str, Tensor],
    targets: Sequence[Sequence[int]],
    kind: str = "probability",
    attend: bool = False,
    others: Sequence[Sequence[int]] | None = None,
    best: bool = False,
) -> list[Scored]:
    """Scores targets in one forward pass.

    Args:
        models: one model or an ensemble, in evaluation mode.
        batch: `input_ids` and `attention_mask`, `(sources, length)`; padded on the left for decoder-only models. It may
            have what `data.inputs.searched` gives.
        targets: ids of each source's target, including EOS if it is to be scored.
        kind: what an ensemble averages.
        attend: also return the attention, if the model attends to a source.
        others: other tokens to score after the same prefixes, one list per source; those past the target's end are
            left out.
        best: also return the most probable tokens.
    """
    device = batch["attention_mask"].device
    ids = pad([np.asarray(row, dtype=np.int64) for row in targets], -1).to(device)
    passes = [target_logits(model, batch, ids, attend) for model in models]
    logits = passes[0][0] if len(passes) == 1 else average([each[0] for each in passes], kind)
    # A log_softmax would take as much memory as the logits again.
    total = logits.logsumexp(-1) if len(passes) == 1 else logits.new_zeros(logits.shape[:2])
    found = (_at(logits, ids) - total).cpu()
    weights = [each[1] for each in passes if each[1] is not None]
    attention = torch.stack(weights).mean(0).cpu() if weights else None
    asked = [list(row)[: len(target)] for row, target in zip(others or [()] * len(targets), targets, strict=True)]
    more = (_at(logits, pad([np.asarray(row, dtype=np.int64) for row in asked], -1).to(device)) - total).cpu()
    tops = logits.argmax(-1).cpu() if best else ids.new_zeros(len(targets), 0).cpu()
    return [
        Scored(
            found[row, : len(target)].tolist(),
            None if attention is None else attention[row, : len(target)].numpy(),
            more[row, : len(asked[row])].tolist(),
            tops[row, : len(target)].tolist(),
        )
        for row, target in enumerate(targets)
    ]


def _at(logits: Tensor, ids: Tensor) -> Tensor:
    """The logits of ids, `(sources, steps)`; 0 past the last of a row's ids."""
    known = torch.nn.functional.pad(ids, (0, logits.shape[1] - ids.shape[1]), value=0).clamp(min=0)
    return logits.gather(2, known[..., None])[..., 0]


@torch.inference_mode()
def encode(model: Any, batch: dict[str, Tensor]) -> dict[str, Any]:
    """A batch for `next_log_probs` with its source encoded; of a decoder-only model, the batch itself.

    Args:
        model: in evaluation mode.
        batch: one source, without padding, as `batch_of` returns it.
    """
    if not model.config.is_encoder_decoder:
        return batch
    kept: dict[str, Any] = {name: batch[name] for name in ("attention_mask", "start_tokens") if name in batch}
    return {"encoder_outputs": model.get_encoder()(**source_of(batch)), **kept}


@torch.inference_mode()
def next_log_probs(model: PreTrainedModel, batch: dict[str, Any], prefixes: Tensor) -> Tensor:
    """Log-probabilities of the token after each prefix of an output of one source, `(prefixes, vocabulary)` float64.

    Args:
        model: in evaluation mode.
        batch: the source, as `encode` returns it.
        prefixes: ids of equally many tokens each, `(prefixes, tokens)`; none at the start.
    """
    repeated = {name: _repeated(part, len(prefixes)) for name, part in batch.items()}
    ids = torch.cat([prefixes, prefixes.new_zeros(len(prefixes), 1)], 1)
    return target_logits(model, repeated, ids)[0][:, -1].double().log_softmax(-1)


def _repeated(part: Any, times: int) -> Any:
    """A tensor of one row, or the output of an encoder, for as many rows."""
    if isinstance(part, Tensor):
        return part.expand(times, *part.shape[1:])
    found = copy(part)
    for name, each in part.items():
        if isinstance(each, Tensor):
            found[name] = _repeated(each, times)
    return found


def target_logits(
    model: Any, batch: dict[str, Tensor], ids: Tensor, attend: bool = False
) -> tuple[Tensor, Tensor | None]:
    """The logits of every token of targets, in one forward pass through which gradients can flow.

    Args:
        model: in evaluation mode.
        batch: the sources, as for `score_targets`, or as `encode` returns them.
        ids: of the targets, `(sources, target)`, -1 at padding.
        attend: also return the attention, if the model attends to a source.

    Returns:
        Logits `(sources, target, vocabulary)` float32, and attention `(sources, target, source)`.
    """
    known = ids.clamp(min=0)
    if not model.config.is_encoder_decoder:
        mask = torch.cat([batch["attention_mask"], (ids >= 0).to(batch["attention_mask"].dtype)], 1)[:, :-1]
        inputs = torch.cat([batch["input_ids"], known], 1)[:, :-1]
        places = {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)} if takes_places(model) else {}
        logits = model(input_ids=inputs, attention_mask=mask, use_cache=False, **places).logits
        return logits[:, -ids.shape[1] :].float(), None
    inputs = torch.cat([start_tokens(model, batch), known[:, :-1]], 1)
    source: dict[str, Any] = source_of(batch)
    if "encoder_outputs" in batch:
        source = {name: batch[name] for name in ("encoder_outputs", "attention_mask")}
    with weighing(model) if attend else weighing(None):
        output = model(**source, decoder_input_ids=inputs, use_cache=False, output_attentions=attend, return_dict=True)
    weights = mean_attention(output.cross_attentions) if attend and output.cross_attentions else None
    return output.logits.float(), weights


@torch.inference_mode()
def attention_weights(model: Any, batch: dict[str, Tensor], target: Sequence[int]) -> np.ndarray:
    """The weights of an encoder-decoder's attention on one source, `(layers, heads, target, source)` float32.

    Args:
        model: in evaluation mode, with attention on the source.
        batch: `input_ids` and `attention_mask`, `(1, source)`.
        target: the ids whose prediction is observed, one row of weights per id.
    """
    ids = torch.tensor(
        [[int(start_tokens(model, batch)), *target][: len(target)]], device=batch["attention_mask"].device
    )
    source = source_of(batch)
    with weighing(model):
        output = model(**source, decoder_input_ids=ids, use_cache=False, output_attentions=True, return_dict=True)
    return np.stack([layer[0].float().cpu().numpy() for layer in output.cross_attentions])


@contextmanager
def weighing(model: PreTrainedModel | None) -> Iterator[None]:
    """Context manager in which a model computes attention in a way that returns the weights."""
    before = getattr(model.config, "_attn_implementation", None) if model is not None else None
    if model is None or before in (None, "eager"):
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
