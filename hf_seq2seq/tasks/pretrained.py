"""Checkpoints to start from, checked against the recipe."""

import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hf_seq2seq.configs import Adaptation, NewTokenizer, OneTokenizer, Pretrained, RunConfig
from hf_seq2seq.data.tokenizers.vocabulary import (
    NEEDS_SENTENCEPIECE,
    Tokenizers,
    check_longest,
    lacks_sentencepiece,
    with_tokens,
)
from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.run_configs import CheckpointTokens, PretrainedRun
from hf_seq2seq.saved.adapters import load_adapted, merge_adapter
from hf_seq2seq.saved.embeddings import (
    check_embeddings,
    old_pieces,
    resize_embeddings,
    start_at_means,
    token_tables,
)
from hf_seq2seq.saved.family_needs import meet_needs
from hf_seq2seq.saved.loading import explained, load_config
from hf_seq2seq.saved.model_paths import adapter_copy, find_model, is_adapter, tokenizer_place
from hf_seq2seq.saved.quantization import keep_differentiable
from hf_seq2seq.saved.setting_types import check_config
from hf_seq2seq.sections import MOST_LAYERS, flag, section_of
from hf_seq2seq.settings_files import explained_yaml
from hf_seq2seq.tasks.new_pieces import update_vocabulary
from hf_seq2seq.training.adaptation import NewRows

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

SETTLED = (
    *("vocab_size", "num_labels", "id2label", "label2id", "problem_type", "is_encoder_decoder", "model_type"),
    *("architectures", "transformers_version", "_name_or_path", "quantization_config", "is_decoder"),
)
"""Fields of a configuration that a run sets itself."""
SIZES = re.compile(r"layers?$|heads?$|_dim$|^d_|_size$|_buckets$|^n_|^num_")
"""Names of sizes, which are 1 at the least."""

OF_RECIPES = {
    **{"rnn-seq2seq": "rnn", "transformer-seq2seq": "transformer", "transformer-encoder": "bert_classifier"},
    **{"transformer-decoder": "gpt", "t5": "t5", "bart": "bart", "mbart": "bart", "pegasus": "pegasus"},
    **{"bert": "bert_classifier", "roberta": "bert_classifier"},
}
"""The recipes of types of models that more than one could load, or only one."""


def check_start(recipe: str, config: PretrainedRun) -> None:
    """Rejects an invalid start: both or neither of a checkpoint and random weights, or two vocabularies.

    Raises:
        InputError: the start is invalid; names the flags.
    """
    model, tokens = config.model, config.tokens
    if (model.model_name_or_path is None) != model.from_scratch:
        start = "--model-name-or-path or --from-scratch: a checkpoint or random weights"
        raise InputError(f"{recipe}: give either {start}")
    if model.resize_embeddings and model.from_scratch:
        raise InputError("--resize-embeddings: a model --from-scratch has embeddings for every token; leave it out")
    if model.model_name_or_path is not None:
        refuse_new_tokenizers(tokens, model.model_name_or_path, {})
    two = isinstance(tokens, NewTokenizer) and (
        tokens.separate_vocabularies or tokens.target_tokenizer_type is not None
    )
    if two:
        raise InputError(f"{recipe} has one vocabulary: leave out --separate-vocabularies and --target-tokenizer-type")


def known_overrides(source: Pretrained, known: "PreTrainedConfig") -> dict[str, Any]:
    """Reads `config_overrides`, such as `("d_model=64", "dropout=0.0")`; values are read as YAML.

    Args:
        source: the section that may have them.
        known: a configuration of the kind to change.

    Raises:
        InputError: the equals sign is missing, or the configuration has no such field.
    """
    import yaml

    found = {}
    for pair in getattr(source, "config_overrides", ()):
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--config-overrides: {pair!r} is not NAME=VALUE, such as d_model=256")
        name = name.strip().replace("-", "_")
        if name in found:
            raise InputError(f"--config-overrides: {name} is given twice")
        if name in SETTLED or (name.endswith("token_id") and getattr(source, "from_scratch", False)):
            raise InputError(f"--config-overrides: {name} follows from the run; leave it out")
        if not hasattr(known, name):
            hint = nearest(name, known.to_dict())
            raise InputError(f"--config-overrides: {known.model_type} has no {name!r}{hint}")
        with explained_yaml(f"--config-overrides {name}"):
            found[name] = yaml.safe_load(value)
        _check_size(name, found[name])
    return found


def _check_size(name: str, value: Any) -> None:
    """Rejects sizes that make no model."""
    if SIZES.search(name) is None or isinstance(value, bool) or not isinstance(value, int | float):
        return
    most = MOST_LAYERS if re.search("layers?$", name) else 2**31
    if not 1 <= value <= most:
        raise InputError(f"--config-overrides: {name}: {value} is not from 1 to {most:,}")


