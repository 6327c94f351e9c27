"""Every bad input ends with exit code 2 and one or two lines that say where, what and the nearest right thing."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import BartConfig, BartForConditionalGeneration

from hf_seq2seq.api import recipe_files
from hf_seq2seq.api.configuration import resolve
from hf_seq2seq.cli.app import main
from hf_seq2seq.errors import InputError

GOOD = "source\ttarget\nab\tba\nabc\tcba\nbca\tacb\nca\tac\n"
Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs the command in a folder with one good file, and returns what it says on standard error."""
    (tmp_path / "good.tsv").write_text(GOOD)
    monkeypatch.chdir(tmp_path)

    def files() -> dict[Path, int | None]:
        """When each was written; a folder's time changes with the lock that a run takes there and gives back."""
        return {path: None if path.is_dir() else path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    def run(*arguments: str) -> str:
        capsys.readouterr()  # what a test wrote while it made its files
        before = files()
        monkeypatch.setattr(sys, "argv", ["hf-seq2seq", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr().err.strip()
        assert ended.value.code == 2, said
        assert said.startswith("error: "), said
        assert len(said.splitlines()) <= 2, said
        assert files() == before, "something was written"
        return said

    return run


def rnn(file: str, *more: str) -> list[str]:
    return ["train", "rnn", "--train-file", file, "--output-dir", "out", *more]


FILES = {
    "empty.csv": ("", "empty"),
    "header.csv": ("source,target\n", "no rows"),
    "ragged.csv": ("source,target\na,b\na,b,c\n", "ragged.csv:3"),
    "broken.jsonl": ('{"source": "a", "target": "b"}\n{"source": "a",\n', "broken.jsonl:2"),
    "null.jsonl": ('{"source": "a", "target": "b"}\n{"source": null, "target": "b"}\n', "row 2"),
    "number.jsonl": ('{"source": "a", "target": "b"}\n{"source": "c", "target": 7}\n', "number.jsonl:2"),
    "list.jsonl": ('{"source": [1], "target": "b"}\n{"source": [2], "target": "b"}\n', "row 1"),
}


@pytest.mark.parametrize("name", FILES)
def test_files(refused: Refused, tmp_path: Path, name: str) -> None:
    text, place = FILES[name]
    (tmp_path / name).write_text(text)
    said = refused(*rnn(name))
    assert name in said
    assert place in said


def test_not_utf8(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "latin.tsv").write_bytes("source\ttarget\nab\tba\nMädchen\tx\n".encode("latin-1"))
    said = refused(*rnn("latin.tsv"))
    assert "latin.tsv:3" in said
    assert "--encoding" in said


def test_missing_file(refused: Refused) -> None:
    assert "good.tsv" in refused(*rnn("god.tsv"))


def test_wrong_column(refused: Refused) -> None:
    said = refused(*rnn("good.tsv", "--source-column", "sorce"))
    assert "'sorce'" in said
    assert "source" in said.replace("sorce", "")


def test_unequal_parallel_files(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "train.de").write_text("a\nb\nc\n")
    (tmp_path / "train.en").write_text("a\nb\n")
    said = refused(*rnn("train.de,train.en"))
    assert "3" in said
    assert "2" in said


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["train", "rn"], "'rnn'"),
        (["--lerning-rate", "1"], "--learning-rate"),
        (["--metrics", "bleau"], "'bleu'"),
        (["--metric-for-best-model", "eval_chf"], "'chrf'"),
        (["--optim", "adamx"], "'adamw'"),
        (["--lr-scheduler-type", "linar"], "'linear'"),
        (["--hidden-size", "0"], "--hidden-size"),
        (["--per-device-train-batch-size", "-3"], "--per-device-train-batch-size"),
        (["--learning-rate", "fast"], "--learning-rate"),
        (["--max-source-length", "1"], "--max-source-length"),
        (["--max-target-length", "1"], "--max-target-length"),
        (["--max-tokens-per-batch", "5"], "--max-tokens-per-batch"),
        (["--resume-from-checkpoint", "checkpoint-3"], "checkpoint-3"),
        (["--fp16"], "GPU"),
        (["--fp16", "--bf16"], "exclude"),
        (["--report-to", "trackio,tensorbord"], "'tensorboard'"),
        (["--sentence-separator", "@@"], "--sentence-separator"),
        (["--early-stopping-patience", "2"], "--validation-file"),
        (["--decoder-style", "bahdanau", "--input-feeding"], "input_feeding"),
        (["--license", "apache"], "'apache-2.0'"),
        (["--language", "german"], "'german'"),
        (["--push-to-hub"], "--hub-model-id"),
        (["--push-to-hub", "--hub-model-id", "me/model"], "HF_HUB_OFFLINE"),
    ],
)
def test_flags(refused: Refused, arguments: list[str], hint: str) -> None:
    whole = arguments if arguments[0] == "train" else rnn("good.tsv", "--tokenizer-type", "char", *arguments)
    assert hint in refused(*whole)


