"""Builds a generator from a loaded model and the search flags: lengths, search, ensemble, engine."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from hf_seq2seq.decoding.search_options import AVERAGES, Lengths, Search
from hf_seq2seq.decoding.splitting_options import REFUSE, Splitting
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, flag, option

if TYPE_CHECKING:
    from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
    from hf_seq2seq.decoding.languages import Languages
    from hf_seq2seq.decoding.text_generator import TextGenerator
    from hf_seq2seq.saved.run_settings import RunSettings

ENGINES = ("transformers", "ctranslate2")


@dataclass(frozen=True, kw_only=True)
class Model(Lengths):
    """Model: lengths and prefix; by default those of its training run."""

    max_new_tokens: int | None = option(
        None, "Maximum output length in tokens.", at_least=1, aliases=("max_target_length", "max_length")
    )
    engine: str = option(
        "transformers", "Inference engine; `export` writes the format of ctranslate2.", choices=ENGINES
    )


@dataclass(frozen=True, kw_only=True)
class Spoken(Section):
    """Languages: of a model that reads and writes several."""

    source_lang: str | None = option(None, "Language of the sources; by default a column source_lang of the rows.")
    target_lang: str | None = option(None, "Language to write; by default a column target_lang of the rows.")


@dataclass(frozen=True, kw_only=True)
class Ensemble(Section):
    """Ensemble: several models that generate together."""

    ensemble: tuple[str, ...] = option((), "Other models with the same vocabulary.")
    ensemble_average: str = option("probability", "What is averaged.", choices=AVERAGES)


class Generation(Protocol):
    """Sections that a generator is made from."""

    @property
    def model(self) -> Lengths:
        """Lengths and prefix."""

    @property
    def decoding(self) -> Search:
        """How outputs are searched."""


class Ensembling(Protocol):
    """Sections that an ensemble is loaded from."""

    @property
    def model(self) -> Lengths:
        """Lengths that all models need positions for."""

    @property
    def ensemble(self) -> Ensemble:
        """The other models."""


def load_model(path: str, model: Model) -> tuple[Any, "Tokenizers", "RunSettings"]:
    """A model that generates text, its tokenizers and the settings of its training run, for the requested engine."""
    if model.engine == "ctranslate2":
        from hf_seq2seq.decoding.ctranslate2_loading import load_ctranslate2

        return load_ctranslate2(path)
    from hf_seq2seq.saved.loading import load_seq2seq

    return load_seq2seq(path, model.trust_remote_code)


def make_generator(
    config: Generation,
    values: Mapping[str, Any],
    network: Any,
    tokenizers: Any,
    settings: "RunSettings",
    replies: bool = False,
    languages: tuple[str | None, str | None] = (None, None),
) -> "TextGenerator":
    """The model's generator, configured by the flags and otherwise as in training.

    Args:
        config: the sections.
        values: the given flags.
        network: the model.
        tokenizers: its `Tokenizers`.
        settings: of its training.
        replies: whether it answers conversations rather than texts.
        languages: of sources and outputs, where texts do not know theirs; None for those of training.

    Raises:
        InputError: lengths exceed the model's table of positions, conversations cannot be read, or the model lacks a
            language.
    """
    check_lengths(config.model, settings)
    longest_source = config.model.max_source_length or settings.max_source_length
    longest_output = config.model.max_new_tokens or settings.max_target_length
    if settings.joined and settings.positions and (longest_source or 0) + longest_output > settings.positions:
        raise InputError(
            f"--max-source-length {longest_source} and --max-new-tokens {longest_output}: "
            f"they share one sequence; this model has {settings.positions} positions"
        )
    search = merged_search(config.decoding, values, settings)
    _check_shortest(search, longest_source, longest_output)
    if search.coverage_penalty:
        check_attention(network, "--coverage-penalty")
    prefix = config.model.source_prefix
    engine = config.model.engine if isinstance(config.model, Model) else ENGINES[0]
    kind = _generator_class(engine, replies)
    if engine == "ctranslate2":
        _tell_beams(network, search)
    generator: TextGenerator = kind(
        network,
        tokenizers,
        search,
        max_new_tokens=longest_output,
        max_source_length=longest_source,
        prefix=settings.prefix if prefix is None else prefix,
        languages=_languages(network, tokenizers, settings, languages, prefix is not None),
    )
    if search.choices and engine == ENGINES[0]:
        _ = generator.choices  # so that errors in the file appear before anything is generated
    return generator


def _languages(
    network: Any,
    tokenizers: "Tokenizers",
    settings: "RunSettings",
    given: tuple[str | None, str | None],
    is_prefixed: bool,
) -> "Languages":
    """How a model is told languages; one with codes needs no target if its settings force the code of one."""
    from hf_seq2seq.data.tokenizers.languages import begins_with_code, language_codes
    from hf_seq2seq.decoding.languages import languages_of

    codes = language_codes(tokenizers.target)
    free = bool(codes) and network.generation_config.forced_bos_token_id is None and begins_with_code(tokenizers.target)
    return languages_of(tokenizers, settings.run, *given, may_lack=is_prefixed or (bool(codes) and not free))


def _check_shortest(search: Search, source: int | None, output: int) -> None:
    """Rejects a minimum length that no output can reach, given these maximum source and output lengths."""
    most, why = output, "--max-new-tokens"
    if search.max_length_ratio is not None and source is not None and source * search.max_length_ratio < output:
        most, why = math.ceil(source * search.max_length_ratio), f"--max-length-ratio, of {source} source tokens"
    if (search.min_new_tokens or 0) > most:
        raise InputError(
            f"--min-new-tokens: {search.min_new_tokens} is more than the maximum output length of {most} tokens ({why})"
        )


def set_splitting(generator: "TextGenerator", options: Splitting, replies: bool) -> None:
    """Lets a generator read long texts as asked.

    Raises:
        InputError: flags conflict with each other or with the search; names the flag.
    """
    options.check()
    if options.kind and replies:
        raise InputError("--split: conversations are not split; their oldest exchanges are dropped")
    if options.action == REFUSE and replies:
        raise InputError("--on-too-long refuse: not supported for conversations, whose oldest exchanges are dropped")
    if options.kind and generator.several:
        raise InputError("--split: a text in pieces has one output; leave out --num-return-sequences")
    generator.splitting = options


def check_attention(network: Any, asked: str) -> None:
    """Rejects what needs attention on the source for a model without it: decoder-only, or `attention: none`.

    Args:
        network: the model.
        asked: the flag that needs it.

    Raises:
        InputError: the model has no such attention; names the flag.
    """
    if not network.config.is_encoder_decoder:
        raise InputError(f"{asked}: needs attention on a source; this model is decoder-only, without an encoder")
    if getattr(network.config, "attention", None) == "none":
        raise InputError(f"{asked}: needs attention on a source; this model was built with --attention none")


def has_attention(network: Any) -> bool:
    """Whether a model has attention on a source."""
    return bool(network.config.is_encoder_decoder) and getattr(network.config, "attention", None) != "none"


def _tell_beams(network: Any, search: Search) -> None:
    from hf_seq2seq.decoding.ctranslate2_engine import beam_remark

    if remark := beam_remark(network.generation_config, search):
        print(remark, file=sys.stderr)


def _generator_class(engine: str, replies: bool) -> Any:
    """The generator; modules of other engines are not imported."""
    if engine == "ctranslate2":
        from hf_seq2seq.decoding.ctranslate2_engine import CTranslate2TextGenerator

        if replies:
            raise InputError("--engine ctranslate2: does not support conversations")
        return CTranslate2TextGenerator
    if replies:
        from hf_seq2seq.decoding.dialogue import ReplyGenerator

        return ReplyGenerator
    from hf_seq2seq.decoding.text_generator import TextGenerator

    return TextGenerator


def merged_search(search: Search, values: Mapping[str, Any], settings: "RunSettings") -> Search:
    """The given flags, and the settings of the model's training run, whose beams are ignored when sampling.

    Raises:
        InputError: they are incompatible.
    """
    trained = {} if search.do_sample else settings.decoding
    given = {name: getattr(search, name) for name in values if hasattr(search, name)}
    merged = Search(**trained | given)
    merged.check()
    return merged


def load_others(
    name: str, network: Any, tokenizers: "Tokenizers", settings: "RunSettings", config: Ensembling
) -> tuple[tuple[Any, ...], "RunSettings"]:
    """The rest of an ensemble, and the settings that all its models support.

    Args:
        name: name of the first model.
        network: the first model.
        tokenizers: its own.
        settings: settings of its training run.
        config: the sections.

    Raises:
        InputError: one of the models has a different vocabulary, has too few positions for the given lengths, cannot be
            loaded, or cannot be in an ensemble.
    """
    if not config.ensemble.ensemble:
        return (), settings
    from hf_seq2seq.data.files.lines import rejoined
    from hf_seq2seq.decoding.ensemble import check_alike
    from hf_seq2seq.saved.loading import load_seq2seq

    loaded = [
        (place, *load_seq2seq(place, config.model.trust_remote_code)) for place in rejoined(config.ensemble.ensemble)
    ]
    check_alike((name, network, tokenizers), [(place, each, pieces) for place, each, pieces, _ in loaded])
    for place, _, _, own in loaded:
        check_lengths(config.model, own, place)
        settings = _narrowed(settings, own, place, config.model)
    return tuple(each for _, each, _, _ in loaded), settings


def _narrowed(settings: "RunSettings", own: "RunSettings", place: str, model: Lengths) -> "RunSettings":
    """Settings that also fit another model's positions; warns if they had to be reduced."""
    positions = own.positions
    if positions is None or (settings.positions is not None and settings.positions <= positions):
        return settings
    source, target = settings.max_source_length, min(settings.max_target_length, positions)
    if settings.joined:
        target = target if target < positions else positions // 2
    room = positions - target if settings.joined else own.source_positions or positions
    source = room if source is None else min(source, room)
    cut = []
    if model.max_source_length is None and source != settings.max_source_length:
        cut.append(f"sources are truncated to {source} tokens")
    if model.max_new_tokens is None and target < settings.max_target_length:
        cut.append(f"outputs to {target}")
    if cut:
        print(f"{place}: has {positions} positions: {', '.join(cut)}", file=sys.stderr)
    settings = replace(settings, positions=positions, source_positions=own.source_positions)
    return replace(settings, max_source_length=source, max_target_length=target)


def check_lengths(model: Section, settings: "RunSettings", place: str = "this model") -> None:
    """Rejects given lengths for which a model has too few positions.

    Raises:
        InputError: a length is too large; names the flag and its maximum.
    """
    for name, most in (("max_source_length", settings.source_positions), ("max_new_tokens", settings.positions)):
        length = getattr(model, name, None)
        if length and most and length > most:
            raise InputError(f"{flag(name)}: {length} is too large; {place} has {most} positions")
