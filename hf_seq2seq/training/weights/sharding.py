"""Weights, gradients and optimizer state spread over processes (FSDP 2), set up by Accelerate's configuration.

Accelerate shards on GPUs alone. Here torch's own `fully_shard` does it on any device, by the environment that
`accelerate launch` makes of its configuration; so two processes on a CPU run the very code that GPUs run.

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
from hf_seq2seq.training.weights.precision import Weights

SWITCH = "ACCELERATE_USE_FSDP"
DEEPSPEED = "ACCELERATE_USE_DEEPSPEED"
PLACE = "Accelerate's configuration"
NO_WRAP = "NO_WRAP"
WRAPS = ("TRANSFORMER_BASED_WRAP", NO_WRAP)


def is_asked_for() -> bool:
    """Whether the environment, as `accelerate launch` and this project's launcher set it, asks for sharded weights."""
    return os.environ.get(SWITCH, "").lower() == "true"


def _told(name: str, default: str = "") -> str:
    """An option of `fsdp_config`, as it reaches processes."""
    return os.environ.get(f"FSDP_{name}", default).lower()


def check_sharding(optimization: Optimization, adaptation: Adaptation | None) -> None:
    """Refuses what does not go together with sharded weights.

    Raises:
        InputError: names the option of the configuration, or the flag.
    """
    if not is_asked_for():
        return
    if (version := _told("VERSION", "1")) != "2":
        raise InputError(f"{PLACE}: fsdp_version {version} is not served; write 'fsdp_version: 2'")
    if _told("OFFLOAD_PARAMS") == "true":
        raise InputError(f"{PLACE}: fsdp_offload_params is not served; write false")
    if _told("ACTIVATION_CHECKPOINTING") == "true":
        raise InputError(f"{PLACE}: fsdp_activation_checkpointing: write false, and give --gradient-checkpointing")
    if (wrap := _told("AUTO_WRAP_POLICY", NO_WRAP).upper()) not in WRAPS:
        raise InputError(f"{PLACE}: fsdp_auto_wrap_policy {wrap} is not served; choose from {', '.join(WRAPS)}")
    check_flags("FSDP", optimization)
    if adaptation is not None and adaptation.merge_adapter:
        raise InputError("--merge-adapter does not go together with FSDP; leave it out, and the adapter is saved")


def check_flags(kind: str, optimization: Optimization) -> None:
    """Refuses flags that do not go together with FSDP or DeepSpeed, whichever `kind` says.

    Raises:
        InputError: names the flag.
    """
    if optimization.optim != "adamw":
        raise InputError(f"--optim {optimization.optim}: works on whole weights alone; with {kind} take --optim adamw")
    for name in ("fp16", "torch_compile"):
        if getattr(optimization, name):
            raise InputError(f"--{name.replace('_', '-')} does not go together with {kind}; leave it out")


class ShardedWeights(Weights):
    """Weights of which each process holds a part; they are whole only while a layer computes.

    Every method that reads or writes them is called by all processes at once.

    Args:
        objective: is sharded in place, with the model in it.
        bf16: whether layers compute in bfloat16; the parts, and the sums of gradients, are float32.
    """

    sharded = True

    def __init__(self, objective: Objective, bf16: bool, accelerator: Accelerator) -> None:
        _shard(objective, bf16, accelerator)
        super().__init__(objective.model)
        self._main = accelerator.is_main_process

    def state_dict(self) -> dict[str, Tensor]:
        """The whole weights on the main process's CPU, shared ones once for all their names; elsewhere nothing."""
        found: dict[int, Tensor] = {}
        state = self.model.state_dict()
        for name, parameter in self.model.named_parameters(remove_duplicate=False):
            if id(parameter) not in found:
                found[id(parameter)] = _on(self._main, parameter.detach())
            state[name] = found[id(parameter)]
        return state if self._main else {}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Gives each process its part of whole weights."""
        for name, parameter in self.parameters.items():
            if name in state:
                parameter.copy_(part_of(state[name], parameter))
        buffers = {name: value for name, value in state.items() if name not in self.parameters}
        known = dict(self.model.named_buffers())
        self.model.load_state_dict({n: v for n, v in buffers.items() if n in known}, strict=False)


def _shard(objective: Any, bf16: bool, accelerator: Accelerator) -> None:
    """Shards each layer, and the rest with the objective, whose own `forward` reads the output layer's weights."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    # T5's layers hand on a view of their position biases, and add to it in no place.
    warnings.filterwarnings("ignore", r"FSDP2-wrapped module \(FSDP\w*T5Block\) returned a view")
    reshards = _told("RESHARD_AFTER_FORWARD", "true") == "true"
    objective.to(accelerator.device)
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bf16 else MixedPrecisionPolicy()
    if _told("AUTO_WRAP_POLICY", NO_WRAP).upper() != NO_WRAP:
        for layer in _layers(objective.model):
            fully_shard(layer, mesh=mesh, mp_policy=policy, reshard_after_forward=reshards)
    fully_shard(objective, mesh=mesh, mp_policy=policy)
    objective.reshards = reshards  # to be put back after an evaluation


def _layers(model: nn.Module) -> list[nn.Module]:
    """The layers of the classes that the configuration names; by default those that recomputation takes one by one."""
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
    """Whether an objective's weights are spread over processes."""
    return hasattr(objective, "set_requires_gradient_sync")


@contextmanager
def unsharded(objective: Any) -> Iterator[None]:
    """Makes the weights whole on every process inside the block, where no process waits for another.

    Processes can then run the model as often as each one's rows need. All enter and leave at once. A block without
    gradients; nothing happens where weights are not sharded.
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
    """Runs sharded weights once from the top, as torch wants it before any layer runs by itself; nothing else."""
    if is_sharded(objective) and not getattr(objective, "is_set_up", False):
        objective(batch)
        objective.is_set_up = True


@contextmanager
def without_exchange(objective: Any, accelerator: Accelerator) -> Iterator[None]:
    """Keeps the gradients of a backward pass in each process, to be exchanged with a later one's."""
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


def whole(value: Any) -> Any:
    """The whole of a tensor that is spread over processes, which all ask at once; anything else as it is."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def part_of(value: Tensor, like: Tensor) -> Tensor:
    """This process's part of a whole tensor, cut as another of its shape is; the tensor itself where that is whole."""
    if not hasattr(like, "full_tensor") or value.shape != like.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = like.device_mesh, like.placements  # type: ignore[attr-defined]
    return distribute_tensor(value.to(like.device, like.dtype), mesh, placements, src_data_rank=None)


def _on(main: bool, value: Tensor) -> Tensor:
    """The whole tensor on the main process's CPU; others only take part."""
    found: Tensor = whole(value)
    return found.cpu() if main else found.new_empty(0)


@contextmanager
def left_to_us() -> Iterator[None]:
    """Hides from Accelerate that weights are to be sharded, for it would do so on GPUs, and in its own way."""
    asked = {name: os.environ.pop(name) for name in (SWITCH, DEEPSPEED) if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(asked)