def test_yaml_key(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("train_file: good.tsv\nlerning_rate: 1.0e-3\n")
    said = refused("train", "rnn", "-c", "run.yaml")
    assert "run.yaml" in said
    assert "'learning_rate'" in said


def test_fp16_for_t5(refused: Refused) -> None:
    assert "NaN" in refused("train", "t5", "--from-scratch", "--train-file", "good.tsv", "--fp16")


def bert(train: str, *more: str) -> list[str]:
    return ["train", "bert_classifier", "--train-file", train, "--model-name-or-path", "nowhere/model", *more]


def test_labels(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("text,label\na,x\nb,x\n")
    (tmp_path / "two.csv").write_text("text,label\na,x\nb,y\n")
    (tmp_path / "test.csv").write_text("text,label\na,x\nb,z\n")
    assert "at least two classes" in refused(*bert("one.csv"))
    said = refused(*bert("two.csv", "--test-file", "test.csv"))
    assert "'z'" in said
    assert "test.csv" in said


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--mixing", "propotional"], "'examples_proportional'"),
        (["--mixing-cap", "0"], "--mixing-cap"),
        (["--train-file", "good.tsv"], "--train-file and --mixture"),
        (["--test-file", "good.tsv"], "--test-file and --mixture"),
        (["--mixture", "taks.yaml"], "taks.yaml"),
        (["--mixture", "misspelt.yaml"], "misspelt.yaml:3"),
        (["--mixture", "missing.yaml"], "god.tsv"),
        (["--mixture", "empty.yaml"], "task 'second'"),
    ],
)
def test_mixtures(refused: Refused, tmp_path: Path, arguments: list[str], hint: str) -> None:
    first = "first:\n  train_file: good.tsv\n"
    (tmp_path / "tasks.yaml").write_text(first)
    (tmp_path / "misspelt.yaml").write_text(first + "  sorce_column: source\n")
    (tmp_path / "missing.yaml").write_text(first + "second:\n  train_file: god.tsv\n")
    (tmp_path / "none.tsv").write_text("source\ttarget\n")
    (tmp_path / "empty.yaml").write_text(first + "second:\n  train_file: none.tsv\n")
    assert hint in refused("train", "t5", "--from-scratch", "--mixture", "tasks.yaml", *arguments)


def test_half_named_sets(refused: Refused) -> None:
    said = refused("train", "t5", "--from-scratch", "--train-file", "good.tsv", "--test-file", "good.tsv,b=good.csv")
    assert "'good.tsv' has no name" in said


