"""An estimate of the memory needed for training, without training."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hf_seq2seq.data.batches import BatchPlan, padded_tokens
from hf_seq2seq.task import Task

SAMPLE_TOKENS = 1024


@dataclass(frozen=True)
class Memory:
    """The memory of one process during training.

    Attributes:
        parameters: number of parameters.
        trained: number of trainable parameters.
        parts: name, bytes, and what they comprise.
    """

    parameters: int
    trained: int
    parts: tuple[tuple[str, float, str], ...]

    @property
    def total(self) -> float:
        """Total bytes."""
        return sum(size for _, size, _ in self.parts)


def estimate_memory(task: Task) -> Memory:
    """Counts weights, gradients and optimizer state, and measures the activations of a forward pass.

    The pass runs on part of the largest batch, and is scaled up by padded tokens: attention's quadratic matrices are
    treated as linear, and recomputation (`--gradient-checkpointing`) is ignored.
    """
    options = task.config.optimization
    parameters = list(task.model.parameters())
    trained = [p for p in parameters if p.requires_grad]
    count, trained_count = task.model.num_parameters(), _numbers(trained)
    tokens, activations = _activations(task)
    low = options.bf16 or options.fp16
    master = 2 * count if options.bf16 and not torch.cuda.is_available() else 0
    weights = float(sum(p.nbytes for p in parameters))
    size = f"{weights / count:.3g}"
    parts = (
        ("weights", weights + master, f"{size} bytes per parameter" + (", and a copy in bfloat16" if master else "")),
        ("gradients", 4.0 * trained_count, "4 bytes per trained parameter"),
        ("optimizer", _optimizer_bytes(trained, options.optim), f"the state of {options.optim}"),
        (
            "activations",
            activations / (2 if low else 1),
            f"of the largest batch, {tokens:,} tokens with padding" + (", in 16 bits" if low else ""),
        ),
    )
    return Memory(count, trained_count, parts)


def _numbers(parameters: Iterable[nn.Parameter]) -> int:
    return sum(p.numel() for p in parameters)


def _optimizer_bytes(trained: list[nn.Parameter], optim: str) -> float:
    """Bytes: two numbers per parameter, but Adafactor's are one per row and one per column of each matrix."""
    if optim != "adafactor":
        return 2.0 * (1 if optim == "adamw_8bit" else 4) * _numbers(trained)
    return sum(4.0 * (p.numel() if p.ndim < 2 else p.numel() / p.shape[-1] + p.numel() / p.shape[-2]) for p in trained)


def _activations(task: Task) -> tuple[int, float]:
    """Padded tokens of the largest batch, and the bytes of its activations."""
    train = task.splits["train"]
    plan = BatchPlan(task.training_rows, task.config.optimization, 1, task.config.run.seed)
    batches = [batch for step in plan.epoch(task.training_rows.usual) for batch in step]
    largest = max(batches, key=lambda rows: padded_tokens(train.lengths[rows]))
    tokens = padded_tokens(train.lengths[largest])
    # The longest rows of the batch, which have the least padding.
    order = np.argsort(-train.lengths[largest].sum(axis=1), kind="stable")
    rows = largest[order[: max(1, SAMPLE_TOKENS * len(largest) // tokens)]]
    batch = task.collate(train, rows)
    return tokens, kept_bytes(task.objective, batch) * tokens / padded_tokens(train.lengths[rows])


def kept_bytes(objective: nn.Module, batch: dict[str, Tensor]) -> int:
    """Bytes of the activations stored for the backward pass, without weights; a shared tensor counts once."""
    weights = {p.untyped_storage().data_ptr() for p in objective.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # keeping the tensor would keep the graph that refers to it

    training, state = objective.training, torch.get_rng_state()
    objective.train()
    try:
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = objective(batch)
    finally:
        objective.train(training)
        torch.set_rng_state(state)
    del loss
    return sum(kept.values())
