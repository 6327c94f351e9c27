"""Search from settings: sets up a batch's rules, bounds and strategy."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from hf_seq2seq.decoding.bad_words import BadWords, NoBadWords
from hf_seq2seq.decoding.beam_search import BeamSearch
from hf_seq2seq.decoding.beams import Beam, BeamSettings
from hf_seq2seq.decoding.choice_search import ChoiceSettings, search_choices
from hf_seq2seq.decoding.choices import Choices, OnlyChoices
from hf_seq2seq.decoding.constraints import ConstrainedBeam
from hf_seq2seq.decoding.decoder import Decoder, as_list, decoding
from hf_seq2seq.decoding.diversity import Diversity
from hf_seq2seq.decoding.ensemble import EnsembleDecoder
from hf_seq2seq.decoding.forced_tokens import ForcedFirst, ForcedFirsts, ForcedLast, MinimumLength, Suppressed
from hf_seq2seq.decoding.forced_words import ForcedWords
from hf_seq2seq.decoding.hypothesis import Bounds, Hypothesis
from hf_seq2seq.decoding.library import SERVED, by_first_token, library_reason
from hf_seq2seq.decoding.library_rules import bad_words, length_decay, renormalization, sequence_bias
from hf_seq2seq.decoding.normalization import LengthNormalization
from hf_seq2seq.decoding.repetition import NgramBlocking, RepetitionPenalty
from hf_seq2seq.decoding.rules import Rule
from hf_seq2seq.decoding.sampling import Draw, OneByOne
from hf_seq2seq.decoding.search_options import SAMPLING, Search
from hf_seq2seq.decoding.steps import Running, Sources, alone
from hf_seq2seq.decoding.stopping import ForcedPrefix, StopStrings
from hf_seq2seq.decoding.warping import WARPERS, Warper
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag


@dataclass(frozen=True)
class Searcher:
    """Searches for the outputs of batches.

    Attributes:
        model: an encoder-decoder, or a decoder-only model that continues the source, in evaluation mode.
        search: search options; missing ones come from the model's generation settings.
        max_new_tokens: maximum output length in tokens, including EOS.
        first_token: first token of every output; None for that of the model's generation settings.
        others: the rest of an ensemble.
        average: what an ensemble averages, "probability" or "log_probability".
        words: words that every output must contain.
        tokenizer: tokenizer of the outputs, for models whose generation settings have stop strings.
        choices: the only outputs to choose from.
        prefixes: first tokens of the outputs of some sources, by their numbers.
    """

    model: PreTrainedModel
    search: Search
    max_new_tokens: int
    first_token: int | None = None
    others: tuple[PreTrainedModel, ...] = ()
    average: str = "probability"
    words: ForcedWords | None = None
    tokenizer: PreTrainedTokenizerBase | None = None
    choices: Choices | None = None
    prefixes: Mapping[int, Sequence[int]] = field(default_factory=dict)

    def __call__(self, batch: dict[str, Tensor], numbers: Sequence[int]) -> list[list[Hypothesis]]:
        """Outputs of every source, best first; none if the rules allow none within the maximum length.

        Args:
            batch: `input_ids` and `attention_mask`, each `(sources, length)`, 1 on real tokens; padded on the left for
                a decoder-only model. Where sources have outputs in different languages, also `first_tokens` or
                `start_tokens`, as `data.inputs.searched` gives them.
            numbers: indices that identify the sources in sampling, independently of their batch.
        """
        if reason := library_reason(self.model):
            return self._by_library(batch, reason)
        if self.choices and self.repeats:
            return self._best_choices(batch, self.choices, numbers)
        with self._decoder(batch) as decoder:
            return alone(decoder, self.begin(decoder.prompt, self.sources(decoder, numbers), range(len(numbers))))

    def sources(self, decoder: Decoder, numbers: Sequence[int]) -> Sources:
        """What is known of the sources that a decoder has read; for `numbers` see a call."""
        return Sources.of(decoder, numbers, [self.search.seed] * len(numbers))

    def begin(self, prompt: Tensor, sources: Sources, keys: Sequence[Hashable]) -> Running:
        """A search that waits for the prediction of the first token.

        Args:
            prompt: tokens before the output, `(sources, length)`, -1 at padding.
            sources: what is known of the sources.
            keys: what the caller knows them by.
        """
        count = self.search.num_return_sequences
        if self.search.num_beams > 1:
            return BeamSearch(keys, sources, self.rules, self._beams(prompt), count)
        draw = Draw(sources.seeds, sources.numbers, count, self.longest) if self.search.do_sample else None
        return OneByOne(keys, sources, self.rules, prompt, self._normalization, draw, count)

    def shares(self, other: "Searcher") -> bool:
        """Whether sources can be searched together: the settings are equal but for the seed."""
        search = other.search if other.search.seed == self.search.seed else replace(other.search, seed=self.search.seed)
        return search == self.search and replace(other, search=self.search) == self

    @property
    def repeats(self) -> bool:
        """Whether it may search several times, so that it cannot share the passes of other searches."""
        return self.choices is not None and not self.search.do_sample

    @property
    def longest(self) -> int:
        """Maximum output length in tokens; with choices, more than the longest has, so that nothing ends one."""
        return self.choices.longest + 1 if self.choices else self.max_new_tokens

    @cached_property
    def _bad_words(self) -> BadWords | None:
        return BadWords(self.search.bad_words, self.tokenizer) if self.search.bad_words and self.tokenizer else None

    @property
    def _normalization(self) -> LengthNormalization:
        return LengthNormalization(self.search.length_penalty, self.search.length_normalization)

    def rules(self, sources: Sources) -> tuple[Bounds, list[Rule]]:
        """The bounds and rules of some sources."""
        bounds = find_bounds(sources, self.search, self.settings, self.longest)
        if self.search.stop_strings and self.tokenizer:
            bounds = replace(bounds, stops=StopStrings(self.search.stop_strings, self.tokenizer))
        rules, first = find_rules(sources, self.search, self.settings, bounds, self.first_token), list[Rule]()
        if self._bad_words is not None:
            first.append(NoBadWords(self._bad_words, bounds.longest))
        if self.choices and not self.repeats:
            first.append(OnlyChoices(self.choices))
        begun = ForcedPrefix([self.prefixes.get(number, ()) for number in sources.numbers])
        return bounds, [*first, *rules, *([begun] if begun.matters else [])]

    def _best_choices(
        self, batch: dict[str, Tensor], choices: Choices, numbers: Sequence[int]
    ) -> list[list[Hypothesis]]:
        """The best of the choices for every source."""

        @contextmanager
        def decode(sources: list[int]) -> Iterator[tuple[Decoder, list[Rule]]]:
            with self._decoder({name: part[sources] for name, part in batch.items()}) as decoder:
                yield decoder, self.rules(self.sources(decoder, [numbers[source] for source in sources]))[1]

        count, eos = self.search.num_return_sequences, as_list(self.settings.eos_token_id)
        width = max(8, 2 * self.search.num_beams, 2 * count)
        settings = ChoiceSettings(choices, count, width, self._normalization, eos)
        return search_choices(decode, len(batch["attention_mask"]), settings)

    def _beams(self, prompt: Tensor) -> list[Beam]:
        settings = beam_settings(complete(self.search, self.settings), self._normalization)
        if self.words:
            return [ConstrainedBeam(prompt, settings, self.words) for _ in range(settings.beams)]
        return [Beam(prompt, settings) for _ in range(settings.beams)]

    @contextmanager
    def _decoder(self, batch: dict[str, Tensor]) -> Iterator[Decoder]:
        watch = self.search.coverage_penalty > 0
        with decoding([self.model, *self.others], batch, watch) as decoders:
            yield EnsembleDecoder(decoders, self.average) if self.others else decoders[0]

    def _by_library(self, batch: dict[str, Tensor], reason: str) -> list[list[Hypothesis]]:
        """Outputs of transformers' `generate`.

        Raises:
            InputError: the search is one that only this package supports.
        """
        has_encoder = self.model.config.is_encoder_decoder
        strange = [flag(name) for name in self.search.changed() if name not in SERVED]
        strange += ["--ensemble"] if self.others else []
        strange += ["--target-prefix-column"] if self.prefixes else []
        strange += ["--forced-bos-token"] if self.first_token is not None and not has_encoder else []
        if strange:
            raise InputError(f"{strange[0]}: not supported here; {reason}, so only transformers can decode it")
        return by_first_token(self.model, batch, self.search, self.max_new_tokens, self.first_token, self.tokenizer)

    @property
    def settings(self) -> GenerationConfig:
        """The model's generation settings."""
        return self.model.generation_config