def test_model_path_without_model(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    said = refused("train", "t5", "--train-file", "good.tsv", "--model-name-or-path", "folder")
    assert "folder" in said


def test_hub_names_while_offline(refused: Refused) -> None:
    assert "google-t5/t5-small" in refused(
        "train", "t5", "--train-file", "good.tsv", "--model-name-or-path", "google-t5/t5-small"
    )
    assert "someone/pairs" in refused("train", "rnn", "--dataset-name", "someone/pairs")


def test_checkpoint_of_another_architecture(refused: Refused, tmp_path: Path) -> None:
    config = BartConfig(
        vocab_size=30, d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=1,
        decoder_attention_heads=1, encoder_ffn_dim=8, decoder_ffn_dim=8,
    )  # fmt: skip
    BartForConditionalGeneration(config).save_pretrained(tmp_path / "bart")
    (tmp_path / "bart" / "tokenizer.json").write_text("{}")
    said = refused("train", "t5", "--train-file", "good.tsv", "--model-name-or-path", "bart")
    assert "'bart'" in said
    assert "t5" in said


def test_finished_run(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.safetensors").write_bytes(b"precious")
    (tmp_path / "out" / "all_results.json").write_text(json.dumps({}))
    said = refused(*rnn("good.tsv"))
    assert "--overwrite-output-dir" in said
    assert "--resume-from-checkpoint" in said


def test_push_and_pull(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "no finished run" in refused("push", "folder", "--hub-model-id", "me/model")
    assert "no such folder" in refused("push", "fodler", "--hub-model-id", "me/model")
    assert "me/model" in refused("pull", "me/model", "new")
    (tmp_path / "folder" / "file").write_text("precious")
    assert "folder: already exists" in refused("pull", "me/model", "folder")


@pytest.mark.parametrize("command", ["generate", "classify"])
def test_generate_from_no_model(refused: Refused, command: str) -> None:
    assert "./nothing" in refused(command, "./nothing", "text")


NEEDS = [
    ("rnn", {"location_filters": 20}, "--location-filters needs --attention location"),
    ("rnn", {"monotonic_noise": 0.5}, "--monotonic-noise needs --attention monotonic"),
    ("rnn", {"coverage_loss_weight": 0.5}, "--coverage-loss-weight needs --coverage"),
    ("rnn", {"feature_joining": "concatenate"}, "--feature-joining needs --feature-columns"),
    ("rnn", {"train_samples_seed": 3}, "--train-samples-seed needs --max-train-samples"),
    ("rnn", {"shuffle_buffer_size": 100}, "--shuffle-buffer-size needs --streaming"),
    ("rnn", {"new_pieces": 50}, "--new-pieces needs --update-vocabulary"),
    ("rnn", {"model_revision": "x"}, "--model-revision needs --model-name-or-path"),
    ("rnn", {"resize_embeddings": True}, "--resize-embeddings needs --model-name-or-path"),
    ("rnn", {"min_frequency": 2, "tokenizer_type": "unigram"}, "--min-frequency: a unigram tokenizer"),
    ("rnn", {"adam_beta1": 1}, "--adam-beta1: 1.0 is too large"),
    ("rnn", {"coverage": True, "coverage_loss_weight": 1e39}, "--coverage-loss-weight: 1e+39 is too large"),
    ("bert_classifier", {"r_drop": 1e39}, "--r-drop: 1e+39 is too large"),
    ("rnn", {"num_beams": 100_000_000}, "--num-beams: 100000000 is too large"),
    ("gpt", {"model_name_or_path": "m", "hidden_size": 32}, "--hidden-size needs --from-scratch"),
    ("gpt", {"model_name_or_path": "m", "dropout": 0.4}, "--dropout needs --from-scratch"),
    ("gpt", {"model_name_or_path": "m", "tokenizer_type": "char"}, "--tokenizer-type: m has its tokenizer"),
    ("gpt", {"from_scratch": True, "one_document": True}, "--one-document needs --objective causal"),
    ("t5", {"model_name_or_path": "m", "model_size": "base"}, "--model-size needs --from-scratch"),
    ("bart", {"from_scratch": True, "mlm_probability": 0.3}, "--mlm-probability: --objective supervised does not"),
    ("bart", {"from_scratch": True, "sentence_language": "de"}, "--sentence-language: --objective supervised does not"),
    (
        "bart",
        {"from_scratch": True, "objective": "sentence_permutation", "mlm_probability": 0.3},
        "--mlm-probability: --objective sentence_permutation does not read it",
    ),
    (
        "bart",
        {"from_scratch": True, "objective": "token_masking", "source_prefix": "x "},
        "--source-prefix: --objective token_masking does not read it",
    ),
    (
        "bert_classifier",
        {"from_scratch": True, "objective": "masked_language_model", "classifier_dropout": 0.3},
        "--classifier-dropout is about labels",
    ),
]


@pytest.mark.parametrize(("recipe", "flags", "message"), NEEDS)
def test_an_option_that_nothing_reads_is_refused(recipe: str, flags: dict[str, Any], message: str) -> None:
    loaded = recipe_files.load(recipe)
    with pytest.raises(InputError, match=re.escape(message)):
        loaded.prepare(resolve(loaded.Config, {"train_file": "none.tsv"} | flags))


OVERRIDES = [
    ("bart", "vocab_size=5", "--config-overrides: vocab_size follows from the run"),
    ("bert_classifier", "num_labels=7", "--config-overrides: num_labels follows from the run"),
    ("bart", "activation_function=foo", "--config-overrides: 'foo' is no value that this model knows"),
    ("gpt", "activation_function=foo", "--config-overrides: 'foo' is no value that this model knows"),
    ("bart", "encoder_layers=-1", "--config-overrides: encoder_layers: -1 is not from 1 to 10,000"),
    ("gpt", "eos_token_id=5", "--config-overrides: eos_token_id follows from the run"),
    ("gpt", "n_embd=0", "--config-overrides: n_embd: 0 is not from 1 to"),
    ("gpt", "n_head=16,n_head=32", "--config-overrides: n_head is given twice"),
    ("t5", "num_heads=0", "--config-overrides: num_heads: 0 is not from 1 to"),
    ("t5", "relative_attention_num_buckets=0", "--config-overrides: relative_attention_num_buckets: 0 is not"),
    ("t5", "is_encoder_decoder=false", "--config-overrides: is_encoder_decoder follows from the run"),
    ("t5", "num_layers=0", "--config-overrides: num_layers: 0 is not from 1 to 10,000"),
]


@pytest.mark.parametrize(("recipe", "override", "message"), OVERRIDES)
def test_overrides_that_make_no_model_are_refused(tmp_path: Path, recipe: str, override: str, message: str) -> None:
    (tmp_path / "train.csv").write_text("source,target\n" + "ab,ba\nabc,cba\n" * 4)
    (tmp_path / "labels.csv").write_text("text,label\n" + "ab,x\nabc,y\n" * 4)
    file = "labels.csv" if recipe == "bert_classifier" else "train.csv"
    loaded = recipe_files.load(recipe)
    values = {"train_file": str(tmp_path / file), "from_scratch": True, "config_overrides": override}
    with pytest.raises(InputError, match=re.escape(message)) as refused:
        loaded.prepare(resolve(loaded.Config, values | {"output_dir": str(tmp_path / "run")}))
    assert str(refused.value).count("--config-overrides") == 1


@pytest.mark.parametrize("name", ["source_template", "context_column", "target_column", "frames_column"])
def test_conversations_refuse_options_of_pairs(tmp_path: Path, name: str) -> None:
    messages = [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "ba"}]
    (tmp_path / "chat.jsonl").write_text(f"{json.dumps({'messages': messages})}\n" * 4)
    loaded = recipe_files.load("rnn")
    values = {"train_file": str(tmp_path / "chat.jsonl"), "objective": "dialogue", name: "{a}"}
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} is for pairs"):
        loaded.prepare(resolve(loaded.Config, values))


def test_options_of_a_loss_are_a_mapping_or_a_list(tmp_path: Path) -> None:
    for written in ("{start: 2, minimum: 0.5}", "[start=2, minimum=0.5]", "start=2,minimum=0.5"):
        (tmp_path / "run.yaml").write_text(f"loss_type: scheduled_sampling\nloss_args: {written}\n")
        found = resolve(recipe_files.load("rnn").Config, {"train_file": "a.tsv"}, str(tmp_path / "run.yaml"))
        assert found.loss.loss_args == ("start=2", "minimum=0.5")
