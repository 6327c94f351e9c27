"""Runs on a mixture of two tasks: words reversed and words copied, told apart by a prefix."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import t5
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.training.evaluation import evaluate_and_predict
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.run import run
from hf_seq2seq.training.step_batches import StepBatches

pytestmark = pytest.mark.usefixtures("forked")

MakeMixed = Callable[..., Task]


@pytest.fixture
def mixture(pairs: dict[str, str], tmp_path: Path) -> Path:
    """Reversals of 90 words, with validation rows; copies of 300 words, with validation and test rows."""
    for name, rows in (("copies", 300), ("copies_dev", 25)):
        words = [f"{'abcdefghij'[n % 10]}{n % 7}{'xyz' * (n % 4)}" for n in range(rows)]
        (tmp_path / f"{name}.tsv").write_text("source\ttarget\n" + "".join(f"{w}\t{w}\n" for w in words))
    path = tmp_path / "tasks.yaml"
    path.write_text(f"""
reverse:
  train_file: {pairs["train_file"]}
  validation_file: {pairs["validation_file"]}
  source_prefix: "reverse: "
copy:
  train_file: {tmp_path}/copies.tsv
  validation_file: {tmp_path}/copies_dev.tsv
  test_file: {tmp_path}/copies_dev.tsv
  source_prefix: "copy: "
  metrics: [token_error_rate, chrf]
