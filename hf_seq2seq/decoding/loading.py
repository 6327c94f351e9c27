"""Loads a saved model with all that belongs to it: tokenizers, lengths, and how its run decoded."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hf_seq2seq.data.vocabulary import Tokenizers
from hf_seq2seq.decoding.places import find_model
from hf_seq2seq.decoding.settings import RunSettings, read_settings
from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

_OTHER = {
    "seq2seq": "not an encoder-decoder that writes text",
    "classifier": "not a classifier of texts",
}
_ENDINGS = {"seq2seq": ("ForConditionalGeneration", "MTModel", "MTHeadModel"), "classifier": ("ForSequenceClassification",)}


def load_seq2seq(path: str, trust_remote_code: bool = False) -> tuple["PreTrainedModel", Tokenizers, RunSettings]:
    """Loads an encoder-decoder in float32, in evaluation mode, on the GPU if there is one.

    Raises:
        InputError: no model there, the Hub cannot be asked, or another architecture.
    """
    model = load_model("seq2seq", path, trust_remote_code)
    with explained(path):
        tokenizers = Tokenizers.load(path)
    return model, tokenizers, read_settings(path, model, tokenizers.source)


def load_classifier(
    path: str, trust_remote_code: bool = False
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase", RunSettings]:
    """Loads a classifier in float32, in evaluation mode, on the GPU if there is one.

    Raises:
        InputError: no model there, the Hub cannot be asked, or a model without a classification head.
    """
    model = load_model("classifier", path, trust_remote_code)
    with explained(path):
        tokenizer = Tokenizers.load(path).source
    return model, tokenizer, read_settings(path, model, tokenizer)


def load_model(kind: str, path: str, trust_remote_code: bool = False) -> "PreTrainedModel":
    """Loads a "seq2seq" model or a "classifier" whose every weight is in the checkpoint.

    Raises:
        InputError: no model there, the Hub cannot be asked, another architecture, or weights that do not fit.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

    from hf_seq2seq.architectures import register

    register()
    auto = AutoModelForSeq2SeqLM if kind == "seq2seq" else AutoModelForSequenceClassification
    where: dict[str, Any] = find_model(path) | {"trust_remote_code": trust_remote_code}
    with explained(path):
        config = AutoConfig.from_pretrained(path, **where)
        check_kind(kind, path, config)
        model, report = auto.from_pretrained(
            path, config=config, dtype=torch.float32, output_loading_info=True, **where
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise InputError(f"{path}: lacks {len(missing)} of the model's weights, such as {missing[0]}; {_OTHER[kind]}")
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def check_kind(kind: str, path: str, config: "PreTrainedConfig") -> None:
    """Refuses a checkpoint of another architecture before its weights are read.

    Raises:
        InputError: naming the architecture, and the command that reads it where there is one.
    """
    from transformers import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    name = "AutoModelForSeq2SeqLM" if kind == "seq2seq" else "AutoModelForSequenceClassification"
    mapping = MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING if kind == "seq2seq" else MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
    classes = tuple(config.architectures or ())
    known = type(config) in mapping or name in (getattr(config, "auto_map", None) or {})
    other = "classifier" if kind == "seq2seq" else "seq2seq"
    if not known or any(c.endswith(_ENDINGS[other]) for c in classes):
        found = ", ".join(classes) or config.model_type
        command = {"seq2seq": "generate", "classifier": "classify"}[other]
        hint = f"; `hf-seq2seq {command}` reads it" if any(c.endswith(_ENDINGS[other]) for c in classes) else ""
        raise InputError(f"{path}: holds {found}, {_OTHER[kind]}{hint}")


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turns what the libraries raise over an absent or broken checkpoint into one line."""
    from safetensors import SafetensorError

    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{path}: {_first_line(path, error)}") from error


def _first_line(path: str, error: Exception) -> str:
    from huggingface_hub import constants

    text = str(error).strip().split("\n")[0] or type(error).__name__
    if "connect" in text or "offline" in text:
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the Hub does not answer"
        return f"no such folder, and not among the downloaded models; {why}"
    if "trust_remote_code" in str(error):
        return "the repository runs its own code; --trust-remote-code allows it"
    if type(error).__name__ == "SafetensorError":
        return f"the weights are damaged ({text})"
    return text
