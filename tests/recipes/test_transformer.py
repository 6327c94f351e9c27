import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import transformer
from hf_seq2seq.sections import build

pytestmark = pytest.mark.usefixtures("forked")

SMALL = {
    "tokenizer_type": "char",
    "d_model": 48,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "learning_rate": 5e-3,
    "max_tokens_per_batch": 400,
    "max_target_length": 10,
    "metrics": "exact_match",
}


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_learns_and_leaves_a_whole_folder(pair_files: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    values = SMALL | pair_files | {"output_dir": str(folder), "logging_steps": 20, "eval_steps": 120}
    values |= {"num_train_epochs": 40, "dropout": 0.0}
    transformer.main(build(transformer.Config, values))
    found = losses(folder)
    assert found[-1] < found[0] / 3
    assert json.loads((folder / "all_results.json").read_text())["eval_exact_match"] > 50
    settings = json.loads((folder / "config.json").read_text())
    assert settings["model_type"] == "transformer-seq2seq"
    assert {"model.safetensors", "modeling_transformer.py", "README.md"} <= {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    "choice",
    [
        {"position_embedding_type": "rotary", "activation_function": "swiglu", "encoder_layers": 2},
        {"norm_placement": "none", "initialization": "tfixup", "attention_dropout": 0.1},
        {"norm_placement": "post", "initialization": "deepnet", "position_embedding_type": "relative_bias"},
        {"target_tokenizer_type": "word", "position_embedding_type": "learned", "activation_function": "gelu"},
    ],
)  # fmt: skip
def test_choices_train(pair_files: dict[str, str], tmp_path: Path, choice: dict[str, object]) -> None:
    values = SMALL | pair_files | {"output_dir": str(tmp_path / "out"), "max_steps": 16, "logging_steps": 4} | choice
    transformer.main(build(transformer.Config, values))
    found = losses(tmp_path / "out")
    assert found[-1] < found[0]


def test_impossible_sizes_are_refused(pair_files: dict[str, str], tmp_path: Path) -> None:
    values = SMALL | pair_files | {"output_dir": str(tmp_path / "out"), "encoder_attention_heads": 5}
    with pytest.raises(InputError, match="encoder_attention_heads=5"):
        transformer.prepare(build(transformer.Config, values))


def test_two_processes_equal_one(pair_files: dict[str, str], tmp_path: Path) -> None:
    values = SMALL | pair_files | {"max_steps": 4, "dropout": 0.0, "logging_steps": 1, "adam_epsilon": 1e-3}
    values |= {"position_embedding_type": "relative_bias", "norm_placement": "pre", "activation_function": "swiglu"}
    one = values | {"output_dir": str(tmp_path / "one"), "gradient_accumulation_steps": 2}
    transformer.main(build(transformer.Config, one))
    flags = [text for name, value in values.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "hf_seq2seq", "train", "transformer", *flags, "--num-processes", "2"]
    done = subprocess.run([*command, "--output-dir", str(tmp_path / "two")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "on 2 process" in done.stderr  # the world size that training itself saw
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    expected, found = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-5, atol=1e-5, msg=name)
