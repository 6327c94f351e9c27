"""From settings to outputs: which rules, bounds and strategy a search has, for one batch."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel
from transformers.generation.logits_process import (
    LogitsProcessor,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from hf_seq2seq.configs import SAMPLING, Search
from hf_seq2seq.decoding.beam_search import BeamSearch, beam_search
from hf_seq2seq.decoding.decoder import Decoder, decoding
from hf_seq2seq.decoding.diversity import Diversity
from hf_seq2seq.decoding.forced_tokens import ForcedFirst, ForcedLast, MinimumLength, Suppressed
from hf_seq2seq.decoding.hypothesis import Bounds, Hypothesis
from hf_seq2seq.decoding.normalization import LengthNormalization
from hf_seq2seq.decoding.repetition import NgramBlocking, RepetitionPenalty
from hf_seq2seq.decoding.rules import Prefixes, Rule
from hf_seq2seq.decoding.sampling import Draw, greedy, one_by_one

WARPERS: dict[str, type[LogitsProcessor]] = {
    "temperature": TemperatureLogitsWarper,
    "top_k": TopKLogitsWarper,
    "top_p": TopPLogitsWarper,
    "min_p": MinPLogitsWarper,
    "typical_p": TypicalLogitsWarper,
}
"""The library's ways to narrow a distribution, in its order."""


class Warper:
    """One of the library's ways, as a rule.

    Args:
        name: of the setting.
        value: of the setting.
    """

    def __init__(self, name: str, value: float) -> None:
        self.process: Any = WARPERS[name](value)

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """As `Rule` says."""
        narrowed: Tensor = self.process(prefixes.tokens, scores)
        return narrowed


def search_batch(
    model: PreTrainedModel, batch: dict[str, Tensor], search: Search, max_new_tokens: int, numbers: Sequence[int]
) -> list[list[Hypothesis]]:
    """Outputs of every source, best first.

    Args:
        model: an encoder-decoder, or a decoder that goes on from the source, in evaluation mode.
        batch: `input_ids` and `attention_mask`, each `(sources, length)`, 1 on real tokens.
        search: how to search; what it leaves open, the model's own generation settings say.
        max_new_tokens: longest output in tokens, EOS counted.
        numbers: what tells the sources apart in sampling, whatever their batch.
    """
    own: GenerationConfig = model.generation_config  # type: ignore[assignment]
    search = complete(search, own)
    with decoding(model, batch, start_token(model), watch=search.coverage_penalty > 0) as decoder:
        return run(decoder, search, own, max_new_tokens, numbers)


def complete(search: Search, own: GenerationConfig) -> Search:
    """Fills in what the flags leave open from a model's own generation settings."""
    names = ["repetition_penalty", "min_new_tokens", *(SAMPLING if search.do_sample else ())]
    found = {name: getattr(own, name, None) for name in names if getattr(search, name) is None}
    if search.early_stopping is None:
        found["early_stopping"] = str(own.early_stopping or False).lower()
    if found.get("top_k") == 0:
        found["top_k"] = None
    return replace(search, **found)


def start_token(model: PreTrainedModel) -> int | None:
    """The decoder's first input; None for a decoder alone."""
    own: Any = model.generation_config
    if not model.config.is_encoder_decoder:
        return None
    return own.bos_token_id if own.decoder_start_token_id is None else int(own.decoder_start_token_id)


def run(
    decoder: Decoder, search: Search, own: GenerationConfig, max_new_tokens: int, numbers: Sequence[int]
) -> list[list[Hypothesis]]:
    """Searches by the strategy that the settings name; arguments as in `search_batch`."""
    bounds = find_bounds(decoder, search, own, max_new_tokens)
    rules = find_rules(decoder, search, own, bounds)
    normalization = LengthNormalization(search.length_penalty, search.length_normalization)
    if search.num_beams == 1:
        samples, choose = search.num_return_sequences, greedy
        if search.do_sample:
            choose = Draw(search.seed, numbers, samples, max_new_tokens)
        return one_by_one(decoder, rules, bounds, normalization, choose, samples)
    beams = BeamSearch(
        width=search.num_beams // search.num_beam_groups,
        beams=search.num_beam_groups,
        normalization=normalization,
        early_stopping=search.early_stopping or "false",
        coverage=search.coverage_penalty,
        diversity=Diversity(search.diversity_penalty, search.diversity_ngram_size),
    )
    return beam_search(decoder, rules, bounds, beams, search.num_return_sequences)


def find_bounds(decoder: Decoder, search: Search, own: GenerationConfig, max_new_tokens: int) -> Bounds:
    """EOS, and the greatest length of every source."""
    longest = torch.full_like(decoder.lengths, max_new_tokens)
    if search.max_length_ratio is not None:
        longest = longest.minimum((decoder.lengths * search.max_length_ratio).ceil().long()).clamp(min=1)
    return Bounds(torch.tensor(eos_tokens(own), dtype=torch.long, device=longest.device), longest)


def eos_tokens(own: GenerationConfig) -> list[int]:
    """The tokens that end an output."""
    eos: Any = own.eos_token_id
    return [] if eos is None else list(eos) if isinstance(eos, list | tuple) else [int(eos)]


def find_rules(decoder: Decoder, search: Search, own: GenerationConfig, bounds: Bounds) -> list[Rule]:
    """The rules, in the library's order."""
    rules: list[Rule] = []
    if search.repetition_penalty not in (None, 1):
        rules.append(RepetitionPenalty(float(search.repetition_penalty or 1)))
    if search.no_repeat_ngram_size:
        rules.append(NgramBlocking(search.no_repeat_ngram_size))
    if own.bad_words_ids:
        rules.append(Suppressed([ids[0] for ids in own.bad_words_ids]))
    shortest = find_shortest(decoder, search, own)
    if len(bounds.eos) and bool((shortest > 0).any()):
        rules.append(MinimumLength(bounds.eos, shortest))
    rules += forced(own, bounds, decoder.prompt.shape[1] == 1)
    return rules + [Warper(name, getattr(search, name)) for name in WARPERS if getattr(search, name) is not None]


def forced(own: GenerationConfig, bounds: Bounds, from_start: bool) -> list[Rule]:
    """What a model's own settings demand or forbid."""
    rules: list[Rule] = []
    if own.forced_bos_token_id is not None and from_start:
        rules.append(ForcedFirst(own.forced_bos_token_id))
    if own.forced_eos_token_id is not None:
        eos = own.forced_eos_token_id
        rules.append(ForcedLast(tuple(eos) if isinstance(eos, list) else (eos,), bounds.longest))
    if own.suppress_tokens:
        rules.append(Suppressed(list(own.suppress_tokens)))
    if own.begin_suppress_tokens:
        rules.append(Suppressed(list(own.begin_suppress_tokens), only_first=True))
    return rules


def find_shortest(decoder: Decoder, search: Search, own: GenerationConfig) -> Tensor:
    """Tokens of the shortest output of each source, EOS not counted, `(sources,)`."""
    shortest = torch.full_like(decoder.lengths, search.min_new_tokens or 0)
    if search.min_new_tokens is None and own.min_length:
        shortest = own.min_length - (decoder.lengths if decoder.prompt.shape[1] > 1 else torch.ones_like(shortest))
    if search.min_length_ratio is not None:
        shortest = shortest.maximum((decoder.lengths * search.min_length_ratio).floor().long())
    return shortest
