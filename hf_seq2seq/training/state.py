"""Where a run stands: everything that a resumed run must know beside weights and optimizer."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FILE = "trainer_state.json"


@dataclass
class State:
    """Progress of a run, as JSON in `trainer_state.json` with Hugging Face's names.

    Attributes:
        global_step: optimizer steps done.
        max_steps: optimizer steps in all.
        steps_per_epoch: optimizer steps of an epoch; with `global_step` it is the sampler's place.
        best_metric: the best value so far of the metric that chooses.
        best_model_checkpoint: name of the checkpoint folder that gave it.
        evaluations_without_gain: evaluations since then, for early stopping.
        train_loss_sum: sum of the losses that were logged.
        train_loss_weight: what it is divided by for their mean.
        target_tokens_seen: weights of the losses so far: target tokens, or rows.
        train_runtime: seconds of training so far, over all resumed runs.
        train_cpu_time: CPU seconds of the first process in that time.
        optimizer_scalars: optimizer state that is not a tensor.
        stopped_early: whether patience ended the run.
        log_history: evaluation results so far.
    """

    global_step: int = 0
    max_steps: int = 0
    steps_per_epoch: int = 1
    best_metric: float | None = None
    best_model_checkpoint: str | None = None
    evaluations_without_gain: int = 0
    train_loss_sum: float = 0.0
    train_loss_weight: float = 0.0
    target_tokens_seen: float = 0.0
    train_runtime: float = 0.0
    train_cpu_time: float = 0.0
    optimizer_scalars: dict[str, float] = field(default_factory=dict)
    stopped_early: bool = False
    log_history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def epoch(self) -> float:
        """Epochs done, with the fraction."""
        return self.global_step / self.steps_per_epoch

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        return self.stopped_early or self.global_step >= self.max_steps

    def improves(self, value: float, greater_is_better: bool) -> bool:
        """Whether a metric's value beats the best so far; not-a-number never does."""
        if math.isnan(value):
            return False
        if self.best_metric is None:
            return True
        return value > self.best_metric if greater_is_better else value < self.best_metric

    def save(self, folder: Path) -> None:
        """Writes the JSON file into a folder."""
        (folder / FILE).write_text(json.dumps({"epoch": self.epoch} | asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "State":
        """Reads the JSON file of a folder."""
        values = json.loads((folder / FILE).read_text())
        values.pop("epoch")
        return cls(**values)
