"""What begins at a step of its own: whether a run is long enough for it."""

from collections.abc import Callable
from functools import partial

from hf_seq2seq.errors import InputError
from hf_seq2seq.task import Task
from hf_seq2seq.training.schedules import unended_warmup
from hf_seq2seq.training.weights.moving_average import check_averaging


def check_starts(task: Task, steps: int | None) -> list[str]:
    """Rejects what would never begin in a run of so many steps; None where a time limit settles them.

    Returns:
        Warnings for the start of the run.

    Raises:
        InputError: names the flag.
    """
    return [note for check in _checks(task, steps) for note in check() or ()]


def late_starts(task: Task, steps: int) -> list[str]:
    """Says what `check_starts` would reject, where the steps were not known before."""
    found: list[str] = []
    for check in _checks(task, steps):
        try:
            found += check() or ()
        except InputError as error:
            found.append(str(error))
    return found


def _checks(task: Task, steps: int | None) -> list[Callable[[], list[str] | None]]:
    config = task.config
    averaging = partial(check_averaging, config.averaging, steps, config.optimization.optim)
    if steps is None:
        return [averaging]
    return [partial(task.objective.check_steps, steps), averaging, partial(unended_warmup, config.schedule, steps)]