""")
    return path


@pytest.fixture
def make_mixed(mixture: Path, tmp_path: Path) -> MakeMixed:
    def make(dropout: float = 0.0, **values: Any) -> Task:
        defaults: dict[str, Any] = {
            "mixture": str(mixture),
            "mixing": "temperature",
            "mixing_cap": 200,
            "from_scratch": True,
            "tokenizer_type": "char",
            "max_tokens_per_batch": 600,
            "adam_epsilon": 1e-3,
            "max_target_length": 14,
            "metrics": "exact_match",
            "output_dir": str(tmp_path / "run"),
            "config_overrides": f"d_model=32,num_layers=1,dropout_rate={dropout}",
        }
        return t5.prepare(build(t5.Config, defaults | values))

    return make


def test_every_task_is_measured_as_it_is_alone(make_mixed: MakeMixed, pairs: dict[str, str], tmp_path: Path) -> None:
    task = make_mixed(max_steps=12, learning_rate=3e-3, metric_for_best_model="reverse_loss")
    results = run(task)
    assert {name for name in results if name.endswith(("_match", "_rate", "chrf"))} == {
        "eval_reverse_exact_match", "eval_exact_match", "eval_copy_token_error_rate", "eval_copy_chrf",
        "eval_token_error_rate", "eval_chrf", "predict_copy_token_error_rate", "predict_copy_chrf",
        "predict_token_error_rate", "predict_chrf",
    }  # fmt: skip
    assert results["eval_loss"] == pytest.approx((results["eval_reverse_loss"] + results["eval_copy_loss"]) / 2)
    alone = {"train_file": pairs["train_file"], "source_prefix": "reverse: ", "output_dir": str(tmp_path / "alone")}
    alone |= {"model_name_or_path": str(tmp_path / "run"), "validation_file": pairs["validation_file"]}
    same = t5.prepare(build(t5.Config, alone | {"metrics": "exact_match", "max_target_length": 14}))
    found = evaluate_and_predict(same, "validation", Accelerator(cpu=True), "eval")[0]
    assert found["eval_loss"] == pytest.approx(results["eval_reverse_loss"], rel=1e-5)
    assert found["eval_exact_match"] == results["eval_reverse_exact_match"]
    state = json.loads((tmp_path / "run" / "trainer_state.json").read_text())
    assert state["best_metric"] == min(line["eval_reverse_loss"] for line in state["log_history"])
    assert len((tmp_path / "run" / "generated_predictions_copy.txt").read_text().splitlines()) == 25
    card = (tmp_path / "run" / "README.md").read_text()
    assert "performs the tasks `reverse`, `copy`" in card
    assert "| `copy` | `'copy: '` |" in card
    assert "'copy: " in card.split("## How to use")[1].split("## Results")[0]


class Killed(BaseException):
    """Not an Exception: nothing may catch it."""


def test_a_killed_run_ends_with_the_same_bits(
    make_mixed: MakeMixed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"num_train_epochs": 4, "save_steps": 7, "eval_steps": 100, "save_total_limit": 100}
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = Loop(make_mixed(dropout=0.2, **options), Accelerator(cpu=True), tmp_path / "whole")
    counts = [len(whole.plan.epoch(number)) for number in range(4)]
    assert len(set(counts)) > 1  # epochs of unequal length are the harder case
    seen: list[StepBatches] = []
    train_on = whole._train_on
    monkeypatch.setattr(whole, "_train_on", lambda step, interrupts: (seen.append(step), train_on(step, interrupts)))
    assert whole.run().global_step == sum(counts)
    planned = [step for number in range(4) for step in whole.plan.epoch(number)]
    for found, step in zip(seen, planned, strict=True):
        np.testing.assert_array_equal(np.concatenate(found.rows), np.concatenate(step))

    loop = Loop(make_mixed(dropout=0.2, **options), Accelerator(cpu=True), tmp_path / "killed")
    update = loop._update

    def dying_update() -> None:
        if loop.state.global_step == sum(counts[:2]) + 3:
            raise Killed
        update()

    monkeypatch.setattr(loop, "_update", dying_update)
    with pytest.raises(Killed):
        loop.run()
    torch.manual_seed(12345)
    Loop(make_mixed(dropout=0.2, **options), Accelerator(cpu=True), tmp_path / "killed", "last").run()
    steps = [path.name for path in list_checkpoints(tmp_path / "whole")]
    assert steps == [path.name for path in list_checkpoints(tmp_path / "killed")]
    first, second = (load_file(tmp_path / name / steps[-1] / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_two_processes_equal_one(make_mixed: MakeMixed, mixture: Path, tmp_path: Path) -> None:
    task = make_mixed()
    task.model.save_pretrained(tmp_path / "checkpoint")
    task.tokenizers.save(tmp_path / "checkpoint")

    values: dict[str, Any] = {"mixing": "equal", "mixing_cap": 60, "num_train_epochs": 2, "logging_steps": 1}
    values |= {"model_name_or_path": str(tmp_path / "checkpoint"), "metrics": "chrf", "config_overrides": ""}
    results = run(make_mixed(from_scratch=False, tokenizer_type="unigram", gradient_accumulation_steps=2, **values))

    values |= {"mixture": mixture, "max_tokens_per_batch": 600, "max_target_length": 14, "adam_epsilon": 1e-3}
    values |= {"output_dir": tmp_path / "two", "num_processes": 2}
    flags = [text for name, value in values.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "hf_seq2seq", "train", "t5", *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "on 2 process" in done.stderr  # the world size that training itself saw
    assert "reverse 60 of 90 (50.0 %), copy 60 of 300 (50.0 %)" in done.stderr
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "two"), rel=1e-5)
    found = json.loads((tmp_path / "two" / "eval_results.json").read_text())
    for name in ("eval_reverse_loss", "eval_copy_loss", "eval_loss", "eval_reverse_chrf", "eval_copy_chrf"):
        assert results[name] == pytest.approx(found[name], rel=1e-5), name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"objective": "span_corruption"}, "--objective and --mixture"),
        ({"train_file": "x.tsv"}, "--train-file and --mixture: write it below a task's name"),
        ({"metric_for_best_model": "swap_loss"}, "no chosen metric gives 'swap_loss'"),
        ({"metric_for_best_model": "reverse_chrf"}, "no chosen metric gives 'reverse_chrf'"),
        ({"metrics": "bleau"}, "unknown metric 'bleau'; did you mean 'bleu'"),
    ],
)
def test_what_does_not_go_together(make_mixed: MakeMixed, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_mixed(**values)


def test_a_score_of_a_task_without_validation_rows_chooses_nothing(make_mixed: MakeMixed, mixture: Path) -> None:
    lines = mixture.read_text().splitlines(keepends=True)
    mixture.write_text("".join(lines[:3] + lines[4:]))  # `reverse` alone is measured by exact_match
    task = make_mixed(metric_for_best_model="exact_match")
    with pytest.raises(InputError, match="no chosen metric gives 'exact_match'"):
        Loop(task, Accelerator(cpu=True), mixture.parent)
