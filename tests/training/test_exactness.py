"""The loss and the gradient of a step depend on its rows alone."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn import functional as F

from hf_seq2seq.data.examples import Examples
from hf_seq2seq.task import Task
from hf_seq2seq.training.loop import Loop


def trained(task: Task, folder: Path) -> tuple[dict[str, Tensor], list[float]]:
    """The weights after the run, and the losses of its steps."""
    folder.mkdir()
    Loop(task, Accelerator(cpu=True), folder).run()
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    return task.model.state_dict(), [line["loss"] for line in lines if "loss" in line]


def assert_same(a: tuple[dict[str, Tensor], list[float]], b: tuple[dict[str, Tensor], list[float]]) -> None:
    assert a[1] == pytest.approx(b[1], rel=1e-5)
    for name, weight in a[0].items():
        torch.testing.assert_close(weight, b[0][name], rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.parametrize(("size", "accumulation"), [(4, 2), (2, 4), (3, 3)])
def test_accumulation_changes_nothing(
    make_task: Callable[..., Task], tmp_path: Path, size: int, accumulation: int
) -> None:
    options = {"logging_steps": 1, "weight_decay": 0.1, "label_smoothing_factor": 0.1}
    one = trained(make_task(per_device_train_batch_size=size * accumulation, **options), tmp_path / "one")
    cut = make_task(per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, **options)
    assert_same(one, trained(cut, tmp_path / "cut"))
    assert len(set(one[1])) == len(one[1]) == 6


def test_padding_changes_nothing(make_task: Callable[..., Task], tmp_path: Path) -> None:
    plain = make_task(logging_steps=1)
    padded = make_task(logging_steps=1)

    def collate(examples: Examples, rows: np.ndarray) -> dict[str, Tensor]:
        fillers = {"input_ids": 0, "attention_mask": 0, "labels": -100}
        return {n: F.pad(t, (0, 7), value=fillers[n]) for n, t in plain.collate(examples, rows).items()}

    object.__setattr__(padded, "collate", collate)
    assert_same(trained(plain, tmp_path / "plain"), trained(padded, tmp_path / "padded"))


def test_loss_is_the_mean_over_all_target_tokens_of_the_step(make_task: Callable[..., Task], tmp_path: Path) -> None:
    task = make_task(logging_steps=1, max_steps=1, gradient_accumulation_steps=3)
    (tmp_path / "run1").mkdir()
    loop = Loop(task, Accelerator(cpu=True), tmp_path / "run1")
    rows = np.concatenate(loop.plan.epoch(0)[0])
    nll, count = 0.0, 0
    for row in rows:
        batch = task.collate(task.splits["train"], np.array([row]))
        with torch.no_grad():
            logits = task.model(**batch).logits.double()
        nll += float(F.cross_entropy(logits[0], batch["labels"][0], reduction="sum"))
        count += batch["labels"].numel()
    loop.run()
    line = json.loads((tmp_path / "run1" / "train_log.jsonl").read_text().splitlines()[0])
    assert line["loss"] == pytest.approx(nll / count, rel=1e-6)