def load_pretrained(
    recipe: str,
    families: tuple[str, ...],
    auto: Any,
    source: Pretrained,
    quantization: dict[str, Any] | None = None,
    **changes: Any,
) -> tuple["PreTrainedModel", list[str]]:
    """Loads a checkpoint in float32 to train on.

    Args:
        recipe: the recipe's name, for the error.
        families: the `model_type`s that it trains; empty means any supported by the class.
        auto: the Auto class.
        source: names the checkpoint, and optionally overrides of its configuration.
        quantization: options of `from_pretrained` that quantize its weights; empty keeps them in float32.
        changes: changes to the checkpoint's configuration.

    Returns:
        The model, and the names of its randomly initialized modules missing from the checkpoint, such as a new head.

    Raises:
        InputError: there is no model, the Hub cannot be reached, the architecture is wrong, an override has no such
            field, or an adapter would get another head.
    """
    import torch
    from transformers import AutoConfig

    from hf_seq2seq.architectures import register

    register()
    name = source.model_name_or_path
    assert name is not None
    where = find_model(name) | {"revision": source.model_revision, "trust_remote_code": source.trust_remote_code}
    if is_adapter(place := adapter_copy(name, source.model_revision)):
        return _load_merged(recipe, families, auto, place, source, changes), []
    with explained(name):
        config = AutoConfig.from_pretrained(name, **where)
        check_config(name, config)
        _check_family(name, config, recipe, families, auto)
        _override(config, source, changes)
        options: dict[str, Any] = {"ignore_mismatched_sizes": True} if "id2label" in changes else {}
        options |= quantization or {}
        options |= {"config": config, "dtype": torch.float32, "output_loading_info": True, "use_safetensors": True}
        loaded, report = auto.from_pretrained(name, **where, **options)
    keep_differentiable(loaded)
    meet_needs(loaded)
    return loaded, fresh_modules(loaded, [*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])])


def _check_family(
    name: str, config: "PreTrainedConfig", recipe: str, families: tuple[str, ...], auto: Any = None
) -> None:
    kind = config.model_type
    if families and kind not in families:
        raise InputError(f"{name}: is a {kind!r} checkpoint; {recipe} trains {', '.join(families)}{_taken_by(kind)}")
    if families or auto is None or auto.__name__ in (getattr(config, "auto_map", None) or {}):
        return
    if type(config) not in auto._model_mapping:
        raise InputError(f"{name}: is a {kind!r} checkpoint, which {recipe} does not train{_taken_by(kind)}")