def complete(search: Search, own: GenerationConfig) -> Search:
    """Completes the flags with a model's generation settings."""
    names = ["repetition_penalty", "min_new_tokens", *(SAMPLING if search.do_sample else ())]
    found = {name: getattr(own, name, None) for name in names if getattr(search, name) is None}
    if search.early_stopping is None:
        found["early_stopping"] = str(own.early_stopping or False).lower()
    given: dict[str, Any] = {name: value or None for name, value in found.items()}
    return replace(search, **given)


def beam_settings(search: Search, normalization: LengthNormalization) -> BeamSettings:
    """The options of beam search from the flags."""
    return BeamSettings(
        width=search.num_beams // search.num_beam_groups,
        beams=search.num_beam_groups,
        normalization=normalization,
        early_stopping=search.early_stopping or "false",
        coverage=search.coverage_penalty,
        diversity=Diversity(search.diversity_penalty, search.diversity_ngram_size),
    )


def find_bounds(sources: Sources, search: Search, own: GenerationConfig, max_new_tokens: int) -> Bounds:
    """EOS, and the maximum output length for every source."""
    longest = torch.full_like(sources.lengths, max_new_tokens)
    if search.max_length_ratio is not None:
        longest = longest.minimum((sources.lengths * search.max_length_ratio).ceil().clamp(1, max_new_tokens).long())
    return Bounds(torch.tensor(as_list(own.eos_token_id), dtype=torch.long, device=longest.device), longest)


