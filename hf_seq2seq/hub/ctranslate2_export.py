"""Export to CTranslate2's format: with its own converters, and with ours for the hand-built Transformers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from transformers.modeling_outputs import SequenceClassifierOutput

from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.ctranslate2_engine import CTranslate2Model, CTranslate2TextGenerator, Shape
from hf_seq2seq.decoding.ctranslate2_loading import read_vocabularies, start_engine
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.ctranslate2_transformer import check_transformer, decoder_spec, encoder_decoder_spec
from hf_seq2seq.hub.export_check import Outputs, Subject, greedy, own_outputs, text_shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CONVERTERS = {
    "bart": "BartLoader",
    "bert": "BertLoader",
    "gpt2": "GPT2Loader",
    "m2m_100": "M2M100Loader",
    "marian": "BartLoader",  # MarianMTLoader assumes that the last token is padding
    "mbart": "MBartLoader",
    "mt5": "MT5Loader",
    "pegasus": "PegasusLoader",
    "t5": "T5Loader",
}
"""CTranslate2's loader class for a model type."""
OURS: dict[str, Callable[[Any], Any]] = {
    "transformer-seq2seq": encoder_decoder_spec,
    "transformer-decoder": decoder_spec,
}
HEAD_FILE = "classifier.safetensors"
"""Weight and bias of a classifier's last layer, which CTranslate2's format does not include."""
PRE_NORM = ("mbart", "pegasus", "m2m_100")
EMBEDDING_NORM = ("bart", "mbart")


def check_convertible(config: Any, is_classifier: bool) -> None:
    """Rejects a model that CTranslate2 does not support, before anything is loaded.

    Raises:
        InputError: the model is not supported; gives the reason.
    """
    kind = config.model_type
    if kind == "rnn-seq2seq":
        raise InputError("--format ctranslate2: supports only Transformers, and this model is recurrent")
    if is_classifier and kind != "bert":
        raise InputError(f"--format ctranslate2: the only supported classifiers are BERT's, not those of {kind!r}")
    if kind not in CONVERTERS and kind not in OURS:
        known = ", ".join(sorted([*CONVERTERS, *OURS]))
        raise InputError(f"--format ctranslate2: {kind!r} models are not supported; those of {known} are")
    if kind in OURS:
        check_transformer(config)


@torch.no_grad()
def write_ctranslate2(folder: Path, subject: Subject, quantization: str) -> None:
    """Writes `model.bin`, CTranslate2's `config.json` and the vocabularies, and for a classifier its last layer.

    Args:
        folder: the target folder, which is replaced.
        subject: its model passes `check_convertible`, and is in float32.
        quantization: quantization of the weights, by CTranslate2's name.

    Raises:
        InputError: the converter does not support some part of the model.
    """
    from ctranslate2.converters.converter import Converter

    model: Any = subject.model

    class InMemory(Converter):
        def _load(self) -> Any:
            return _specification(model, subject.tokenizers)

    try:
        InMemory().convert(str(folder), quantization=quantization, force=True)
    except (AttributeError, KeyError, NotImplementedError, ValueError) as error:
        raise InputError(
            f"--format ctranslate2: does not support {_first_line(error)}, a part of this model"
        ) from error
    if subject.is_classifier:
        save_file(
            {name: value.contiguous() for name, value in model.classifier.state_dict().items()}, folder / HEAD_FILE
        )
    else:
        model.generation_config.save_pretrained(folder)


def ctranslate2_outputs(folder: Path, subject: Subject) -> Outputs:
    """The outputs of the converted model."""
    if subject.is_classifier:
        return own_outputs(replace(subject, model=_Classifier(folder, subject.model)))  # type: ignore[arg-type]
    shape = Shape(*text_shape(subject).values())
    engine = start_engine(folder, "Translator" if shape.is_encoder_decoder else "Generator")
    settings = subject.settings
    model = CTranslate2Model(engine, *read_vocabularies(folder), subject.model.generation_config, shape)
    generator = CTranslate2TextGenerator(
        model,
        subject.tokenizers,
        greedy(subject),
        max_new_tokens=settings.max_target_length,
        max_source_length=settings.max_source_length,
        prefix=settings.prefix,
    )
    return generator(subject.texts)


class _Classifier(torch.nn.Module):
    """BERT run by CTranslate2, and its classifier's last layer by PyTorch."""

    def __init__(self, folder: Path, model: Any) -> None:
        super().__init__()
        self.encoder, self.head = start_engine(folder, "Encoder"), load_file(folder / HEAD_FILE)
        self.config, self.device = model.config, torch.device("cpu")

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Any:
        lengths = attention_mask.sum(1).tolist()
        rows = [row[:length] for row, length in zip(input_ids.tolist(), lengths, strict=True)]
        types = token_type_ids if token_type_ids is not None else torch.zeros_like(input_ids)
        parts = [row[:length] for row, length in zip(types.tolist(), lengths, strict=True)]
        pooled = torch.from_numpy(np.array(self.encoder.forward_batch(rows, token_type_ids=parts).pooler_output))
        return SequenceClassifierOutput(logits=F.linear(pooled, self.head["weight"], self.head["bias"]))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


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
    # CTranslate2 4.8 reads fields that transformers 5 removed from these configurations.
    former = {
        "normalize_before": config.model_type in PRE_NORM,
        "normalize_embedding": config.model_type in EMBEDDING_NORM,
        "position_embedding_type": "absolute",
    }
    lacking = {name: value for name, value in former.items() if not hasattr(config, name)}
    loader = getattr(converters, CONVERTERS[config.model_type])()
    body = model.bert if config.model_type == "bert" else model
    try:
        vars(config).update(lacking)
        return loader(body, _Vocabulary(tokenizers.target, config.vocab_size))
    finally:
        for name in lacking:
            delattr(config, name)


class _Vocabulary:
    """A wrapper that pads a tokenizer's vocabulary to the number of embeddings, and names a first token if it has none.

    Attributes:
        num_madeup_words: rows that M2M100's converter would add to the vocabulary, which is padded already.
    """

    num_madeup_words = 0

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", size: int) -> None:
        self.tokenizer, self.size = tokenizer, size

    @property
    def bos_token(self) -> str | None:
        """The token that begins a text; outputs begin with the decoder's start token all the same."""
        return self.tokenizer.bos_token or self.tokenizer.eos_token

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def get_vocab(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(vocabulary(self.tokenizer, self.size))}


def vocabulary(tokenizer: "PreTrainedTokenizerBase", size: int) -> list[str]:
    """The tokens by id; ids missing from the tokenizer get names that do not occur in text."""
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
