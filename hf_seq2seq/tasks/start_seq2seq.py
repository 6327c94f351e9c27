"""Encoder-decoders of the pretrained families: a checkpoint to fine-tune, or a size to train from scratch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.messages import OBJECTIVE as DIALOGUE
from hf_seq2seq.data.mixtures import Member
from hf_seq2seq.data.tokenizers.languages import code_of, language_codes
from hf_seq2seq.data.tokenizers.special_tokens import SpecialTokens
from hf_seq2seq.data.tokenizers.spelled import read_as_text
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.defaults.pairs import FROM_SCRATCH, transformer_choices
from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.noising import NOISES
from hf_seq2seq.run_configs import Seq2SeqRun
from hf_seq2seq.sections import flag
from hf_seq2seq.task import Task
from hf_seq2seq.tasks.denoising import denoising_task
from hf_seq2seq.tasks.kept import start_tokenizers
from hf_seq2seq.tasks.languages import check_languages, force_first, in_many_languages
from hf_seq2seq.tasks.mixtures import check_mixed_run, mixed_task, mixing_given, open_mixed
from hf_seq2seq.tasks.open_options import settle_fine_tuning
from hf_seq2seq.tasks.open_text import open_documents
from hf_seq2seq.tasks.pretrained import check_start, known_overrides
from hf_seq2seq.tasks.stages import refuse_stages, texts_to_learn
from hf_seq2seq.tasks.starting import adapt_start, build_overridden, load_start, ready_tokenizer
from hf_seq2seq.training.checks import without_metrics
from hf_seq2seq.training_options import Loss

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

NOISE_OPTIONS = {
    "mlm_probability": "rate",
    "mean_noise_span_length": "mean_span_length",
    "gap_sentences_ratio": "ratio",
    "gap_selection": "selection",
    "gap_sequential": "sequential",
    "gap_unique": "unique",
}
"""Options of noises, and the parameters of noises that they set."""
OF_PAIRS = ("target_column", "context_column", "source_template", "source_prefix")
"""Options of data that raw text has no use for."""


@dataclass(frozen=True)
class Family:
    """The models that a recipe trains.

    Attributes:
        recipe: its name.
        model_types: model types of checkpoints that it fine-tunes.
        sizes: fields of the configuration, by size name.
        specials: special tokens of a trained tokenizer.
        new_config: creates a configuration with such fields for a tokenizer.
    """

    recipe: str
    model_types: tuple[str, ...]
    sizes: dict[str, dict[str, Any]]
    specials: SpecialTokens
    new_config: "Callable[[dict[str, Any], PreTrainedTokenizerBase], PreTrainedConfig]"


def family_task(family: Family, config: Seq2SeqRun) -> Task:
    """Reads pairs, conversations or raw text, loads or trains the tokenizer, loads or builds the model.

    Raises:
        InputError: neither or both of a checkpoint and a size are given, there are two vocabularies, or the checkpoint
            does not fit.
    """
    recipe, members = family.recipe, check_seq2seq_run(family, config)
    if config.denoising.objective in (("supervised",), (DIALOGUE,)):
        new = config.model.from_scratch
        choices = FROM_SCRATCH.get(recipe, transformer_choices) if new else None
        config, pairs, mixture = open_mixed(config, members, choices, joint=True)
        started = start_seq2seq(family, config, *texts_to_learn(pairs["train"]))
        if not new:
            check_languages(members, str(config.mixture.mixture), started[1])
            adapter = config.adaptation.has_adapter
            rows = sum(mixture.epochs.draws) if mixture else len(pairs["train"])
            config = settle_fine_tuning(config, recipe, rows, started[0], adapter)
        return mixed_task(recipe, config, *started, pairs, mixture, new)
    if given := mixing_given(config.mixture):
        raise InputError(f"{given[0]} needs --mixture")
    _check_objective(recipe, config.denoising.objective)
    config, documents, column = open_documents(config, config.data)
    config = without_metrics(config, "--objective on raw text reports only the loss")
    return denoising_task(recipe, config, *start_seq2seq(family, config, documents["train"], []), documents, column)


def check_seq2seq_run(family: Family, config: Seq2SeqRun) -> tuple[Member, ...]:
    """`check_run`; returns the tasks of a mixture, none where there is no mixture.

    Raises:
        InputError: also for no start or two, for two vocabularies, and for objectives that do not go together.
    """
    members = check_mixed_run(config, model_type=family.model_types[0])
    check_start(family.recipe, config)
    if config.denoising.objective != ("supervised",):
        refuse_stages(config, "conversations" if config.denoising.objective == (DIALOGUE,) else "raw text")
    _check_noise_options(family.recipe, config)
    if config.denoising.gap_masked_tokens and config.denoising.objective != ("gap_sentences",):
        raise InputError("--gap-masked-tokens needs --objective gap_sentences")
    if config.denoising.gap_masked_tokens and config.loss.loss_type != Loss().loss_type:
        raise InputError(
            f"--gap-masked-tokens: the encoder's tokens only support {Loss().loss_type}; leave out --loss-type"
        )
    return members


def _check_noise_options(recipe: str, config: Seq2SeqRun) -> None:
    """Rejects options of other noises, and of pairs for raw text."""
    chosen = [NOISES[recipe][name] for name in config.denoising.objective if name in NOISES[recipe]]
    read = {name for kind in chosen for name in signature(kind).parameters}
    if "masked_tokens" in read and config.denoising.gap_masked_tokens:
        read.add("rate")
    objective = ",".join(config.denoising.objective)
    idle = [name for name, parameter in NOISE_OPTIONS.items() if parameter not in read]
    idle += [] if chosen else ["sentence_language"]
    for section, names in ((config.denoising, idle), (config.data, OF_PAIRS if chosen else ())):
        for name in names:
            if getattr(section, name) != getattr(type(section), name):
                raise InputError(f"{flag(name)}: --objective {objective} does not read it; leave it out")


def _check_objective(recipe: str, names: tuple[str, ...]) -> None:
    known = NOISES[recipe]
    alone = ("supervised", DIALOGUE)
    for name in names:
        if name in alone:
            raise InputError(f"--objective: {name!r} cannot be combined with others; leave out one of them")
        if name not in known:
            raise InputError(f"--objective: {name!r} is not one of {recipe}{nearest(name, (*alone, *known))}")
    if not names or (len(names) > 1 and recipe != "bart"):
        raise InputError(f"--objective: name one of {', '.join((*alone, *known))}")


def start_seq2seq(
    family: Family, config: Seq2SeqRun, sources: Sequence[str], targets: Sequence[str]
) -> tuple["PreTrainedModel", Tokenizers]:
    """The checkpoint and its tokenizer, or random weights and a tokenizer trained on the texts."""
    from transformers import AutoModelForSeq2SeqLM

    if config.model.from_scratch:
        tokenizers = start_tokenizers(config, sources, targets, family.specials)
        return new_model(family, config, tokenizers), tokenizers
    loaded, fresh = load_start(family.recipe, family.model_types, AutoModelForSeq2SeqLM, config)
    tokenizer, is_foreign = ready_tokenizer(config)
    if is_foreign and config.denoising.objective in (("supervised",), (DIALOGUE,)):  # they may contain sentinels
        read_as_text(tokenizer, [config.data.source_prefix, *sources, *targets])
    if not in_many_languages(sources):
        set_languages(loaded, tokenizer, config.data)
    adapt_start(loaded, tokenizer, config, fresh)
    return loaded, Tokenizers(tokenizer, tokenizer)


def new_model(family: Family, config: Seq2SeqRun, tokenizers: Tokenizers) -> "PreTrainedModel":
    """A model of the named size with random weights.

    Raises:
        InputError: an override has no such field, or the size cannot be built.
    """
    from transformers import AutoModelForSeq2SeqLM, set_seed

    changes = known_overrides(config.model, family.new_config({}, tokenizers.target))
    set_seed(config.run.seed)
    fields = family.sizes[config.model.model_size] | changes
    return build_overridden(lambda: AutoModelForSeq2SeqLM.from_config(family.new_config(fields, tokenizers.target)))


def set_languages(model: "PreTrainedModel", tokenizer: Any, data: PairData) -> None:
    """Sets the language codes of a tokenizer that has them, and makes generation begin with the target's.

    Raises:
        InputError: a language is missing, or unknown to the tokenizer.
    """
    codes = list(language_codes(tokenizer))
    if not codes:
        return
    tokenizer.src_lang = _language("--source-lang", data.source_lang, codes)
    tokenizer.tgt_lang = _language("--target-lang", data.target_lang, codes)
    force_first(model, tokenizer, tokenizer.tgt_lang)


def _language(option: str, name: str | None, codes: list[str]) -> str:
    """The code of a language given in full (`de_DE`) or by prefix (`de`)."""
    if name is None:
        raise InputError(f"{option}: this checkpoint needs a language, such as {codes[0]}")
    return code_of(name, codes, option)
