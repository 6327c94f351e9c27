"""Loads a saved model with its tokenizers, lengths and decoding settings."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.data.tokenizers.vocabulary import TARGET_FOLDER, Tokenizers, has_two_vocabularies
from hf_seq2seq.errors import InputError, shorten
from hf_seq2seq.saved.adapters import load_adapted
from hf_seq2seq.saved.config_sizes import check_sizes
from hf_seq2seq.saved.embeddings import check_embeddings
from hf_seq2seq.saved.family_needs import meet_needs
from hf_seq2seq.saved.heads import read_segments
from hf_seq2seq.saved.integrity import tell_surplus
from hf_seq2seq.saved.model_paths import ADAPTER_CONFIG, config_place, find_model, local_copy, tokenizer_place
from hf_seq2seq.saved.pickles import pickles_in
from hf_seq2seq.saved.pooling import apply_pooling
from hf_seq2seq.saved.quantization import check_quantization, four_bits, keep_differentiable
from hf_seq2seq.saved.run_settings import RUN_FILE, RunSettings, read_run, read_settings
from hf_seq2seq.saved.setting_types import check_config, check_generation

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

_AUTO = {
    "seq2seq": "AutoModelForSeq2SeqLM",
    "causal": "AutoModelForCausalLM",
    "classifier": "AutoModelForSequenceClassification",
}
_OTHER = {
    "seq2seq": "not an encoder-decoder that generates text",
    "causal": "not a decoder that generates text",
    "classifier": "not a classifier of texts",
}
_ENDINGS = {
    "seq2seq": ("ForConditionalGeneration", "MTModel", "MTHeadModel"),
    "causal": ("ForCausalLM", "LMHeadModel"),
    "classifier": ("ForSequenceClassification",),
}
CONVERSION = (
    "could run code and is not loaded; if you trust its author, convert it in Python: "
    "safetensors.torch.save_file(torch.load(FILE, weights_only=False), 'model.safetensors', {'format': 'pt'})"
)
_COMMANDS = {"seq2seq": "generate", "causal": "generate", "classifier": "classify"}


def load_seq2seq(path: str, trust_remote_code: bool = False) -> tuple["PreTrainedModel", Tokenizers, RunSettings]:
    """Loads an encoder-decoder or decoder-only model in float32, in evaluation mode, on the GPU if there is one.

    Raises:
        InputError: there is no model, the Hub cannot be reached, the architecture is wrong, or the tokenizer has more
            tokens.
    """
    place = local_copy(path)
    config = load_config(place, trust_remote_code)
    is_causal = any(name.endswith(_ENDINGS["causal"]) for name in config.architectures or ())
    model = load_model("causal" if is_causal else "seq2seq", place, trust_remote_code)
    tokenizers = Tokenizers.load(tokenizer_place(place), trust_remote_code)
    check_embeddings(model, tokenizers, path)
    with explained(place):
        settings = read_settings(place, model, tokenizers.source)
    if tokenizers.target is tokenizers.source and has_two_vocabularies(settings.run):
        raise InputError(f"{path}: has no {TARGET_FOLDER}, though its run.yaml names a vocabulary of targets")
    return model, tokenizers, settings


def load_classifier(
    path: str, trust_remote_code: bool = False
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase", RunSettings]:
    """Loads a classifier in float32, in evaluation mode, on the GPU if there is one.

    Raises:
        InputError: there is no model, the Hub cannot be reached, or the model has no classification head.
    """
    place = local_copy(path)
    model = load_model("classifier", place, trust_remote_code)
    tokenizer = Tokenizers.load(tokenizer_place(place), trust_remote_code).source
    read_segments(tokenizer, model)
    check_embeddings(model, Tokenizers(tokenizer, tokenizer), path)
    with explained(place):
        return model, tokenizer, read_settings(place, model, tokenizer, writes=False)


def load_config(path: str, trust_remote_code: bool = False, revision: str = "main") -> "PreTrainedConfig":
    """Loads the configuration of a model, including this project's own architectures.

    Args:
        path: a folder or Hub id.
        trust_remote_code: whether a repository may run its own code.
        revision: of the repository.

    Raises:
        InputError: there is no model, or the Hub cannot be reached.
    """
    from transformers import AutoConfig

    _register(place := config_place(path))
    # An adapter without its base's configuration has that from the base's own place.
    found = path if place == path or Path(place).is_file() else place
    where = find_model(found) | {"revision": revision if found == path else None}
    check_sizes(Path(path).expanduser())
    with explained(path):
        config = AutoConfig.from_pretrained(place, trust_remote_code=trust_remote_code, **where)
        check_config(path, config)
        return config


def _register(path: str) -> None:
    """Registers the hand-built families, whose modules take time to import, unless a folder holds another model."""
    from hf_seq2seq.architectures import MODEL_TYPES, register

    try:
        found = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # on the Hub, or to be explained by what reads it for good
        found = None
    if not isinstance(found, dict) or found.get("model_type", MODEL_TYPES[0]) in MODEL_TYPES:
        register()


def is_classifier(config: "PreTrainedConfig") -> bool:
    """Whether a checkpoint has a text classification head."""
    return any(name.endswith(_ENDINGS["classifier"]) for name in config.architectures or ())


def load_model(kind: str, path: str, trust_remote_code: bool = False) -> "PreTrainedModel":
    """Loads a "seq2seq" model, a "causal" one or a "classifier" whose every weight is in the checkpoint.

    Raises:
        InputError: there is no model, the Hub cannot be reached, the architecture is wrong, or weights do not fit.
    """
    import torch
    import transformers

    config = load_config(path, trust_remote_code)
    check_kind(kind, path, config)
    auto: Any = getattr(transformers, _AUTO[kind])
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code, "dtype": torch.float32, "use_safetensors": True}
    options |= find_model(path)
    if read_run(Path(path) / RUN_FILE).get("load_in_4bit"):
        check_quantization()
        options |= four_bits(torch.float32, on_cpu=not torch.cuda.is_available())
    with explained(path):
        if (Path(path) / ADAPTER_CONFIG).is_file():
            model, missing = load_adapted(auto, path, config, options)
        else:
            model, report = auto.from_pretrained(path, config=config, output_loading_info=True, **options)
            missing = sorted(report["missing_keys"])
            tell_surplus(path, report["unexpected_keys"])
    keep_differentiable(model)
    meet_needs(model)
    if kind == "classifier":
        apply_pooling(model)
    if missing:
        raise InputError(f"{path}: lacks {len(missing)} of the model's weights, such as {missing[0]}; {_OTHER[kind]}")
    _check_numbers(path, model)
    with explained(path):
        check_generation(path, model)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def _check_numbers(path: str, model: "PreTrainedModel") -> None:
    """Rejects weights of which some are not numbers, as of a run that diverged.

    Raises:
        InputError: names the first.
    """
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not weight.detach().sum().isfinite():
            raise InputError(f"{path}: {name} has values that are not finite numbers; the model diverged or is damaged")


def check_kind(kind: str, path: str, config: "PreTrainedConfig") -> None:
    """Rejects a checkpoint of another architecture before its weights are read.

    Raises:
        InputError: names the architecture, and the command for it if there is one.
    """
    from transformers import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    )

    mapping: Any = {
        "seq2seq": MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
        "causal": MODEL_FOR_CAUSAL_LM_MAPPING,
        "classifier": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    }[kind]
    classes = tuple(config.architectures or ())
    known = type(config) in mapping or _AUTO[kind] in (getattr(config, "auto_map", None) or {})
    others = [other for other, ends in _ENDINGS.items() if other != kind and any(c.endswith(ends) for c in classes)]
    if not known or others:
        found = ", ".join(classes) or config.model_type
        hint = "".join(f"; `hf-seq2seq {_COMMANDS[other]}` reads it" for other in others)
        raise InputError(f"{path}: contains {found}, {_OTHER[kind]}{hint}")


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turns the libraries' errors about missing or broken checkpoints into one line, and silences them.

    Missing weights are reported by the caller; progress bars are off unless standard error is a terminal, and for local
    folders.
    """
    from pickle import UnpicklingError

    from safetensors import SafetensorError
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.set_verbosity_error()
    if Path(path).is_dir() or not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        yield
    except InputError:
        raise
    except UnpicklingError as error:
        raise InputError(f"{path}: contains a pickle of more than tensors, which {CONVERSION}") from error
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if "no file named" in str(error) and (pickles := pickles_in(Path(path))):
            raise InputError(f"{path}: contains no safetensors, but {pickles[0]}, which {CONVERSION}") from error
        raise InputError(f"{path}: {_first_line(error)}") from error
    except MemoryError:
        raise
    except Exception as error:  # a library raises any of a dozen exception types for a value of the wrong type
        what = f"{type(error).__name__}: {shorten(_first_line(error))}"
        raise InputError(f"{path}: a file is damaged, or from another version of transformers ({what})") from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    from huggingface_hub import constants

    text = str(error).strip().split("\n")[0] or type(error).__name__
    if "connect" in text or "offline" in text:
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the Hub does not respond"
        return f"no such folder, and not among the downloaded models; {why}"
    if "trust_remote_code" in str(error):
        return "the repository runs its own code; --trust-remote-code allows it"
    if "ignore_mismatched_sizes" in text:
        return "the weights do not fit config.json: their sizes differ"
    if type(error).__name__ == "SafetensorError":
        return f"the weights are damaged ({text})"
    return text
