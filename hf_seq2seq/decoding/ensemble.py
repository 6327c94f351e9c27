"""Ensembles of models with the same vocabulary: their predictions are averaged at every step."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hf_seq2seq.decoding.decoder import Decoder, as_list
from hf_seq2seq.decoding.library import library_reason, state_reason
from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers


def average(logits: Sequence[Tensor], kind: str = "probability") -> Tensor:
    """The logarithm of the mean probability, or the mean log-probability, normalized to a distribution.

    Args:
        logits: logits of each model, `(..., vocabulary)`.
        kind: "probability" or "log_probability".
    """
    log_probs = torch.stack([each.log_softmax(-1) for each in logits])
    return (
        log_probs.mean(0).log_softmax(-1)
        if kind == "log_probability"
        else log_probs.logsumexp(0) - math.log(len(logits))
    )


class EnsembleDecoder:
    """Several decoders combined into one.

    Args:
        decoders: decoders of the models, which read the same sources.
        kind: what is averaged.
    """

    def __init__(self, decoders: Sequence[Decoder], kind: str) -> None:
        self.decoders, self.kind = decoders, kind
        self.prompt, self.lengths = decoders[0].prompt, decoders[0].lengths
        self.first_tokens = getattr(decoders[0], "first_tokens", None)

    @property
    def attention(self) -> Tensor | None:
        """The mean of the models' attention; None unless all return it."""
        found = [each.attention for each in self.decoders if each.attention is not None]
        return torch.stack(found).mean(0) if len(found) == len(self.decoders) else None

    def start(self) -> Tensor:
        """As `Decoder` says."""
        return average([each.start() for each in self.decoders], self.kind)

    def step(self, tokens: Tensor) -> Tensor:
        """As `Decoder` says."""
        return average([each.step(tokens) for each in self.decoders], self.kind)

    def keep(self, rows: Tensor | None, sources: Tensor | None) -> None:
        """As `Decoder` says."""
        for each in self.decoders:
            each.keep(rows, sources)


def check_alike(
    first: tuple[str, "PreTrainedModel", "Tokenizers"], others: Sequence[tuple[str, "PreTrainedModel", "Tokenizers"]]
) -> None:
    """Rejects models that cannot form an ensemble.

    Raises:
        InputError: the vocabularies or EOS tokens differ, only one has an encoder, or only transformers can decode one.
    """
    name, model, tokenizers = first
    for place, reason in [(name, library_reason(model)), *((place, state_reason(each)) for place, each, _ in others)]:
        if reason:
            raise InputError(f"--ensemble: {place} cannot be in one: {reason}, so only transformers can decode it")
    for place, other, pieces in others:
        for side in ("source", "target"):
            if getattr(tokenizers, side).get_vocab() != getattr(pieces, side).get_vocab():
                raise InputError(f"--ensemble: {place} has a different {side} vocabulary than {name}")
        if other.config.is_encoder_decoder != model.config.is_encoder_decoder:
            raise InputError(f"--ensemble: only one of {name} and {place} has an encoder")
        if other.config.vocab_size != model.config.vocab_size:
            sizes = f"{other.config.vocab_size} and {model.config.vocab_size}"
            raise InputError(f"--ensemble: {place} and {name} have output layers of {sizes} words")
        if getattr(other.config, "copy_vocab_size", 0) != getattr(model.config, "copy_vocab_size", 0):
            raise InputError(f"--ensemble: only one of {name} and {place} copies source words")
        ends = [set(as_list(each.generation_config.eos_token_id)) for each in (model, other)]
        if all(ends) and not ends[0] & ends[1]:
            raise InputError(f"--ensemble: {place} ends outputs with token {min(ends[1])}, {name} with {min(ends[0])}")
