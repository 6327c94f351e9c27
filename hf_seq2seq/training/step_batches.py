"""The batches of each optimizer step, prepared in a thread one step ahead, so that training does not wait for them.

The plan and the step's number determine their rows, and nothing here uses training's random generators. So a run is bit
for bit the same as one that prepares every batch on demand, and can be resumed at any step.
"""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

import numpy as np
from accelerate import Accelerator
from torch import Tensor

from hf_seq2seq.data.batches import BatchPlan, Step, share
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.task import Task

T = TypeVar("T")


@dataclass(frozen=True)
class StepBatches:
    """The data of one process in an optimizer step.

    Attributes:
        examples: the training rows of the epoch.
        rows: indices of the step's rows among them, over all processes, batch by batch.
        batches: this process's, in the host's memory.
        real: for each batch 1, or 0 if it is a dummy for a process that has none left, because gradients are exchanged
            by all processes.
        tokens: source and target tokens of the real batches, without padding.
        figures: named numbers for the log, by `TrainingRows.figures`, equal on every process.
    """

    examples: Examples
    rows: Step
    batches: list[dict[str, Tensor]]
    real: list[float]
    tokens: float
    figures: dict[str, float] = field(default_factory=dict)


def step_batches(task: Task, plan: BatchPlan, accelerator: Accelerator, first: int) -> Iterator[StepBatches]:
    """This process's batches of step `first`, counted from 0, and of all later steps, endlessly."""
    epoch, done = plan.locate(first)
    for number in count(epoch):
        examples, steps = task.training_rows.of_epoch(number), plan.epoch(number)
        for place, step in enumerate(steps):
            if number == epoch and place < done:
                continue
            rounds = share(step, accelerator.process_index, accelerator.num_processes)
            batches = [task.collate(examples, step[0][:1] if rows is None else rows) for rows in rounds]
            real = [float(rows is not None) for rows in rounds]
            tokens = sum(_tokens(task, batch) * factor for batch, factor in zip(batches, real, strict=True))
            if accelerator.device.type == "cuda":  # pinned memory is copied while the GPU computes
                batches = [{name: tensor.pin_memory() for name, tensor in batch.items()} for batch in batches]
            figures = task.training_rows.figures(number + place / len(steps), np.concatenate(step))
            yield StepBatches(examples, step, batches, real, tokens, figures)


def _tokens(task: Task, batch: dict[str, Tensor]) -> float:
    """Source and target tokens; in decoder-only models both are in one sequence."""
    target = int((batch["labels"] != IGNORE).sum()) if task.model.config.is_encoder_decoder else 0
    return float(int(batch["attention_mask"].sum()) + target)


def one_ahead(items: Iterator[T], wanted: int) -> Generator[T, None, None]:
    """The first `wanted` items, each prepared in a thread while the previous one is used.

    An error in preparing one is raised when it is due. Closing the iterator waits for the one being prepared.
    """
    if wanted < 1:
        return
    with ThreadPoolExecutor(1, "next-batches") as thread:
        coming = thread.submit(next, items)
        for _ in range(wanted - 1):
            item, coming = coming.result(), thread.submit(next, items)
            yield item
        yield coming.result()
