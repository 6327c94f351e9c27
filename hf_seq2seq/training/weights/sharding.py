"""Weights, gradients and optimizer state sharded over processes (FSDP 2), set up from Accelerate's configuration.

Accelerate only shards on GPUs. Here torch's own `fully_shard` does it on any device, from the environment that
`accelerate launch` creates from its configuration; so two processes on a CPU run the same code as GPUs.

Paper: Zhao et al., 2023, https://arxiv.org/abs/2304.11277; Rajbhandari et al., 2020, section 5,
https://arxiv.org/abs/1910.02054
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from hf_seq2seq.configs import Adaptation, Optimization
from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.objectives.objective import Objective
from hf_seq2seq.training.weights.precision import Weights, by_first_name

SWITCH = "ACCELERATE_USE_FSDP"
DEEPSPEED = "ACCELERATE_USE_DEEPSPEED"
PLACE = "Accelerate's configuration"
NO_WRAP = "NO_WRAP"
WRAPS = ("TRANSFORMER_BASED_WRAP", NO_WRAP)


def is_asked_for() -> bool:
    """Whether the environment, as set by `accelerate launch` and this project's launcher, requests sharded weights."""
    return os.environ.get(SWITCH, "").lower() == "true"


def _told(name: str, default: str = "") -> str:
    """An option of `fsdp_config`, as passed to processes."""
    return os.environ.get(f"FSDP_{name}", default).lower()


def check_sharding(optimization: Optimization, adaptation: Adaptation | None) -> None:
    """Rejects options that are incompatible with sharded weights.

    Raises:
        InputError: an option is incompatible; names it, or the flag.
    """
    if not is_asked_for():
        return
    if (version := _told("VERSION", "1")) != "2":
        raise InputError(f"{PLACE}: fsdp_version {version} is not supported; write 'fsdp_version: 2'")
    if _told("OFFLOAD_PARAMS") == "true":
        raise InputError(f"{PLACE}: fsdp_offload_params is not supported; write false")
    if _told("ACTIVATION_CHECKPOINTING") == "true":
        raise InputError(f"{PLACE}: fsdp_activation_checkpointing: write false, and give --gradient-checkpointing")
    if (wrap := _told("AUTO_WRAP_POLICY", NO_WRAP).upper()) not in WRAPS:
        raise InputError(f"{PLACE}: fsdp_auto_wrap_policy {wrap} is not supported; choose from {', '.join(WRAPS)}")
    check_flags("FSDP", optimization)
    if adaptation is not None and adaptation.merge_adapter:
        raise InputError("--merge-adapter cannot be combined with FSDP; leave it out, and the adapter is saved")


def check_flags(kind: str, optimization: Optimization) -> None:
    """Rejects flags that are incompatible with FSDP or DeepSpeed, whichever `kind` says.

    Raises:
        InputError: a flag is incompatible; names it.
    """
    if optimization.optim != "adamw":
        raise InputError(f"--optim {optimization.optim}: only works on full weights; with {kind} use --optim adamw")
    for name in ("fp16", "torch_compile"):
        if getattr(optimization, name):
            raise InputError(f"--{name.replace('_', '-')} cannot be combined with {kind}; leave it out")


class ShardedWeights(Weights):
    """Weights sharded over processes, gathered only while a layer computes.

    Every method that reads or writes them is collective.

    Args:
        objective: sharded in place, including its model.
        bf16: whether layers compute in bfloat16; the shards, and the sums of gradients, are float32.
    """

    sharded = True

    def __init__(self, objective: Objective, bf16: bool, accelerator: Accelerator) -> None:
        _shard(objective, bf16, accelerator)
        super().__init__(objective.model)
        self._main = accelerator.is_main_process

    def state_dict(self) -> dict[str, Tensor]:
        """The full weights on the main process's CPU, with tied ones shared; empty on other processes."""
        found: dict[int, Tensor] = {}
        state = self.model.state_dict()
        for name, parameter in self.model.named_parameters(remove_duplicate=False):
            if id(parameter) not in found:
                found[id(parameter)] = _on(self._main, parameter.detach())
            state[name] = found[id(parameter)]
        return state if self._main else {}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Distributes full weights to the processes' shards."""
        state = by_first_name(self.model, state)
        for name, parameter in self.parameters.items():
            if name in state:
                parameter.copy_(shard_like(state[name], parameter))
        buffers = {name: value for name, value in state.items() if name not in self.parameters}
        known = dict(self.model.named_buffers())
        self.model.load_state_dict({n: v for n, v in buffers.items() if n in known}, strict=False)


