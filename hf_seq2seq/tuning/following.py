"""Monitors a run in its process: reads its checkpoints as they appear, and stops it when it is not worth continuing."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hf_seq2seq.drafts import open_draft
from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.run_settings import RUN_FILE
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.training.state import State
from hf_seq2seq.tuning.study import COMPLETE, FAILED, STOPPED
from hf_seq2seq.tuning.train_server import TrainServer, reason_of

OUTPUT = "output.txt"
POLL_SECONDS = 0.2
PATIENCE_SECONDS = 60
"""How long a run may take to save its checkpoint after being asked to stop, before it is abandoned."""


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes:
        share: of its steps, 0-1.
        value: its best score so far; None before the first evaluation, NaN where all were.
        steps: optimizer steps.
        finished: whether no step is left.
        loss: the best on the validation rows so far; None where there is none.
    """

    share: float = 0.0
    value: float | None = None
    steps: int = 0
    finished: bool = False
    loss: float | None = None

    @property
    def score(self) -> float | None:
        """The value, if it is a number."""
        return self.value if self.value is not None and math.isfinite(self.value) else None


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        code: of its process.
        stopped: why it was stopped: "" where it was not, "rung" or "time".
        progress: at the end.
        seconds: that it took.
        reason: why it failed, if it did.
    """

    code: int
    stopped: str
    progress: Progress
    seconds: float
    reason: str

    @property
    def state(self) -> str:
        """The state of a trial whose run has ended so."""
        if self.stopped:
            return STOPPED
        return COMPLETE if self.code == 0 and self.progress.score is not None else FAILED


@dataclass(frozen=True)
class Goal:
    """What runs are compared by.

    Attributes:
        metric: the score, such as "chrf" or "loss", or "NAME_chrf" of a named validation set.
        greater: whether a greater one is better.
    """

    metric: str
    greater: bool

    def better(self, first: float, second: float) -> bool:
        """Whether the first of two scores is."""
        return first > second if self.greater else first < second

    @property
    def is_loss(self) -> bool:
        """Whether it is the loss, of one set or of all, which outputs alone do not have."""
        return self.metric == "loss" or self.metric.endswith("_loss")

    def of_sets(self, measured: Mapping[str, Mapping[str, float]]) -> float:
        """The score of several validation sets, as a run reports it: that of the named set, or the mean of all.

        Args:
            measured: the scores of each set by its name.
        """
        named = {f"{name}_{key}": value for name, scores in measured.items() for key, value in scores.items()}
        if self.metric in named:
            return named[self.metric]
        values = [scores[self.metric] for scores in measured.values() if self.metric in scores]
        return sum(values) / len(values)


def progress_of(folder: Path, goal: Goal) -> Progress:
    """How far the run in a folder has come, by its newest checkpoint."""
    for checkpoint in reversed(list_checkpoints(folder)):
        try:
            state = State.load(checkpoint)
        except (InputError, OSError):  # it was removed in this moment
            continue
        share = 1.0 if state.finished else state.global_step / state.max_steps
        loss = best_score(state, Goal("loss", greater=False))
        known = loss if loss is not None and math.isfinite(loss) else None
        return Progress(share, best_score(state, goal), state.global_step, state.finished, known)
    return Progress()


def best_score(state: State, goal: Goal) -> float | None:
    """The best score among a run's evaluations; None where there was none, NaN where none was a number."""
    scores = [line[f"eval_{goal.metric}"] for line in state.log_history if f"eval_{goal.metric}" in line]
    finite = [float(score) for score in scores if score is not None and math.isfinite(score)]
    if not finite:
        return math.nan if scores else None
    return max(finite) if goal.greater else min(finite)


def every(seconds: float, action: Callable[[], None]) -> Callable[[], None]:
    """A function that performs an action when it was last performed at least so many seconds ago."""
    last = time.monotonic()

    def call() -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            action()
            last = time.monotonic()

    return call


def follow(
    server: TrainServer,
    folder: Path,
    goal: Goal,
    seconds: float,
    is_worth: Callable[[Progress], bool] = lambda progress: True,
) -> Ending:
    """Waits for a run to end; stops it when its time is over or it is not worth continuing.

    Args:
        server: that runs it.
        folder: of the run.
        goal: its score.
        seconds: that it may take.
        is_worth: called with each new progress; returns whether the run should continue.
    """
    started, detail, stopped, seen = time.monotonic(), 0.0, "", Progress()
    while (code := server.poll(POLL_SECONDS)) is None:
        server.waiting()
        took = time.monotonic() - started
        if stopped:
            if took > detail + PATIENCE_SECONDS:
                server.stop()
                detail = took
            continue
        progress = progress_of(folder, goal)
        if progress.value is not None and progress != seen and not progress.finished:
            seen = progress
            stopped = "" if is_worth(progress) else "rung"
        if not stopped and took > seconds and not progress.finished:
            stopped = "time"
        if stopped:
            server.stop()
            detail = took
    progress = progress_of(folder, goal)
    if code == 0 and progress.value is not None:
        is_worth(progress)
    reason = "" if code == 0 or stopped else reason_of(folder / OUTPUT, code)
    return Ending(code, stopped if code else "", progress, time.monotonic() - started, reason)


def start_run(server: TrainServer, recipe: str, values: Mapping[str, Any], folder: Path) -> None:
    """Starts a run in a folder, or resumes the one there."""
    folder.mkdir(parents=True, exist_ok=True)
    flags = {"output_dir": str(folder), "overwrite_output_dir": True, "resume_from_checkpoint": "last"}
    server.start(recipe, dict(values) | flags, folder / OUTPUT)


def write_flags(folder: Path, recipe: str, values: Mapping[str, Any]) -> None:
    """Leaves the flags of a trial in its folder, which a run that ends replaces by all its options."""
    folder.mkdir(parents=True, exist_ok=True)
    if not list_checkpoints(folder):
        with open_draft(folder / RUN_FILE) as file:
            yaml.safe_dump({"recipe": recipe} | dict(values), file, sort_keys=False, allow_unicode=True)
