import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from hf_seq2seq.configs import build
from hf_seq2seq.recipes import rnn

SMALL = {
    "tokenizer_type": "char",
    "embedding_size": 24,
    "hidden_size": 48,
    "learning_rate": 1e-2,
    "max_tokens_per_batch": 400,
    "max_target_length": 10,
    "metrics": "exact_match,phoneme_error_rate",
}


def test_learns_and_leaves_a_whole_folder(pair_files: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    values = SMALL | pair_files | {"output_dir": str(folder), "num_train_epochs": 12, "logging_steps": 20}
    rnn.main(build(rnn.Config, values))
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] / 3
    results = json.loads((folder / "all_results.json").read_text())
    assert results["eval_exact_match"] > 50
    assert losses[-1] < results["train_loss"] < losses[0]
    assert results["predict_samples"] == results["eval_samples"] == 20
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "README.md", "all_results.json", "train_results.json", "eval_results.json", "predict_results.json",
        "generated_predictions.txt", "trainer_state.json", "train_log.jsonl", "loss.png", "run.yaml",
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert not [name for name in names if "draft" in name or "writing" in name]
    assert len((folder / "generated_predictions.txt").read_text().splitlines()) == 20
    assert json.loads((folder / "generation_config.json").read_text())["max_new_tokens"] == 10


def test_the_resolved_configuration_runs_again_as_it_is(pair_files: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    values = SMALL | pair_files | {"output_dir": str(folder), "max_steps": 5, "dropout": 0.3}
    rnn.main(build(rnn.Config, values))
    first = load_file(folder / "model.safetensors")
    written = yaml.safe_load((folder / "run.yaml").read_text())
    command = [sys.executable, "-m", "hf_seq2seq", "train", "-c", str(folder / "run.yaml"), "--overwrite-output-dir"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((folder / "run.yaml").read_text()) == written | {"overwrite_output_dir": True}
    again = load_file(folder / "model.safetensors")
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize(
    "choice",
    [
        {"cell": "gru", "attention": "additive", "decoder_style": "bahdanau"},
        {"attention": "dot", "input_feeding": True, "encoder_layers": 2, "decoder_layers": 2},
        {"attention": "none", "decoder_start": "transfer", "bidirectional": False},
        {"attention": "none", "context_feeding": True, "context_pooling": "mean", "cell": "gru"},
        {"attention": "location", "coverage": True, "local_attention": "predictive", "attention_window": 3},
        {"attention": "monotonic", "monotonic_noise": 0.5, "input_feeding": True},
        {"attention": "multi_head", "num_attention_heads": 4},
        {"hierarchical_attention": True, "sentence_separator": "a", "phrase_length": 2, "context_pooling": "max"},
        {"residual": True, "layer_norm": True, "encoder_layers": 2, "recurrent_dropout": 0.1, "output_dropout": 0.1},
        {"target_tokenizer_type": "word", "embedding_size": 48, "tie_word_embeddings": True},
    ],
)  # fmt: skip
def test_choices_train(pair_files: dict[str, str], tmp_path: Path, choice: dict[str, object]) -> None:
    values = SMALL | pair_files | {"output_dir": str(tmp_path / "out"), "max_steps": 12, "logging_steps": 4} | choice
    rnn.main(build(rnn.Config, values))
    lines = [json.loads(line) for line in (tmp_path / "out" / "train_log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0]
