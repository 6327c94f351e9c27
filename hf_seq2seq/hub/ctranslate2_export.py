"""Writes models in CTranslate2's format: by its own converters, and by ours for the hand-built Transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hf_seq2seq.data.vocabulary import Tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.ctranslate2_transformer import check_transformer, decoder_spec, encoder_decoder_spec

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CONVERTERS = {
    "bart": "BartLoader",
    "bert": "BertLoader",
    "gpt2": "GPT2Loader",
    "m2m_100": "M2M100Loader",
    "marian": "BartLoader",  # MarianMTLoader takes the last token for padding, which is so in its checkpoints alone
    "mbart": "MBartLoader",
    "mt5": "MT5Loader",
    "pegasus": "PegasusLoader",
    "t5": "T5Loader",
}
"""CTranslate2's class for a model type."""
OURS: dict[str, Callable[[Any], Any]] = {
    "transformer-seq2seq": encoder_decoder_spec,
    "transformer-decoder": decoder_spec,
}
PRE_NORM = ("mbart", "pegasus", "m2m_100")
EMBEDDING_NORM = ("bart", "mbart")


def check_convertible(model: "PreTrainedModel") -> None:
    """Refuses a model that CTranslate2 has no layers for, before anything is written.

    Raises:
        InputError: with the reason.
    """
    kind = model.config.model_type
    if kind == "rnn-seq2seq":
        raise InputError("--format ctranslate2: it runs Transformers alone, and this model is recurrent")
    if kind not in CONVERTERS and kind not in OURS:
        known = ", ".join(sorted([*CONVERTERS, *OURS]))
        raise InputError(f"--format ctranslate2: {kind!r} models are not converted; those of {known} are")
    if kind in OURS:
        check_transformer(model.config)  # type: ignore[arg-type]


@torch.no_grad()
def write_ctranslate2(folder: Path, model: "PreTrainedModel", tokenizers: Tokenizers, quantization: str) -> None:
    """Writes `model.bin`, CTranslate2's `config.json` and the vocabularies into a folder that does not exist yet.

    Args:
        folder: where to.
        model: one that `check_convertible` lets through, in float32.
        tokenizers: its tokenizers.
        quantization: of the weights, as CTranslate2 names it.
    """
    from ctranslate2.converters.converter import Converter

    class InMemory(Converter):
        def _load(self) -> Any:
            return _specification(model, tokenizers)

    InMemory().convert(str(folder), quantization=quantization)


def _specification(model: "PreTrainedModel", tokenizers: Tokenizers) -> Any:
    config: Any = model.config
    kind = config.model_type
    spec = OURS[kind](model) if kind in OURS else _converted(model, tokenizers)
    if kind in OURS:
        _name_tokens(spec, config, tokenizers)
    if config.is_encoder_decoder:
        start = config.decoder_start_token_id
        spec.config.decoder_start_token = tokenizers.target.convert_ids_to_tokens(start)
    return spec


def _converted(model: Any, tokenizers: Tokenizers) -> Any:
    from ctranslate2.converters import transformers as converters

    config = model.config
    # CTranslate2 4.8 asks for fields that transformers 5 took out of these configurations.
    config.normalize_before = config.model_type in PRE_NORM
    config.normalize_embedding = config.model_type in EMBEDDING_NORM
    config.position_embedding_type = "absolute"
    loader = getattr(converters, CONVERTERS[config.model_type])()
    body = model.bert if config.model_type == "bert" else model
    try:
        return loader(body, _Vocabulary(tokenizers.target, config.vocab_size))
    finally:
        for name in ("normalize_before", "normalize_embedding", "position_embedding_type"):
            delattr(config, name)


class _Vocabulary:
    """A tokenizer with as many tokens as the model has embeddings; the rest is its own."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", size: int) -> None:
        self.tokenizer, self.size = tokenizer, size

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def get_vocab(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(vocabulary(self.tokenizer, self.size))}


def vocabulary(tokenizer: "PreTrainedTokenizerBase", size: int) -> list[str]:
    """The tokens by id; ids that the tokenizer lacks are given names that no text has."""
    names = {number: token for token, number in tokenizer.get_vocab().items()}
    return [names.get(number, f"<unused_{number}>") for number in range(size)]


def _name_tokens(spec: Any, config: Any, tokenizers: Tokenizers) -> None:
    target = vocabulary(tokenizers.target, config.vocab_size)
    if config.is_encoder_decoder:
        spec.register_source_vocabulary(vocabulary(tokenizers.source, config.source_vocab_size))
        spec.register_target_vocabulary(target)
    else:
        spec.register_vocabulary(target)
    for name in ("bos_token", "eos_token", "unk_token"):
        setattr(spec.config, name, getattr(tokenizers.target, name))
