"""Generation with CTranslate2, with the same interface as for PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from hf_seq2seq.data.batches import ordered_batches
from hf_seq2seq.data.inputs import Inputs
from hf_seq2seq.data.tokenizers.languages import groups_by
from hf_seq2seq.decoding.counts import Counts
from hf_seq2seq.decoding.generation import as_search
from hf_seq2seq.decoding.outputs import Output
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.sections import flag

if TYPE_CHECKING:
    from transformers import GenerationConfig

UNKNOWN_SETTINGS = (
    "begin_suppress_tokens",
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "exponential_decay_length_penalty",
    "sequence_bias",
)
"""Generation settings that CTranslate2 does not support."""
KNOWN_FLAGS = (
    *("num_beams", "length_penalty", "no_repeat_ngram_size", "per_device_eval_batch_size", "num_return_sequences"),
    *("early_stopping", "repetition_penalty", "min_new_tokens", "forced_bos_token", "seed"),
)
"""Search flags that it supports."""
Scored = tuple[list[int], float]
Ranked = tuple[list[list[int]], list[float]]
"""The outputs of a source, best first, and their scores."""


@dataclass(frozen=True)
class Shape:
    """The part of a model's configuration that `read_settings` reads."""

    is_encoder_decoder: bool
    max_position_embeddings: int | None


@dataclass(frozen=True)
class CTranslate2Model:
    """An exported model.

    Attributes:
        engine: a `ctranslate2.Translator`, or for a decoder-only model a `Generator`.
        source_tokens: the source vocabulary in the order of its ids.
        target_tokens: the target vocabulary in the order of its ids.
        generation_config: the model's own settings: forced tokens, minimum length, repetition.
        config: whether the model has an encoder, and its number of positions.
    """

    engine: Any
    source_tokens: list[str]
    target_tokens: list[str]
    generation_config: "GenerationConfig"
    config: Shape

    def generate(
        self, sources: Sequence[Sequence[int]], search: Search, max_new_tokens: int, first_token: int | None = None
    ) -> list[list[Scored]]:
        """Generates the best targets of every source, best first.

        Args:
            sources: ids of each source, special tokens included, without padding.
            search: search options, and outputs per source.
            max_new_tokens: maximum length of a target in tokens, including EOS.
            first_token: first token of every target of an encoder-decoder; by default from the model's settings.

        Returns:
            For each source the ids of each target, without start token and EOS, and its score: the summed
            log-probability, with beam search normalized by length according to `length_penalty`.
        """
        tokens = [[self.source_tokens[number] for number in source] for source in sources]
        options = search_options(self.generation_config, search) | {"return_scores": True}
        suppressed = options.pop("suppress_tokens")
        options["suppress_sequences"] = [[self.target_tokens[number]] for number in suppressed] or None
        if self.config.is_encoder_decoder:
            number = self.generation_config.forced_bos_token_id if first_token is None else first_token
            first = None if number is None else self.target_tokens[number]
            ruled = bool(first or suppressed or search.no_repeat_ngram_size or options["min_decoding_length"])
            if search.num_beams == 1 or options["repetition_penalty"] != 1 or not ruled:
                found = self._translate(tokens, options, max_new_tokens, first)
            else:
                options |= {"num_hypotheses": search.num_beams, "return_end_token": True}
                found = self._scored(tokens, self._translate(tokens, options, max_new_tokens, first), search, first)
        else:
            lengths = {"max_length": max_new_tokens, "min_length": options.pop("min_decoding_length")}
            results = self.engine.generate_batch(tokens, include_prompt_in_result=False, **lengths, **options)
            found = [(result.sequences_ids, result.scores) for result in results]
        pad = self.generation_config.pad_token_id
        return [
            [([number for number in row if number != pad], score) for row, score in zip(*best, strict=True)]
            for best in found
        ]

    def _translate(
        self, tokens: list[list[str]], options: dict[str, Any], max_new_tokens: int, first: str | None
    ) -> list[Ranked]:
        settings, ids = self.generation_config, {token: number for number, token in enumerate(self.target_tokens)}
        # A forced last token is EOS, which is not part of the text.
        longest = max_new_tokens if settings.forced_eos_token_id is None else max(max_new_tokens - 1, 1)
        prefix = None if first is None else [[first]] * len(tokens)
        results = self.engine.translate_batch(
            tokens, prefix, max_input_length=0, max_decoding_length=longest, **options
        )
        return [([[ids[token] for token in row] for row in result.hypotheses], result.scores) for result in results]

    def _scored(self, sources: list[list[str]], found: list[Ranked], search: Search, first: str | None) -> list[Ranked]:
        """Hypotheses of beam search with PyTorch's scores, best first, without EOS.

        CTranslate2's own scores are relative to the distribution after masking, and count a forced first token.
        """
        ends = _ends(self.generation_config)
        rows = [(source, ids) for source, (outputs, _) in zip(sources, found, strict=True) for ids in outputs]
        bare = [ids[:-1] if ids and ids[-1] in ends else ids for _, ids in rows]
        targets = [[self.target_tokens[number] for number in ids] for ids in bare]
        log_probs = self.engine.score_batch([source for source, _ in rows], targets, max_input_length=0)
        forced_last, forced_first = self.generation_config.forced_eos_token_id is not None, first is not None
        scored = []
        for (_, whole), ids, result in zip(rows, bare, log_probs, strict=True):
            length = len(whole) + (
                forced_last and len(whole) == len(ids)
            )  # forced tokens count toward the length but cost nothing
            total = sum(result.log_probs[forced_first : len(whole)])
            scored.append((ids, total / max(1, length) ** search.length_penalty))
        each, ranked = iter(scored), list[Ranked]()
        for outputs, _ in found:
            best = sorted(islice(each, len(outputs)), key=lambda pair: -pair[1])[: search.num_return_sequences]
            ranked.append(([ids for ids, _ in best], [score for _, score in best]))
        return ranked


