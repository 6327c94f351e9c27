"""What the loop tells an objective before each step, and what an objective may add to a step's batches."""

import json
from collections.abc import Callable
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from hf_seq2seq.objectives.figures import Figures, quotients
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.task import Task
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.run import train_results

MakeTask = Callable[..., Task]
SMALL = {"config_overrides": "num_layers=1,num_decoder_layers=1,d_model=32,d_ff=32,num_heads=2,d_kv=16"}

NAMES = ("tokens_per_row", "rows_per_batch", "absent")


def watch(task: Task) -> list[Any]:
    """Notes every call of the task's objective that a step consists of."""
    calls: list[Any] = []
    objective = task.objective
    forward = objective.forward

    def begin_step(step: int, steps: int) -> None:
        calls.append((step, steps))

    def augment(self: Any, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        calls.append("augment with gradients" if torch.is_grad_enabled() else "augment")
        return batch | {"added": torch.tensor(1.0)}

    def count(self: Any, batch: dict[str, Tensor]) -> Tensor:
        return torch.tensor(float(len(batch["labels"])), dtype=torch.float64)

    def note(batch: dict[str, Tensor]) -> Tensor:
        if torch.is_grad_enabled():
            calls.append("forward" if batch.pop("added", None) is not None else "forward of what was not augmented")
        return forward(batch)

    objective.begin_step = begin_step  # type: ignore[method-assign]
    objective.augment = MethodType(augment, objective)  # type: ignore[method-assign]
    objective.target_tokens = MethodType(count, objective)  # type: ignore[method-assign]
    objective.forward = note  # type: ignore[method-assign]
    return calls


@pytest.mark.parametrize("generates", [False, True])
def test_a_step_is_begun_then_all_its_batches_augmented_then_trained_on(
    make_task: MakeTask, tmp_path: Path, generates: bool
) -> None:
    task = make_task(**SMALL, max_steps=3, gradient_accumulation_steps=2, max_train_samples=48)
    task.objective.generates = generates
    calls = watch(task)
    state = Loop(task, Accelerator(cpu=True), tmp_path).run()
    batches = [call for call in calls if call == "augment"]
    assert set(calls) == {(0, 3), (1, 3), (2, 3), "augment", "forward"}
    assert len(batches) == calls.count("forward") == 6
    assert calls == [part for step in range(3) for part in ((step, 3), *["augment"] * 2, *["forward"] * 2)]
    assert train_results(task, state, 1)["train_target_tokens"] == 6 * 8  # what the objective counts: rows


def test_a_resumed_run_continues_with_the_steps_number(make_task: MakeTask, tmp_path: Path) -> None:
    Loop(make_task(**SMALL, max_steps=2), Accelerator(cpu=True), tmp_path).run()
    task = make_task(**SMALL, max_steps=4)
    calls = watch(task)
    Loop(task, Accelerator(cpu=True), tmp_path, "last").run()
    assert [call for call in calls if isinstance(call, tuple)] == [(2, 4), (3, 4)]


def log_tokens(task: Task) -> Task:
    """Gives the objective two figures: real target tokens per row, and rows per batch."""
    objective = task.objective
    objective.figures, forward = Figures(NAMES), objective.forward

    def augment(self: Any, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        self.figures.add("rows_per_batch", len(batch["labels"]), 1)
        return batch

    def note(batch: dict[str, Tensor]) -> Tensor:
        objective.figures.add("tokens_per_row", (batch["labels"] != IGNORE).sum(), len(batch["labels"]))
        return forward(batch)

    objective.augment = MethodType(augment, objective)  # type: ignore[method-assign]
    objective.forward = note  # type: ignore[method-assign]
    return task


def figures_in(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    return [{name: row[name] for name in NAMES if name in row} for row in rows if "loss" in row]


def test_an_objectives_figures_are_logged_across_a_resume(make_task: MakeTask, tmp_path: Path) -> None:
    options = SMALL | {"gradient_accumulation_steps": 2, "max_train_samples": 48, "max_steps": 6}
    options |= {"logging_steps": 6, "save_steps": 4}
    task = log_tokens(make_task(**options))
    Loop(task, Accelerator(cpu=True), tmp_path).run()
    target = task.splits["train"].target
    assert target is not None
    mean = np.diff(target.offsets).mean()  # each epoch of three steps has every row once
    whole = figures_in(tmp_path)
    assert whole == [{"tokens_per_row": pytest.approx(mean), "rows_per_batch": 8.0}]
    Loop(log_tokens(make_task(**options)), Accelerator(cpu=True), tmp_path, str(tmp_path / "checkpoint-4")).run()
    assert figures_in(tmp_path) == whole


def test_a_batch_that_only_keeps_a_process_busy_is_not_counted() -> None:
    figures = Figures(("share",))
    for factor in (1.0, 0.0):
        with figures.counting(factor):
            figures.add("share", torch.tensor(3), 4)
    figures.add("share", 100, 1)  # in an evaluation
    assert quotients(figures.named(figures.sums(torch.device("cpu")))) == {"share": 0.75}
