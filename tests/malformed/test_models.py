"""Folders of models whose files are broken, under every command that loads one."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
COMMANDS = {
    "model": [
        ["generate", "{}", "ab", "--output-file", "o"],
        ["evaluate", "{}", "--test-file", "good.tsv"],
        ["export", "{}", "new", "--format", "safetensors"],
        ["train", "t5", "--model-name-or-path", "{}", "--train-file", "good.tsv", "--output-dir", "out"],
    ],
    "labels": [
        ["classify", "{}", "ab", "--output-file", "o"],
        ["evaluate", "{}", "--test-file", "labels.csv"],
        ["export", "{}", "new", "--format", "safetensors"],
    ],
    "decoder": [["generate", "{}", "ab", "--output-file", "o"]],
}
TEXTS = {
    "empty": "",
    "null": "null",
    "list": "[]",
    "text": '"a"',
    "number": "3",
    "no object": "[{}]",
    "cut": '{"a": ',
    "deep": '{"a":' * 5000,
    "binary": "\0\1\2",
    "no utf-8": "\udcff",
}
"""What a JSON file of any kind may hold instead."""
CONFIGS: list[dict[str, Any]] = [
    {"model_type": None},
    {"model_type": 3},
    {"model_type": ["t5"]},
    {"model_type": "what"},
    {"model_type": ""},
    {"architectures": 3},
    {"architectures": "T5ForConditionalGeneration"},
    {"architectures": [None]},
    {"architectures": ["What"]},
    {"vocab_size": None},
    {"vocab_size": "many"},
    {"vocab_size": -1},
    {"vocab_size": 3},
    {"vocab_size": 10**15},
    {"d_model": "x", "hidden_size": "x"},
    {"d_model": None, "hidden_size": None},
    {"d_model": 10**15, "hidden_size": 10**15},
    {"num_heads": 0, "num_attention_heads": 0},
    {"num_layers": "x", "num_hidden_layers": "x"},
    {"num_layers": -3, "num_hidden_layers": 7},
    {"num_layers": None, "num_hidden_layers": None},
    {"d_ff": 0, "intermediate_size": [3], "n_inner": [3]},
    {"dtype": "float3000"},
    {"torch_dtype": 3, "dtype": 3},
    {"max_position_embeddings": "many"},
    {"max_position_embeddings": None},
    {"max_position_embeddings": 0},
    {"quantization_config": 3},
    {"quantization_config": {"quant_method": "what"}},
    {"dropout_rate": "x", "hidden_dropout_prob": "x", "resid_pdrop": "x"},
    {"auto_map": 3},
    {"auto_map": {"AutoModelForSeq2SeqLM": "evil.Model", "AutoConfig": "evil.Config"}, "model_type": "evil"},
    {"is_encoder_decoder": "maybe"},
    {"transformers_version": 3, "feed_forward_proj": 3, "hidden_act": 3, "activation_function": 3},
    {"feed_forward_proj": "what", "hidden_act": "what", "activation_function": "what"},
]
LABELS: list[dict[str, Any]] = [
    {"id2label": ["x", "y"]},
    {"id2label": None, "num_labels": "x"},
    {"id2label": 3},
    {"id2label": {"a": "x", "b": "y"}},
    {"id2label": {"0": None, "1": 3}},
    {"id2label": {"0": "x"}},
    {"id2label": {"0": "x", "5": "y"}},
    {"id2label": {}},
    {"label2id": ["x"]},
    {"problem_type": "what"},
    {"problem_type": 3},
]
GENERATION: list[dict[str, Any]] = [
    {"max_new_tokens": "x"},
    {"max_new_tokens": -1},
    {"max_length": "x"},
    {"max_length": [3]},
    {"num_beams": "x"},
    {"num_beams": 0},
    {"num_beams": None, "length_penalty": "x"},
    {"length_penalty": None, "no_repeat_ngram_size": "x"},
    {"eos_token_id": "x"},
    {"eos_token_id": [None]},
    {"eos_token_id": -5},
    {"eos_token_id": 10**6},
    {"decoder_start_token_id": "x"},
    {"decoder_start_token_id": 10**6},
    {"pad_token_id": "x"},
    {"bad_words_ids": 3},
    {"bad_words_ids": [["x"]]},
    {"suppress_tokens": "x"},
    {"forced_bos_token_id": 10**6},
    {"do_sample": True, "num_beams": 4, "temperature": "hot"},
    {"sequence_bias": 3},
    {"repetition_penalty": -1},
]
TOKENIZER: list[dict[str, Any]] = [
    {"model_max_length": "many"},
    {"model_max_length": None},
    {"model_max_length": -3},
    {"model_max_length": [3]},
    {"tokenizer_class": "What"},
    {"tokenizer_class": 3},
    {"pad_token": 3},
    {"pad_token": None, "eos_token": None},
    {"eos_token": {"what": 3}},
    {"added_tokens_decoder": 3},
    {"extra_special_tokens": 3},
    {"padding_side": "up"},
    {"chat_template": 3},
]
RUN = [
    "- a\n", "3\n", "a", "", "source_prefix: 3.5.5\nmax_source_length: [1]\n", "max_source_length: many\n",
    "max_source_length: 2020-01-01\n", "max_source_length: -3\n", "max_target_length: x\n", "max_target_length: .inf\n",
    "source_prefix: [a]\n", "source_prefix: {a: b}\n", "source_column: [a]\n", "source_column: 2020-01-01\n",
    "num_beams: many\n", "num_beams: [3]\n", "num_beams: 0\n", "length_penalty: x\n", "length_penalty: .nan\n",
    "metrics: 3\n", "metrics: [[bleu]]\n", "metrics: [what]\n", "objective: 3.5\n", "objective: {a: b}\n",
    "load_in_4bit: perhaps\n", "test_file: 3\n", "test_file: [a, [b]]\n", "encoding: 3\n", "encoding: what\n",
    "recipe: [t5]\n", "a: " + "[" * 5000, "a: [", "\0", "lora_r: x\nnum_beams: 1.5\n", "seed: x\n",
]  # fmt: skip
"""A run's own file."""


