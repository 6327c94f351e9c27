"""Batches that are made one step ahead of training: in order, as many as are wanted, and no further ahead."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count, islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from hf_seq2seq.data.batches import BatchPlan
from hf_seq2seq.errors import InputError
from hf_seq2seq.task import Task
from hf_seq2seq.training.step_batches import one_ahead, step_batches

MakeTask = Callable[..., Task]
SMALL = {"config_overrides": "num_layers=1,num_decoder_layers=1,d_model=32,d_ff=32,num_heads=2,d_kv=16"}


def slow(made: list[int]) -> Iterator[int]:
    for number in count():
        time.sleep(0.02)
        made.append(number)
        yield number


def test_the_next_item_is_made_while_one_is_used_and_none_beyond_those_wanted() -> None:
    made: list[int] = []
    used = []
    for item in one_ahead(slow(made), 4):
        time.sleep(0.1)
        used.append(item)
        assert made == list(range(min(item + 2, 4)))
    assert used == [0, 1, 2, 3]
    assert not any(thread.name.startswith("next-batches") for thread in threading.enumerate())


def test_an_error_is_raised_when_its_turn_comes() -> None:
    def failing() -> Iterator[int]:
        yield 0
        raise InputError("row 7 is broken")

    items = one_ahead(failing(), 3)
    assert next(items) == 0
    with pytest.raises(InputError, match="row 7"):
        next(items)


def test_closing_ends_the_thread() -> None:
    made: list[int] = []
    with closing(one_ahead(slow(made), 100)) as items:
        next(items)
    assert made == [0, 1]
    assert not any(thread.name.startswith("next-batches") for thread in threading.enumerate())


@pytest.mark.parametrize("processes", [1, 2])
def test_batches_continue_at_any_step_and_draw_no_random_numbers(make_task: MakeTask, processes: int) -> None:
    task = make_task(**SMALL, gradient_accumulation_steps=2, max_train_samples=40)
    accelerator = Accelerator(cpu=True)
    plan = BatchPlan(task.training_rows, task.config.optimization, processes, 1)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
    whole = list(islice(step_batches(task, plan, accelerator, 0), 7))
    parts = [next(step_batches(task, plan, accelerator, step)) for step in range(7)]
    for one, other in zip(whole, parts, strict=True):
        assert [rows.tolist() for rows in one.rows] == [rows.tolist() for rows in other.rows]
        for batch, again in zip(one.batches, other.batches, strict=True):
            assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
    tokens = sum(step.tokens for step in whole[: len(plan)])
    assert processes == 2 or tokens == task.splits["train"].lengths.sum()


def test_a_process_without_a_batch_of_its_own_fills_in_and_counts_nothing(make_task: MakeTask) -> None:
    task = make_task(**SMALL, max_train_samples=24, per_device_train_batch_size=8)
    plan = BatchPlan(task.training_rows, task.config.optimization, 2, 1)  # steps of two batches and of one
    last = SimpleNamespace(process_index=1, num_processes=2, device=torch.device("cpu"))
    steps = list(islice(step_batches(task, plan, last, 0), 2))  # type: ignore[arg-type]
    assert sorted(step.real for step in steps) == [[0.0], [1.0]]
    for step in steps:
        real = step.real[0]
        lengths = task.splits["train"].lengths[step.rows[1]].sum() if real else 0
        assert (step.tokens, len(step.batches[0]["labels"])) == (lengths, 8 if real else 1)