def _shard(objective: Any, bf16: bool, accelerator: Accelerator) -> None:
    """Shards each layer, and the rest with the objective, whose own `forward` reads the output layer's weights."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    # T5's layers pass on a view of their position biases, and never modify it in place.
    warnings.filterwarnings("ignore", r"FSDP2-wrapped module \(FSDP\w*T5Block\) returned a view")
    reshards = _told("RESHARD_AFTER_FORWARD", "true") == "true"
    objective.to(accelerator.device)
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bf16 else MixedPrecisionPolicy()
    if _told("AUTO_WRAP_POLICY", NO_WRAP).upper() != NO_WRAP:
        for layer in _layers(objective.model):
            fully_shard(layer, mesh=mesh, mp_policy=policy, reshard_after_forward=reshards)
    fully_shard(objective, mesh=mesh, mp_policy=policy)
    objective.reshards = reshards  # restored after an evaluation


def _layers(model: nn.Module) -> list[nn.Module]:
    """The layers of the classes named in the configuration; by default those checkpointed one by one."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    names = [name for name in os.environ.get("FSDP_TRANSFORMER_CLS_TO_WRAP", "").split(",") if name]
    if not names:
        return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    known = {type(module).__name__ for module in model.modules()}
    for name in names:
        if name not in known:
            hint = nearest(name, known)
            raise InputError(f"{PLACE}: fsdp_transformer_layer_cls_to_wrap: the model has no {name!r}{hint}")
    return [module for module in model.modules() if type(module).__name__ in names]


def is_sharded(objective: nn.Module) -> bool:
    """Whether an objective's weights are sharded."""
    return hasattr(objective, "set_requires_gradient_sync")


@contextmanager
def unsharded(objective: Any) -> Iterator[None]:
    """Gathers the full weights on every process inside the block, where no process waits for another.

    Processes can then run the model as often as their own rows require. All enter and leave together. Without
    gradients; does nothing if weights are not sharded.
    """
    if not is_sharded(objective):
        yield
        return
    parts = [module for module in objective.modules() if is_sharded(module)]
    objective.set_reshard_after_forward(False)
    for part in parts:
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
        objective.set_reshard_after_forward(objective.reshards)
        objective.set_reshard_after_forward(False, recurse=False)


def set_up(objective: Any, batch: dict[str, Tensor]) -> None:
    """Runs the root module of sharded weights once, which torch requires before any layer runs separately."""
    if is_sharded(objective) and not getattr(objective, "is_set_up", False):
        objective(batch)
        objective.is_set_up = True


@contextmanager
def no_sync(objective: Any, accelerator: Accelerator) -> Iterator[None]:
    """Keeps the gradients of a backward pass local, to be synchronized with a later one's."""
    if hasattr(objective, "set_gradient_accumulation_boundary"):  # DeepSpeed's engine
        objective.set_gradient_accumulation_boundary(False)
        yield
        objective.set_gradient_accumulation_boundary(True)
        return
    if not is_sharded(objective):
        with accelerator.no_sync(objective):
            yield
        return
    objective.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        objective.set_requires_gradient_sync(True)


def full_tensor(value: Any) -> Any:
    """The full tensor of a sharded one (collective); any other tensor unchanged."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def shard_like(value: Tensor, like: Tensor) -> Tensor:
    """This process's shard of a full tensor, sharded like another of its shape.

    The tensor itself if that is not sharded.
    """
    if not hasattr(like, "full_tensor") or value.shape != like.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = like.device_mesh, like.placements  # type: ignore[attr-defined]
    return distribute_tensor(value.to(like.device, like.dtype), mesh, placements, src_data_rank=None)


def _on(main: bool, value: Tensor) -> Tensor:
    """The full tensor on the main process's CPU; other processes only take part."""
    found: Tensor = full_tensor(value)
    return found.cpu() if main else found.new_empty(0)


@contextmanager
def left_to_us() -> Iterator[None]:
    """Hides the sharding settings from Accelerate, which would shard in its own way on GPUs."""
    asked = {name: os.environ.pop(name) for name in (SWITCH, DEEPSPEED) if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(asked)