@dataclass
class CTranslate2TextGenerator(TextGenerator):
    """`TextGenerator` for an exported model; its only detail is the score, and ensembles are not supported."""

    model: CTranslate2Model  # type: ignore[assignment]  # supports the calls of the inherited methods

    def _outputs(
        self, texts: list[Any], numbers: list[int], begun: Mapping[int, list[int]] | None = None
    ) -> tuple[list[list[Output]], Counts]:
        if begun:
            raise InputError("--engine ctranslate2: does not support --target-prefix-column")
        sources, _, counts = self.read_sources(texts)
        found: list[list[Output]] = [[] for _ in texts]
        unended = 0
        # Longest first: a batch that does not fit in memory fails immediately.
        for rows in reversed(ordered_batches(sources.lengths[:, None], self.decoding.per_device_eval_batch_size)):
            outputs, cut_off = self._batch(sources, rows)
            unended += cut_off
            for row, best in zip(rows, outputs, strict=True):
                found[row] = best
            if self.advance:
                self.advance(len(rows))
        return found, counts + Counts(unended=unended)

    def _batch(self, sources: Ragged, rows: Any) -> tuple[list[list[Output]], int]:
        """The outputs of rows, and how many of the best reached the maximum length without ending."""
        results = self._generated(sources, rows)
        found = [row for best in results for row, _ in best]
        texts = iter(self.tokenizers.target.batch_decode(found, skip_special_tokens=True))
        detail = "score" in self.details
        outputs = [
            [
                Output(next(texts), {"score": score} if detail else {}, len(ids) >= self.max_new_tokens)
                for ids, score in best
            ]
            for best in results
        ]
        return outputs, sum(bool(best) and best[0].unended for best in outputs)

    def _generated(self, sources: Ragged, rows: Any) -> list[list[Scored]]:
        """The targets of rows, in one call of the engine per language in which they begin."""
        first = self.first_token
        if not isinstance(sources, Inputs) or sources.codes is None or first is not None:
            ids = [sources[row].tolist() for row in rows]
            return self.model.generate(ids, as_search(self.decoding), self.max_new_tokens, first)
        if not sources.is_first:
            raise InputError("--engine ctranslate2: does not support languages that start the decoder, as mBART's do")
        found: dict[int, list[Scored]] = {}
        for code, numbers in groups_by(sources.codes[rows].tolist()).items():
            ids = [sources[rows[number]].tolist() for number in numbers]
            results = self.model.generate(
                ids, as_search(self.decoding), self.max_new_tokens, None if code < 0 else code
            )
            found |= dict(zip(numbers, results, strict=True))
        return [found[number] for number in range(len(rows))]


