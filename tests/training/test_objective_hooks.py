"""What the loop tells an objective before each step, and what an objective may add to a step's batches."""

from collections.abc import Callable
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from hf_seq2seq.task import Task
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.run import train_results

MakeTask = Callable[..., Task]
SMALL = {"config_overrides": "num_layers=1,num_decoder_layers=1,d_model=32,d_ff=32,num_heads=2,d_kv=16"}


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
