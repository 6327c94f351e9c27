"""Exports of tiny random models of every family: the same outputs, whole folders or none, refusals that say why."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    MarianConfig,
    MarianMTModel,
    MBartConfig,
    MBartForConditionalGeneration,
    PegasusConfig,
    PegasusForConditionalGeneration,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from hf_seq2seq.architectures import register
from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.prompts import wrap_texts
from hf_seq2seq.data.tokenizers import special_tokens
from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub import export as exporting
from hf_seq2seq.hub.export import check_model, export_model
from hf_seq2seq.hub.export_check import Subject, compare, own_outputs
from hf_seq2seq.saved.run_settings import read_settings

register()
WORDS = (
    "the a small big red green house dog cat runs sees likes old new man woman tree under over".split()  # noqa: SIM905
)
IDS = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3}
LAYERS = {"encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
SHAPE = {"d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 48, "max_position_embeddings": 64, **LAYERS, **IDS}
Build = Callable[[int], PreTrainedModel]


def make_texts(count: int, seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, size=draw.integers(1, 16))) for _ in range(count)]


def bart(kind: Any, config: Any, **more: Any) -> Build:
    return lambda size: kind(config(vocab_size=size, **SHAPE | {"decoder_start_token_id": 1} | more))


def t5(size: int, **more: Any) -> PreTrainedModel:
    shape = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
    return T5ForConditionalGeneration(T5Config(vocab_size=size, **shape | more))


def gpt2(size: int) -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=64, **IDS))


def bert(size: int) -> PreTrainedModel:
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    return BertForSequenceClassification(BertConfig(vocab_size=size, num_labels=3, **shape))


def transformer(size: int, kind: str = "transformer-seq2seq", **more: Any) -> PreTrainedModel:
    seq2seq = kind == "transformer-seq2seq"
    shape = SHAPE | {"decoder_attention_heads": 2, "initializer_range": 0.5} | more
    if not seq2seq:
        shape = {name: value for name, value in shape.items() if not name.startswith("encoder")}
    auto = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
    return auto.from_config(AutoConfig.for_model(kind, vocab_size=size, **shape))


MARIAN = {"decoder_start_token_id": 0}
FAMILIES: dict[str, tuple[Build, special_tokens.SpecialTokens]] = {
    "t5": (t5, special_tokens.T5),
    "t5-gated": (lambda size: t5(size, feed_forward_proj="gated-gelu", tie_word_embeddings=False), special_tokens.T5),
    "bart": (bart(BartForConditionalGeneration, BartConfig, forced_eos_token_id=1), special_tokens.BART),
    "mbart": (bart(MBartForConditionalGeneration, MBartConfig), special_tokens.BART),
    "pegasus": (bart(PegasusForConditionalGeneration, PegasusConfig), special_tokens.PEGASUS),
    "marian": (bart(MarianMTModel, MarianConfig, **MARIAN), special_tokens.SEQ2SEQ),
    "gpt2": (gpt2, special_tokens.GPT),
    "bert": (bert, special_tokens.BERT),
    "transformer": (transformer, special_tokens.SEQ2SEQ),
    "transformer-decoder": (lambda size: transformer(size, "transformer-decoder"), special_tokens.GPT),
}


def make_subject(build: Build, specials: special_tokens.SpecialTokens, folder: Path, separate: bool = False) -> Subject:
    """A saved model whose outputs differ from text to text, as at the usual initialisation none does."""
    options = NewTokenizer(tokenizer_type="word", separate_vocabularies=separate)
    targets = make_texts(50, 2) if separate else []
    tokenizers = train_tokenizers(make_texts(200, 1), targets, options, specials=specials)
    if specials is special_tokens.GPT:
        wrap_texts(tokenizers.source, None)
    torch.manual_seed(0)
    model = build(len(tokenizers.target)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif not name.endswith("shared.weight"):
                parameter.mul_(3 if model.config.model_type.startswith("transformer") else 10)
    model.save_pretrained(folder)
    tokenizers.save(folder)
    (folder / "run.yaml").write_text("max_target_length: 12\n")
    settings = read_settings(str(folder), model, tokenizers.source)
    labels = type(model).__name__.endswith("ForSequenceClassification")
    pairs = make_texts(16, 8) if labels else None
    return Subject(model, tokenizers, settings, make_texts(16, 7), pairs, is_classifier=labels)


@pytest.fixture
def ctranslate2() -> Any:
    return pytest.importorskip("ctranslate2", reason="needs the extra [export]")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_says_the_same_in_ctranslate2(ctranslate2: Any, tmp_path: Path, family: str) -> None:
    subject = make_subject(*FAMILIES[family], tmp_path / "model")
    report = export_model(str(tmp_path / "model"), subject, tmp_path / "out", "ctranslate2", "float32")
    assert report["equal"] == report["rows"] == 16
    if subject.is_classifier:
        assert report["largest_logit_difference"] < 1e-3
    else:
        assert len(set(own_outputs(subject))) > 2, "a model that says one thing is no test"
    assert json.loads((tmp_path / "out" / "export_report.json").read_text()) == report
    assert not (tmp_path / "out.partial").exists()


CHOICES = {
    "learned, post, gelu": {
        "position_embedding_type": "learned",
        "norm_placement": "post",
        "activation_function": "gelu",
    },
    "rotary, pre, swiglu": {
        "position_embedding_type": "rotary",
        "norm_placement": "pre",
        "activation_function": "swiglu",
    },
    "relative, post": {"position_embedding_type": "relative_bias", "norm_placement": "post"},
    "relative, pre, swiglu": {"position_embedding_type": "relative_bias", "activation_function": "swiglu"},
    "no positions": {"position_embedding_type": "none"},
    "deepnet": {"norm_placement": "post", "initialization": "deepnet"},
    "untied": {"tie_word_embeddings": False, "scale_embedding": False, "layer_norm_eps": 30.0},
}


@pytest.mark.parametrize("choice", CHOICES)
def test_the_transformer_with_other_choices(ctranslate2: Any, tmp_path: Path, choice: str) -> None:
    build = lambda size: transformer(size, **CHOICES[choice])  # noqa: E731
    subject = make_subject(build, special_tokens.SEQ2SEQ, tmp_path / "model")
    report = export_model(str(tmp_path / "model"), subject, tmp_path / "out", "ctranslate2", "float32")
    assert report["equal"] == report["rows"]
    assert len(set(own_outputs(subject))) > 2


def test_a_decoder_alone_with_rotary_positions(ctranslate2: Any, tmp_path: Path) -> None:
    build = lambda size: transformer(size, "transformer-decoder", position_embedding_type="rotary")  # noqa: E731
    subject = make_subject(build, special_tokens.GPT, tmp_path / "model")
    report = export_model(str(tmp_path / "model"), subject, tmp_path / "out", "ctranslate2", "float32")
    assert report["equal"] == report["rows"]


def test_two_vocabularies(ctranslate2: Any, tmp_path: Path) -> None:
    sizes = len(train_tokenizers(make_texts(200, 1), [], NewTokenizer(tokenizer_type="word")).source)
    build = lambda size: transformer(size, source_vocab_size=sizes)  # noqa: E731
    subject = make_subject(build, special_tokens.SEQ2SEQ, tmp_path / "model", separate=True)
    report = export_model(str(tmp_path / "model"), subject, tmp_path / "out", "ctranslate2", "float32")
    assert report["equal"] == report["rows"]


def test_embeddings_without_a_token(ctranslate2: Any, tmp_path: Path) -> None:
    build = lambda size: BartForConditionalGeneration(  # noqa: E731
        BartConfig(vocab_size=size + 5, **SHAPE, decoder_start_token_id=1)
    )
    subject = make_subject(build, special_tokens.BART, tmp_path / "model")
    report = export_model(str(tmp_path / "model"), subject, tmp_path / "out", "ctranslate2", "float32")
    assert report["equal"] == report["rows"]


def test_a_part_that_the_converter_does_not_know(ctranslate2: Any, tmp_path: Path) -> None:
    build = bart(BartForConditionalGeneration, BartConfig, activation_function="tanh")
    subject = make_subject(build, special_tokens.BART, tmp_path / "model")
    with pytest.raises(InputError, match="does not support 'tanh'"):
        export_model(str(tmp_path / "model"), subject, tmp_path / "out", "ctranslate2", "float32")
    assert not (tmp_path / "out.partial").exists()


def test_int8_is_smaller_and_its_difference_is_reported(ctranslate2: Any, tmp_path: Path) -> None:
    subject = make_subject(*FAMILIES["transformer"], tmp_path / "model")
    export_model(str(tmp_path / "model"), subject, tmp_path / "float32", "ctranslate2", "float32")
    report = export_model(str(tmp_path / "model"), subject, tmp_path / "int8", "ctranslate2", "int8")
    sizes = [(tmp_path / name / "model.bin").stat().st_size for name in ("float32", "int8")]
    assert sizes[1] < 0.6 * sizes[0]
    assert report["rows"] == 16
    assert 0 <= report["equal"] <= 16
    assert (report["chrf"] == 100) == (report["equal"] == 16)


@pytest.mark.parametrize("family", ["bart", "gpt2", "bert", "transformer"])
def test_onnx_says_the_same(tmp_path: Path, family: str) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extra [export]")
    subject = make_subject(*FAMILIES[family], tmp_path / "model")
    report = export_model(str(tmp_path / "model"), subject, tmp_path / "out", "onnx", "float32")
    assert report["equal"] == report["rows"] == 16
    if not subject.is_classifier:
        assert len(set(exporting.FORMATS["onnx"].reference(subject))) > 2
    assert (tmp_path / "out" / "model.onnx").is_file()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_adapter_is_merged(tmp_path: Path, dtype: str) -> None:
    from peft import LoraConfig
    from safetensors.torch import load_file

    subject = make_subject(*FAMILIES["bart"], tmp_path / "model")
    plain = own_outputs(subject)
    subject.model.add_adapter(LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    with torch.no_grad():
        for name, parameter in subject.model.named_parameters():
            if "lora_" in name:
                parameter.normal_()
    assert own_outputs(subject) != plain
    report = export_model(str(tmp_path / "model"), subject, tmp_path / "out", "safetensors", dtype)
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert not [name for name in weights if "lora" in name]
    assert {value.dtype for value in weights.values()} == {getattr(torch, dtype)}
    assert dtype == "bfloat16" or report["equal"] == report["rows"]


def test_an_export_that_differs_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = make_subject(*FAMILIES["bart"], tmp_path / "model")

    def write_another(folder: Path, subject: Subject, quantization: str) -> None:
        with torch.no_grad():
            subject.model.lm_head.weight.mul_(-1)
        subject.model.save_pretrained(folder)

    form = exporting.FORMATS["safetensors"]
    monkeypatch.setitem(exporting.FORMATS, "safetensors", replace(form, write=write_another))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"differs from its model in .* of 16 outputs: row"):
        export_model(str(tmp_path / "model"), subject, tmp_path / "out", "safetensors", "float32")
    assert sorted(tmp_path.iterdir()) == before


REFUSALS = [
    ("ctranslate2", "float32", "rnn-seq2seq", "recurrent"),
    ("onnx", "float32", "rnn-seq2seq", "recurrent"),
    ("ctranslate2", "float32", "led", "'led' models are not supported; those of bart"),
    ("safetensors", "float16", "t5", "overflows"),
]


@pytest.mark.parametrize(("kind", "quantization", "model_type", "reason"), REFUSALS)
def test_refusals_give_the_reason(kind: str, quantization: str, model_type: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        check_model(AutoConfig.for_model(model_type), False, kind, quantization)


def test_a_transformer_without_norms_is_refused() -> None:
    config = AutoConfig.for_model("transformer-seq2seq", norm_placement="none", initialization="tfixup")
    with pytest.raises(InputError, match="norm_placement='none'"):
        check_model(config, False, "ctranslate2", "float32")


def test_a_decoder_alone_with_relative_positions_is_refused() -> None:
    config = AutoConfig.for_model("transformer-decoder", position_embedding_type="relative_bias")
    with pytest.raises(InputError, match="reads its prompt at once"):
        check_model(config, False, "ctranslate2", "float32")


def test_of_classifiers_bert_alone_is_converted() -> None:
    with pytest.raises(InputError, match="'bart'"):
        check_model(BartConfig(), True, "ctranslate2", "float32")


def test_what_is_compared() -> None:
    assert compare(["a b", "c"], ["a b", "c"]) == {"rows": 2, "equal": 2, "chrf": 100.0}
    assert compare(["a b", "c"], ["a b", "d"])["equal"] == 1
    logits = np.array([[0.2, 0.1], [-1.0, 3.0]])
    found = compare(logits, logits + np.array([[0.0, 0.0], [0.0, 0.5]]))
    assert (found["equal"], found["rows"]) == (2, 2)
    assert found["largest_logit_difference"] == pytest.approx(0.5)
    # One label a text: the greatest class. Several: those above zero.
    assert compare(logits, np.array([[0.1, 0.2], [1.0, 3.0]]))["equal"] == 0
