"""Adapters on weights in four bits: every family learns, an evaluation changes nothing, what is saved loads again."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from hf_seq2seq.api.recipe_files import load
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import t5
from hf_seq2seq.saved import quantization
from hf_seq2seq.sections import build

pytestmark = pytest.mark.usefixtures("forked")

needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
WORDS = [f"{a}{b}{c}" for a in "abcd" for b in "abcd" for c in "abcd"]
MORE = {"bert_classifier": {"max_steps": 40, "learning_rate": 2e-2}}


def values(family: str, folder: Path, **changes: Any) -> dict[str, Any]:
    """Reversed words to learn, or whether a word has the letter a."""
    label = family == "bert_classifier"
    lines = [f"{word}\t{'a' in word if label else word[::-1]}\n" for word in WORDS]
    for name, part in (("train", lines), ("test", lines[:8])):
        (folder / f"{name}.tsv").write_text(("text\tlabel\n" if label else "source\ttarget\n") + "".join(part))
    files = {f"{name}_file": str(folder / f"{name}.tsv") for name in ("train", "test")}
    limits = {} if label else {"max_target_length": 8, "metrics": "chrf"}
    steps = {"max_steps": 12, "learning_rate": 3e-2, "logging_steps": 2, "per_device_train_batch_size": 16}
    adapter = {"lora_r": 4, "load_in_4bit": True, "max_source_length": 16}
    return files | limits | steps | adapter | {"output_dir": str(folder / "out")} | changes


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@needs_bitsandbytes
@pytest.mark.parametrize("family", ["t5", "bart", "pegasus", "gpt2", "llama", "bert_classifier"])
def test_a_family_learns_and_loads_again(
    family: str, tmp_path: Path, tiny_checkpoint: Callable[[str, list[str]], str]
) -> None:
    from bitsandbytes.nn import Linear4bit

    recipe = load("gpt" if family in ("gpt2", "llama") else family)
    start = tiny_checkpoint(family, WORDS)
    config = build(recipe.Config, values(family, tmp_path, model_name_or_path=start, **MORE.get(family, {})))
    task = recipe.prepare(config)
    assert any(isinstance(module, Linear4bit) for module in task.model.modules())
    assert {p.dtype for p in task.model.parameters() if p.requires_grad} == {torch.float32}
    recipe.main(config)
    folder = tmp_path / "out"
    assert losses(folder)[-1] < losses(folder)[0] * 0.95
    assert not (folder / "model.safetensors").exists()
    if family in ("bart", "pegasus", "llama"):
        return  # they load as the others do
    command = ["classify" if family == "bert_classifier" else "generate", str(folder)]
    texts = [*command, "--input-file", str(tmp_path / "test.tsv")]
    done = subprocess.run([sys.executable, "-m", "hf_seq2seq", *texts], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if family == "bert_classifier":
        rows = [json.loads(line)["prediction"] for line in (folder / "predictions.jsonl").read_text().splitlines()]
        assert [line.split("\t")[0] for line in done.stdout.splitlines()] == rows
    else:
        assert done.stdout == (folder / "generated_predictions.txt").read_text()


@needs_bitsandbytes
def test_an_evaluation_changes_no_step(tmp_path: Path, tiny_checkpoint: Callable[[str, list[str]], str]) -> None:
    start = tiny_checkpoint("t5", WORDS)
    found = []
    for name, every in (("often", 1), ("once", 12)):
        changes = {"output_dir": str(tmp_path / name), "eval_steps": every, "logging_steps": 1}
        more = {"model_name_or_path": start, "validation_file": str(tmp_path / "test.tsv")}
        t5.main(build(t5.Config, values("t5", tmp_path, **changes, **more)))
        found.append(losses(tmp_path / name))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lora_r": None}, "--load-in-4bit: there is no adapter; also give --lora-r"),
        ({"merge_adapter": True}, "--merge-adapter: an adapter cannot be merged into 4-bit weights"),
        ({"bf16": True, "use_cpu": True}, "--bf16 with --load-in-4bit needs a GPU"),
        ({}, "--load-in-4bit: bitsandbytes is not installed; pip install 'hf-seq2seq\\[quantization\\]'"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=message):
        t5.prepare(build(t5.Config, values("t5", tmp_path, model_name_or_path="absent", **changes)))