def _taken_by(kind: str) -> str:
    """The recipe that trains a type of models, for a message."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    own = OF_RECIPES.get(kind)
    own = own or ("seq2seq" if kind in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES else None)
    own = own or ("gpt" if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES else None)
    return f"; `train {own}` takes it" if own else ""


def _override(config: "PreTrainedConfig", source: Pretrained, changes: dict[str, Any]) -> None:
    for key, value in (changes | known_overrides(source, config)).items():
        setattr(config, key, value)


def check_adapter_start(options: Adaptation, source: Pretrained) -> None:
    """Rejects an adapter on a checkpoint that is an adapter itself, whose base alone would be named beside it.

    Raises:
        InputError: says how to merge the first one.
    """
    name = source.model_name_or_path
    if name is not None and options.has_adapter and is_adapter(adapter_copy(name, source.model_revision)):
        raise InputError(
            f"{name}: contains only an adapter, on which another cannot be trained; "
            f"`hf-seq2seq export {name} NEW --format safetensors` merges it"
        )


def _load_merged(
    recipe: str, families: tuple[str, ...], auto: Any, place: str, source: Pretrained, changes: dict[str, Any]
) -> "PreTrainedModel":
    """An adapter merged into its base, all of which is trained."""
    import torch

    name = str(source.model_name_or_path)
    config = load_config(place, source.trust_remote_code)
    _check_family(name, config, recipe, families)
    if "id2label" in changes:
        raise InputError(
            f"{name}: contains only an adapter; `hf-seq2seq export {name} NEW --format safetensors` merges it"
        )
    _override(config, source, changes)
    options = {"dtype": torch.float32, "use_safetensors": True, "trust_remote_code": source.trust_remote_code}
    with explained(place):
        model, missing = load_adapted(auto, place, config, options)
    if missing:
        raise InputError(f"{name}: lacks {len(missing)} of the model's weights, such as {missing[0]}")
    merge_adapter(model)
    model.requires_grad_(True)
    meet_needs(model)
    return model


def fit_embeddings(
    model: "PreTrainedModel",
    tokenizers: Tokenizers,
    config: RunConfig,
    source: Pretrained,
    languages: dict[str, list[int]] | None = None,
) -> NewRows:
    """Adds embeddings missing from a checkpoint for its tokenizer, if `resize_embeddings` is set.

    Args:
        model: modified in place.
        tokenizers: the tokenizers for training.
        config: the recipe's configuration.
        source: the section that names the checkpoint.
        languages: as of `add_languages`.

    Returns:
        For an adapter, which leaves the other weights as they are: the tables of tokens, and the rows of new ones.

    Raises:
        InputError: some are missing and that is not set.
    """
    from transformers import set_seed

    adaptation = section_of(config, Adaptation)
    sizes = {side: len(tables[0]) for side, tables in token_tables(model, tokenizers).items()}
    added = getattr(config.tokens, "added_tokens", ())
    before = old_pieces(tokenizers, added)
    with_tokens(tokenizers, added)
    new = languages or {}
    pieces = update_vocabulary(tokenizers, config)
    before = {side: before.get(side, {}) | new | pieces.get(side, {}) for side in ("source", "target")}
    own = getattr(config.tokens, "tokenizer_name", None)
    place = own or source.model_name_or_path or getattr(source, "decoder", None)
    assert place is not None
    if not source.resize_embeddings and not _grows(config):
        check_embeddings(model, tokenizers, place, "--resize-embeddings adds them")
    else:
        set_seed(config.run.seed)  # new embeddings are random
        with explained(place):
            resize_embeddings(model, tokenizers)
    start_at_means(model, tokenizers, before)
    if adaptation is None or not adaptation.has_adapter:
        return []
    asked = bool(added) or _grows(config)
    first = Tokenizers.load(tokenizer_place(adapter_copy(place)), source.trust_remote_code) if asked else tokenizers
    return _new_rows(model, tokenizers, first, sizes)


def _new_rows(model: "PreTrainedModel", tokenizers: Tokenizers, first: Tokenizers, sizes: dict[str, int]) -> NewRows:
    """The tables of tokens, and the rows of tokens that the checkpoint's tokenizers or its model lack."""
    found = []
    for side, tables in token_tables(model, tokenizers).items():
        known, vocabulary = getattr(first, side).get_vocab(), getattr(tokenizers, side).get_vocab()
        new = {number for token, number in vocabulary.items() if token not in known}
        rows = sorted(new | {*range(sizes[side], len(tables[0]))})
        found += [(table, rows) for table in tables if rows]
    return found


def _grows(config: RunConfig) -> bool:
    """Whether a run gives its tokenizer pieces or languages, so that the model needs embeddings for them."""
    return any(getattr(config.tokens, name, ()) for name in ("update_vocabulary", "added_languages"))


def fresh_modules(model: "PreTrainedModel", fresh: Collection[str]) -> list[str]:
    """The names of the outermost modules all of whose weights are among the `fresh` ones."""
    found: list[str] = []
    for name, module in model.named_modules():
        weights = {f"{name}.{weight}" for weight, _ in module.named_parameters(remove_duplicate=False)}
        if weights and weights.issubset(fresh) and not name.startswith(tuple(f"{outer}." for outer in found)):
            found.append(name)
    return found


def refuse_new_tokenizers(tokens: OneTokenizer, place: str, run: Mapping[str, Any]) -> None:
    """Rejects options of tokenizers that a checkpoint has already.

    Args:
        tokens: the options.
        place: the checkpoint.
        run: the configuration that it was trained by, whose options may be given again.

    Raises:
        InputError: names the option.
    """
    known = {item.name for item in fields(NewTokenizer)} - {item.name for item in fields(CheckpointTokens)}
    for item in fields(tokens):
        value = getattr(tokens, item.name)
        if item.name in known and value not in (item.default, run.get(item.name, item.default)):
            raise InputError(f"{flag(item.name)}: {place} has its tokenizer; leave it out")


def load_tokenizer(name: str, source: Pretrained, pad_by_eos: bool = False) -> "PreTrainedTokenizerBase":
    """Loads a checkpoint's tokenizer; with `pad_by_eos`, one without a padding token (GPT-2's) pads with EOS.

    Raises:
        InputError: there is none, or it has no padding token.
    """
    from transformers import AutoTokenizer

    place = tokenizer_place(adapter_copy(name, source.model_revision))
    revision = source.model_revision if place == name else None
    where = find_model(place) | {"revision": revision, "trust_remote_code": source.trust_remote_code}
    with explained(name):
        try:
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(place, **where)
        except ImportError as error:
            raise InputError(f"{name}: {NEEDS_SENTENCEPIECE if lacks_sentencepiece(error) else error}") from error
    check_longest(tokenizer, name)
    if tokenizer.pad_token_id is None and pad_by_eos:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise InputError(f"{name}: its tokenizer has no padding token")
    return tokenizer