def damaged(place: Path, kind: str, file: str, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    (place / kind / file).write_bytes(data)


def changed(place: Path, kind: str, file: str, values: dict[str, Any]) -> None:
    path = place / kind / file
    settings = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(settings | values))


def in_turn(table: Iterable[T], kinds: Sequence[str] = tuple(COMMANDS)) -> list[tuple[str, T]]:
    """Each entry with one of the kinds of models."""
    return [(kinds[turn % len(kinds)], entry) for turn, entry in enumerate(table)]


def ends_well_or_in_a_line(attempt: Any, kind: str, turn: int = 0) -> None:
    call = COMMANDS[kind][turn % len(COMMANDS[kind])]
    attempt(*(word.format(kind) for word in call))


FILES = ("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(("kind", "name"), in_turn(TEXTS))
def test_broken_json(attempt: Any, place: Path, kind: str, file: str, name: str) -> None:
    kind = "model" if file.startswith("generation") else kind
    damaged(place, kind, file, TEXTS[name])
    ends_well_or_in_a_line(attempt, kind, FILES.index(file))


@pytest.mark.parametrize(("kind", "values"), in_turn(CONFIGS), ids=str)
def test_config(attempt: Any, place: Path, kind: str, values: dict[str, Any]) -> None:
    changed(place, kind, "config.json", values)
    ends_well_or_in_a_line(attempt, kind, len(str(values)))


@pytest.mark.parametrize("values", LABELS, ids=str)
def test_labels(attempt: Any, place: Path, values: dict[str, Any]) -> None:
    changed(place, "labels", "config.json", values)
    ends_well_or_in_a_line(attempt, "labels")


@pytest.mark.parametrize(("kind", "values"), in_turn(GENERATION, ("model", "decoder")), ids=str)
def test_generation(attempt: Any, place: Path, kind: str, values: dict[str, Any]) -> None:
    changed(place, kind, "generation_config.json", values)
    ends_well_or_in_a_line(attempt, kind)


@pytest.mark.parametrize(("kind", "values"), in_turn(TOKENIZER), ids=str)
def test_tokenizer(attempt: Any, place: Path, kind: str, values: dict[str, Any]) -> None:
    changed(place, kind, "tokenizer_config.json", values)
    ends_well_or_in_a_line(attempt, kind)


@pytest.mark.parametrize(("kind", "text"), in_turn(RUN, ("model", "labels", "model")), ids=lambda text: text[:40])
def test_run_file(attempt: Any, place: Path, kind: str, text: str) -> None:
    damaged(place, kind, "run.yaml", text)
    ends_well_or_in_a_line(attempt, kind, 0 if "max" in text else 1)


WEIGHTS: dict[str, bytes] = {"empty": b"", "short": b"abc", "zeros": b"\0" * 100, "huge header": b"\xff" * 100}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(refused: Any, place: Path, name: str) -> None:
    for kind in COMMANDS:
        damaged(place, kind, "model.safetensors", WEIGHTS[name])
        refused(*(word.format(kind) for word in COMMANDS[kind][0]))
    refused("average", "model", "model", "--output-dir", "out")


INDEX = TEXTS | {
    "no map": "{}",
    "map is a list": '{"weight_map": []}',
    "map is null": '{"metadata": {}, "weight_map": null}',
    "file is a number": '{"metadata": {}, "weight_map": {"a": 3}}',
    "file is missing": '{"metadata": {}, "weight_map": {"a": "missing.safetensors"}}',
    "file is elsewhere": '{"metadata": {}, "weight_map": {"a": "../../../etc/passwd"}}',
}


@pytest.mark.parametrize("name", INDEX)
def test_index(refused: Any, place: Path, name: str) -> None:
    for kind in COMMANDS:
        (place / kind / "model.safetensors").unlink()
        damaged(place, kind, "model.safetensors.index.json", INDEX[name])
        refused(*(word.format(kind) for word in COMMANDS[kind][0]))
    refused("average", "model", "model", "--output-dir", "out")


ADAPTERS = TEXTS | {
    "no base": "{}",
    "base is null": '{"base_model_name_or_path": null, "peft_type": "LORA"}',
    "base is a number": '{"base_model_name_or_path": 3, "peft_type": "LORA"}',
    "base is missing": '{"base_model_name_or_path": "nowhere/model", "peft_type": "LORA"}',
    "base is itself": '{"base_model_name_or_path": "adapter", "peft_type": "LORA"}',
    "unknown kind": '{"base_model_name_or_path": "model", "peft_type": "WHAT"}',
    "no kind": '{"base_model_name_or_path": "model"}',
    "no weights": '{"base_model_name_or_path": "model", "peft_type": "LORA", "r": 2, "target_modules": ["q"]}',
    "modules": '{"base_model_name_or_path": "model", "peft_type": "LORA", "modules_to_save": 3}',
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters(refused: Any, place: Path, name: str) -> None:
    (place / "adapter").mkdir()
    (place / "adapter" / "tokenizer.json").write_bytes((place / "model" / "tokenizer.json").read_bytes())
    damaged(place, "adapter", "adapter_config.json", ADAPTERS[name])
    for call in COMMANDS["model"][:3]:
        refused(*(word.format("adapter") for word in call))
    refused("push", "adapter", "--hub-model-id", "me/model")


REPORTS = TEXTS | {"no format": "{}", "unknown": '{"format": "what"}', "number": '{"format": 3}'}


@pytest.mark.parametrize("name", REPORTS)
def test_exports(refused: Any, place: Path, name: str) -> None:
    (place / "exported").mkdir()
    damaged(place, "exported", "export_report.json", REPORTS[name])
    damaged(place, "exported", "model.bin", b"")
    refused("generate", "exported", "ab")
    refused("generate", "exported", "ab", "--engine", "ctranslate2")