def find_rules(
    sources: Sources, search: Search, own: GenerationConfig, bounds: Bounds, first_token: int | None
) -> list[Rule]:
    """The rules, in transformers' order."""
    search, rules = complete(search, own), list[Rule](sequence_bias(own))
    if search.repetition_penalty is not None:
        rules.append(RepetitionPenalty(search.repetition_penalty))
    if search.no_repeat_ngram_size:
        rules.append(NgramBlocking(search.no_repeat_ngram_size))
    rules += bad_words(own, bounds.eos)
    rules.append(MinimumLength(bounds.eos, find_shortest(sources, search, own, bounds.longest)))
    if first_token is None and own.forced_bos_token_id is not None:
        rules.append(ForcedFirsts(torch.where(sources.prompts == 1, own.forced_bos_token_id, -1)))
    elif first_token is not None:
        rules.append(ForcedFirst(first_token))
    rules.append(ForcedLast(as_list(own.forced_eos_token_id), bounds.longest))
    rules += length_decay(own, bounds.eos)
    rules.append(Suppressed(as_list(own.suppress_tokens)))
    rules.append(Suppressed(as_list(own.begin_suppress_tokens), only_first=True))
    rules += [Warper(name, getattr(search, name)) for name in WARPERS if getattr(search, name) is not None]
    rules += renormalization(own)
    if first_token is None:
        rules.append(ForcedFirsts(sources.first_tokens))
    return [rule for rule in rules if getattr(rule, "matters", True)]


def find_shortest(sources: Sources, search: Search, own: GenerationConfig, longest: Tensor) -> Tensor:
    """Minimum output length for each source in tokens, without EOS, `(sources,)`."""
    shortest = torch.full_like(sources.lengths, search.min_new_tokens or 0)
    if search.min_new_tokens is None and own.min_length:
        shortest = own.min_length - sources.prompts
    if search.min_length_ratio is not None:
        wanted = (sources.lengths * search.min_length_ratio).floor()
        shortest = shortest.maximum(wanted.minimum(longest.float()).long())
    return shortest
