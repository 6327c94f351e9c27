"""Curricula of a task: the difficulty of its rows, and the steps of the run as epochs."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hf_seq2seq.configs import RunConfig
from hf_seq2seq.data.batches import BatchPlan
from hf_seq2seq.data.curriculum import PARTS, CurriculumRows, Plan, make_pace
from hf_seq2seq.errors import InputError
from hf_seq2seq.presentation import Curriculum
from hf_seq2seq.task import Task
from hf_seq2seq.tasks.difficulty import column_of_numbers, difficulty_of, loss_under
from hf_seq2seq.training.processes import world_size

if TYPE_CHECKING:
    from datasets import Dataset

STEPS_A_PART = (5, 2)
"""Fewest optimizer steps of a part where each part admits more rows, so that batches hold rows of similar length; the
second where an epoch would have fewer than `FEWEST_PARTS`."""
FEWEST_PARTS = 10
LEAST_AT_FIRST, MOST_AT_FIRST, STEPS_AT_FIRST = 0.01, 0.5, 4
"""The first competence: the paper's, but the rows of four steps where those are more. A model that begins with a
handful of rows learns them by heart, and ends worse than without a curriculum (`benchmarks/curricula.py`)."""


def with_curriculum(task: Task, table: "Dataset | None" = None) -> Task:
    """The task with its training rows in the order of `--curriculum`, if there is one.

    Args:
        task: any kind.
        table: the training rows with all their columns, if they have any.

    Raises:
        InputError: the difficulty is not defined for these rows, or the curriculum does not fit them.
    """
    options = task.config.curriculum
    if options.curriculum is None:
        return task
    rows = task.training_rows
    if options.curriculum in ("one_pass", "baby_steps") and options.curriculum_buckets > len(rows.lengths):
        raise InputError(f"--curriculum-buckets: {options.curriculum_buckets} of {len(rows.lengths):,} training rows")
    optimization, run = task.config.optimization, task.config.run
    every = len(BatchPlan(rows, optimization, world_size(), run.seed))
    sign = -1 if options.hardest_first else 1
    thresholds = [sign * limit for limit in options.difficulty_thresholds]
    initial = options.initial_competence or min(MOST_AT_FIRST, max(LEAST_AT_FIRST, STEPS_AT_FIRST / every))
    competence = options.competence_schedule, initial
    plan = Plan(
        difficulty=_difficulty(task, options, table),
        measure=options.difficulty,
        pace=make_pace(str(options.curriculum), competence, thresholds, options.curriculum_buckets),
        duration=_epochs(task.config, every),
        seed=run.seed,
        parts=_parts(every) if options.curriculum == "competence" else max(1, min(PARTS, every)),
        step=math.ceil(len(rows.lengths) / every),
        hardest_first=options.hardest_first,
        ends=_end(task.config, every),
    )
    return replace(task, presented=CurriculumRows(rows, plan))


def _parts(steps: int) -> int:
    """Parts of an epoch of so many steps."""
    usual, few = STEPS_A_PART
    return max(1, min(PARTS, max(steps // usual, min(FEWEST_PARTS, steps // few))))


def _difficulty(task: Task, options: Curriculum, table: "Dataset | None") -> np.ndarray:
    if options.difficulty == "loss":
        return loss_under(str(options.difficulty_model), task)
    found = difficulty_of(task.splits["train"], options.difficulty)
    return column_of_numbers(table, options.difficulty) if found is None else found


def _epochs(config: RunConfig, steps_per_epoch: int) -> float:
    """The curriculum's duration in epochs: the given steps, or half of the run."""
    schedule, given = config.schedule, config.curriculum.curriculum_steps
    if given is not None:
        return given / steps_per_epoch
    if schedule.limits():
        raise InputError(
            "--curriculum with a time limit: how many steps fit is not known before; give --curriculum-steps"
        )
    if schedule.max_steps is None:
        return schedule.num_train_epochs / 2
    return math.ceil(schedule.max_steps / 2) / steps_per_epoch


def _end(config: RunConfig, steps_per_epoch: int) -> float:
    """When the run ends, in epochs, if nothing but its number of steps ends it."""
    schedule = config.schedule
    if schedule.limits():
        return math.inf
    return schedule.num_train_epochs if schedule.max_steps is None else schedule.max_steps / steps_per_epoch


def refuse_curriculum(config: RunConfig, what: str) -> None:
    """Rejects a curriculum of rows without a difficulty of their own.

    Raises:
        InputError: there is one; `what` names the rows.
    """
    if config.curriculum.curriculum is not None:
        raise InputError(f"--curriculum: needs pairs, conversations or labelled texts, not {what}; leave it out")