def search_options(settings: "GenerationConfig", search: Search) -> dict[str, Any]:
    """The search options in CTranslate2's terms; `suppress_tokens` are ids that are never generated.

    Raises:
        InputError: CTranslate2 does not support a flag or one of the model's generation settings.
    """
    for name in search.changed():
        if name not in KNOWN_FLAGS:
            raise InputError(f"--engine ctranslate2: does not support {flag(name)}")
    if search.early_stopping == "never":
        raise InputError("--engine ctranslate2: does not support --early-stopping never")
    penalty = search.repetition_penalty or settings.repetition_penalty or 1.0
    stops = settings.early_stopping is True if search.early_stopping is None else search.early_stopping == "true"
    unknown = [name for name in UNKNOWN_SETTINGS if getattr(settings, name, None) not in (None, 0, 1.0, [])]
    if settings.decoder_start_token_id in _ends(settings) and penalty != 1.0:
        unknown.append("repetition_penalty")  # elsewhere the start token counts as already generated
    words = settings.bad_words_ids or []
    if unknown or any(len(word) > 1 for word in words):
        name = unknown[0] if unknown else "bad_words_ids"
        raise InputError(f"--engine ctranslate2: does not support {name}, which generation_config.json sets")
    # `min_length` includes the decoder's start token.
    shortest = search.min_new_tokens
    if shortest is None:
        shortest = max(settings.min_new_tokens or 0, (settings.min_length or 1) - 1)
    return {
        "beam_size": search.num_beams,
        "num_hypotheses": search.num_return_sequences,
        # Without early stopping, `generate` continues while a better output is likely. CTranslate2 counts instead: with
        # twice as many finished outputs as beams it found the same best ones.
        "patience": 1 if search.num_beams == 1 or stops else 2,
        "length_penalty": search.length_penalty,
        "no_repeat_ngram_size": search.no_repeat_ngram_size,
        "repetition_penalty": penalty,
        "min_decoding_length": shortest,
        "suppress_tokens": [*(settings.suppress_tokens or []), *(word[0] for word in words)],
        "end_token": _ends(settings),
    }


def beam_remark(settings: "GenerationConfig", search: Search) -> str | None:
    """A warning that beams differ from PyTorch's, and due to which flag or setting; None if they do not.

    CTranslate2 renormalizes probabilities after masking, so that hypotheses are ranked differently as soon as a token
    is forbidden; and it stops after a number of finished hypotheses, so that with a strong length penalty, and below
    the best output, it finds others.
    """
    if search.num_beams == 1:
        return None
    options = search_options(settings, search)
    asked = {
        "--min-new-tokens": options["min_decoding_length"] > 0,
        "--no-repeat-ngram-size": bool(search.no_repeat_ngram_size),
        "--repetition-penalty": options["repetition_penalty"] != 1,
        "suppress_tokens or bad_words_ids in generation_config.json": bool(options["suppress_tokens"]),
        f"--length-penalty {search.length_penalty:g}": search.length_penalty not in (0, 1),
        "--num-return-sequences above 1": search.num_return_sequences > 1,
    }
    causes = [name for name, given in asked.items() if given]
    if not causes:
        return None
    why = ", ".join(causes)
    return f"--engine ctranslate2: its beams with {why} are not PyTorch's: outputs and scores differ in some rows"


def _ends(settings: "GenerationConfig") -> list[int]:
    eos = settings.eos_token_id
    return list(eos) if isinstance(eos, list) else [] if eos is None else [eos]
