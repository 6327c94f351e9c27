"""Weights that are evaluated and saved in place of those that are trained: an exponential moving average.

The checkpoint of such a run has the average as its model, which is what its evaluation scored, and the trained weights
beside it, from which the run resumes bit for bit.

Paper: Polyak and Juditsky, 1992, https://doi.org/10.1137/0330046, whose mean over all steps is exponential here
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from hf_seq2seq.errors import InputError
from hf_seq2seq.training.weights import zero_settings
from hf_seq2seq.training.weights.precision import Weights
from hf_seq2seq.training_options import Averaging

SCHEDULE_FREE = "schedule_free_adamw"
TRAINED_FILE = "trained_weights.safetensors"


def check_averaging(options: Averaging, max_steps: int | None, optim: str) -> None:
    """Rejects an average that never begins, or cannot be kept.

    Raises:
        InputError: names the flag.
    """
    if options.ema_decay is None:
        return
    if max_steps is not None and options.ema_start >= max_steps:
        raise InputError(f"--ema-start: {options.ema_start} is not before the last step, {max_steps}")
    if optim == SCHEDULE_FREE:
        raise InputError(f"--ema-decay: --optim {SCHEDULE_FREE} averages the weights already; leave out one of them")
    if zero_settings.is_asked_for():
        raise InputError("--ema-decay cannot be combined with DeepSpeed; use --accelerate-config fsdp, or leave it out")


class EvaluatedWeights:
    """The weights that are evaluated and saved: here the trained ones themselves.

    Args:
        weights: those that are trained.

    Attributes:
        active: whether others than the trained ones are evaluated by now.
    """

    active = False

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def update(self, step: int) -> None:
        """Called after every optimizer step, with the number of steps done."""

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the evaluated weights inside the block, and the trained ones again after it."""
        yield

    def keep(self) -> None:
        """Gives the model the evaluated weights for good, at the end of training."""

    def adopt(self) -> None:
        """Takes the model's present weights for the evaluated ones, as when a checkpoint is loaded."""

    def trained(self) -> dict[str, Tensor]:
        """A copy of the trained weights on the CPU, if others are evaluated; collective if sharded."""
        if not self.active:
            return {}
        state = self._weights.state_dict()
        names = [name for name, parameter in self._weights.parameters.items() if parameter.requires_grad]
        return {name: state[name].detach().to("cpu", copy=True).contiguous() for name in names if name in state}

    def resume(self, checkpoint: Path) -> None:
        """Restores both kinds of weights, after the checkpoint's model has been loaded."""
        path = checkpoint / TRAINED_FILE
        if path.is_file():
            self.adopt()
            self._weights.load_state_dict(load_file(path))


class MovingAverage(EvaluatedWeights):
    """An exponential moving average of the trained weights, in float32; each process keeps that of its shard.

    The decay of the n-th update is min(decay, (1 + n) / (10 + n)), as in TensorFlow, so that the first weights do not
    stay in the average of a short run.
    """

    def __init__(self, weights: Weights, options: Averaging) -> None:
        super().__init__(weights)
        assert options.ema_decay is not None
        self._decay, self._first = options.ema_decay, max(1, options.ema_start)
        self._average: list[Tensor] = []

    @property
    def active(self) -> bool:  # type: ignore[override]
        """Whether the average has begun."""
        return bool(self._average)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves the average towards the trained weights."""
        if step < self._first:
            return
        if not self._average:
            self.adopt()
            return
        count = step - self._first
        decay = min(self._decay, (1 + count) / (10 + count))
        torch._foreach_lerp_(self._average, local_parts(self._weights), 1 - decay)

    @torch.no_grad()
    def adopt(self) -> None:
        """Restarts the average from the current weights."""
        self._average = [part.clone() for part in local_parts(self._weights)]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the average inside the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def keep(self) -> None:
        """Gives the model the average for good."""
        self._swap()
        self._average = []

    @torch.no_grad()
    def _swap(self) -> None:
        if not self._average:
            return
        for part, mean in zip(local_parts(self._weights), self._average, strict=True):
            before = part.clone()
            part.copy_(mean)
            mean.copy_(before)
        self._weights.sync_from_master()


class ScheduleFreeAverage(EvaluatedWeights):
    """The average that a schedule-free optimizer keeps: x in the paper, where y is trained.

    Paper: Defazio et al., 2024, section 3, https://arxiv.org/abs/2405.15682
    """

    active = True

    def __init__(self, weights: Weights, optimizer: Any) -> None:
        super().__init__(weights)
        self._optimizer = optimizer

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the average inside the block."""
        trained = [part.clone() for part in local_parts(self._weights)]
        self.keep()
        try:
            yield
        finally:
            # From a copy, because the optimizer's own way back rounds.
            for part, value in zip(local_parts(self._weights), trained, strict=True):
                part.copy_(value)
            for group in self._optimizer.param_groups:
                group["train_mode"] = True
            self._weights.sync_from_master()

    def keep(self) -> None:
        """Gives the model the average for good."""
        self._optimizer.eval()
        self._weights.sync_from_master()


def local_parts(weights: Weights) -> list[Tensor]:
    """The trained parameters, of which a process may have a shard; changing one in place changes the weights."""
    trained = [parameter.detach() for parameter in weights.parameters.values() if parameter.requires_grad]
    return [part.to_local() if hasattr(part, "to_local") else part for part in trained]


def evaluated_weights(weights: Weights, options: Averaging, optimizer: Any, optim: str) -> EvaluatedWeights:
    """The weights to evaluate and save, by the options and the optimizer's name."""
    if optim == SCHEDULE_FREE:
        return ScheduleFreeAverage(weights, optimizer)
    return EvaluatedWeights(weights) if options.ema_decay is None else MovingAverage(weights, options)
