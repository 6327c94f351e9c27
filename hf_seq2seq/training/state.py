"""The state of a run: everything needed to resume besides weights and optimizer."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hf_seq2seq import strict_json
from hf_seq2seq.errors import InputError

FILE = "trainer_state.json"
LOG_FILE = "train_log.jsonl"
"""The log of steps beside it."""


def read_log(file: Path) -> list[dict[str, Any]]:
    """The lines of a log of steps; those that a killed run cut off are left out."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        found += [value] if isinstance(value, dict) else []
    return found


@dataclass
class State:
    """Progress of a run, as JSON in `trainer_state.json` with Hugging Face's names.

    Attributes:
        global_step: optimizer steps done.
        max_steps: optimizer steps in all.
        steps_per_epoch: optimizer steps of an epoch; with `global_step` it gives the sampler's position.
        best_metric: the best value so far of the selection metric.
        best_model_checkpoint: name of its checkpoint folder.
        evaluations_without_gain: evaluations since then, for early stopping.
        train_loss_sum: sum of the logged losses.
        train_loss_weight: its divisor for the mean.
        unlogged_loss: sum of the losses since the last line of the log.
        unlogged_weight: its divisor for the mean.
        unlogged_figures: sum and divisor of each of the objective's own figures since then.
        target_tokens_seen: target tokens of the rows so far, as the objective counts them; or rows.
        train_runtime: seconds of training so far, over all resumed runs.
        train_cpu_time: CPU seconds of the first process in that time.
        optimizer_scalars: optimizer state that is not a tensor.
        stopped_early: whether patience, or a metric that fell, ended the run.
        stop_reason: why the metric ended it.
        guard_start: value of the metric that must not fall, before the first step.
        evaluations_below_guard: evaluations in a row in which it was worse than that.
        log_history: evaluation results so far.
        run_id: the run's name in trackers; empty without any.
        data: number of rows and a digest of the content of every split, by name.
        planned: whether `max_steps` is final; with a time limit it is after the first steps.
        eval_steps: the evaluation interval that a time limit led to; 0 without one.
        budget: measurements for each time limit, by its name (see `budget.Meter`).
        averaged_steps: steps of the checkpoints that the schedule asked for, if the final model is a mean of them.
        watch: what the run was watched by: `told`, and the `losses` and `norms` of its log.
        stream: where a stream of training rows goes on; empty without one.
        changes: what resumed runs changed, and at which step.
        files: size in bytes of every other file of a checkpoint.
    """

    global_step: int = 0
    max_steps: int = 0
    steps_per_epoch: int = 1
    best_metric: float | None = None
    best_model_checkpoint: str | None = None
    evaluations_without_gain: int = 0
    train_loss_sum: float = 0.0
    train_loss_weight: float = 0.0
    unlogged_loss: float = 0.0
    unlogged_weight: float = 0.0
    unlogged_figures: dict[str, list[float]] = field(default_factory=dict)
    target_tokens_seen: float = 0.0
    train_runtime: float = 0.0
    train_cpu_time: float = 0.0
    optimizer_scalars: dict[str, float] = field(default_factory=dict)
    stopped_early: bool = False
    stop_reason: str = ""
    guard_start: float | None = None
    evaluations_below_guard: int = 0
    log_history: list[dict[str, Any]] = field(default_factory=list)
    run_id: str = ""
    data: dict[str, list[Any]] = field(default_factory=dict)
    planned: bool = True
    eval_steps: int = 0
    averaged_steps: list[int] = field(default_factory=list)
    budget: dict[str, dict[str, float]] = field(default_factory=dict)
    watch: dict[str, list[Any]] = field(default_factory=dict)
    stream: dict[str, Any] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)

    @property
    def epoch(self) -> float:
        """Epochs done, with the fraction."""
        return self.global_step / self.steps_per_epoch

    @property
    def finished(self) -> bool:
        """Whether no steps are left."""
        return self.stopped_early or self.global_step >= self.max_steps

    def improves(self, value: float, greater_is_better: bool) -> bool:
        """Whether a metric's value beats the best so far; NaN never does."""
        if math.isnan(value):
            return False
        if self.best_metric is None:
            return True
        return value > self.best_metric if greater_is_better else value < self.best_metric

    def save(self, folder: Path) -> None:
        """Writes the JSON file into a folder."""
        (folder / FILE).write_text(strict_json.dumps({"epoch": self.epoch} | asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "State":
        """Reads the JSON file of a folder.

        Raises:
            InputError: there is none, or it does not contain a state.
        """
        path = folder / FILE
        try:
            values = strict_json.loads(path.read_bytes())
        except FileNotFoundError:
            raise InputError(f"{path} is missing") from None
        except ValueError:
            raise InputError(f"{path} is not JSON") from None
        if not isinstance(values, dict):
            raise InputError(f"{path} does not contain the state of a run")
        values.pop("epoch", None)
        _check(values, path)
        return cls(**values)


PLACE = ("global_step", "max_steps", "steps_per_epoch")
"""Required fields; an earlier version's state may lack the rest."""
KINDS: dict[str, type] = {"best_metric": float, "best_model_checkpoint": str, "guard_start": float}
"""Fields that may be None, and their types otherwise."""


ITEMS: dict[str, Callable[[Any], bool]] = {
    "optimizer_scalars": lambda value: isinstance(value, int | float),
    "log_history": lambda value: isinstance(value, dict),
    "data": lambda value: isinstance(value, list) and [*map(type, value)] == [int, str],
    "files": lambda value: isinstance(value, int),
    "changes": lambda value: isinstance(value, str),
    "averaged_steps": lambda value: isinstance(value, int),
    "budget": lambda value: isinstance(value, dict) and all(isinstance(item, int | float) for item in value.values()),
}
"""Types of the values inside these."""


def _check(values: dict[str, Any], path: Path) -> None:
    """Rejects an invalid state: missing or unknown names, and values of wrong types."""
    usual = {item.name: getattr(State(), item.name) for item in fields(State)}
    for name in PLACE:
        if name not in values:
            raise InputError(f"{path} has no {name!r}")
    for name, value in values.items():
        if name not in usual:
            raise InputError(f"{path} has an unknown {name!r}")
        kind = KINDS.get(name, type(usual[name]))
        fits = isinstance(value, (int, float) if kind is float else kind) or value is usual[name] is None
        if fits and name in ITEMS:
            fits = all(map(ITEMS[name], value.values() if isinstance(value, dict) else value))
        if not fits or (name in PLACE and (isinstance(value, bool) or value < (name != "global_step"))):
            raise InputError(f"{path} has {name!r}: {str(value)[:40]!r}")
