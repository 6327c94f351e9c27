"""Hand-built models that are trained further."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.run_configs import HandBuiltRun
from hf_seq2seq.saved.model_paths import adapter_copy, tokenizer_place
from hf_seq2seq.saved.run_settings import RUN_FILE, read_run
from hf_seq2seq.sections import flag
from hf_seq2seq.tasks.kept import kept_tokenizers
from hf_seq2seq.tasks.pretrained import fit_embeddings, load_pretrained, refuse_new_tokenizers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

H = TypeVar("H", bound=HandBuiltRun)


def load_own(recipe: str, model_type: str, config: H) -> "tuple[H, PreTrainedModel, Tokenizers]":
    """Loads a hand-built model with its tokenizers, for further training; the configuration gets its shape.

    Args:
        recipe: the recipe's name, for the error.
        model_type: the model type that it trains.
        config: of the recipe; its section `start` names the checkpoint.

    Raises:
        InputError: there is no model, the architecture is wrong, or a flag contradicts the checkpoint.
    """
    from transformers import AutoModelForSeq2SeqLM

    source = config.start
    model, _ = load_pretrained(recipe, (model_type,), AutoModelForSeq2SeqLM, source, **_dropouts(config))
    config = _with_shape(config, model)
    kept = kept_tokenizers(config.run, source.trust_remote_code)
    assert source.model_name_or_path is not None
    place = tokenizer_place(adapter_copy(source.model_name_or_path, source.model_revision))
    run = read_run(Path(place) / RUN_FILE)
    refuse_new_tokenizers(config.tokens, source.model_name_or_path, run)
    if config.tokens.tokenizer_name not in (None, run.get("tokenizer_name")):
        raise InputError(f"--tokenizer-name: {source.model_name_or_path} has its tokenizer; leave it out")
    tokenizers = kept or Tokenizers.load(place, source.trust_remote_code)
    fit_embeddings(model, tokenizers, config, source)
    return config, model, tokenizers


def _sections(config: HandBuiltRun) -> dict[str, Any]:
    """The sections of the model's shape."""
    return {name: getattr(config, name) for name in ("model", "alignment", "stack") if hasattr(config, name)}


def _dropouts(config: HandBuiltRun) -> dict[str, Any]:
    """The dropout that is given, which a model may change when it is trained further."""
    given = config.given or frozenset()
    every = {
        item.name: getattr(section, item.name) for section in _sections(config).values() for item in fields(section)
    }
    return {name: value for name, value in every.items() if name in given and "dropout" in name and value is not None}


def _with_shape(config: H, model: "PreTrainedModel") -> H:
    """The configuration with the shape of the model that it names.

    Raises:
        InputError: a flag contradicts it.
    """
    given, sections = config.given or frozenset(), {}
    for name, section in _sections(config).items():
        found = {}
        for item in fields(section):
            asked, own = getattr(section, item.name), getattr(model.config, item.name, item.default)
            # A null in a file leaves the option open.
            if asked not in (None, own) and (item.name in given or asked != item.default):
                place = config.start.model_name_or_path
                raise InputError(f"{flag(item.name)}: {asked}, but {place} has {own}; leave it out")
            found[item.name] = own
        sections[name] = replace(section, **found)
    return replace(config, **sections)
