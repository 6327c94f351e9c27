"""Weights, gradients and optimizer state sharded over processes by DeepSpeed's ZeRO, set up from Accelerate's files.

Accelerate only runs DeepSpeed on GPUs. Here DeepSpeed's engine is created on any device, from the configuration that
Accelerate reads from the environment; so two processes on a CPU run the same code as GPUs. The engine counts each
backward pass in full (its `gradient_accumulation_steps` is 1, and the last pass of a step is marked as such), and
averages over processes, which the loop's factor undoes: so it sums what the loop sums.

Full weights and optimizer states are read and written by the public `safe_get_*`, `safe_set_*`, `GatheredParameters`;
where a name is used that is not public, a comment says why.

Paper: Rajbhandari et al., 2020, section 5, https://arxiv.org/abs/1910.02054
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from hf_seq2seq.configs import Optimization
from hf_seq2seq.training.optimizers import make_optimizer
from hf_seq2seq.training.weights.precision import Weights, by_first_name
from hf_seq2seq.training.weights.zero_settings import engine_settings

MOMENTS = ("exp_avg", "exp_avg_sq")


class ZeroWeights(Weights):
    """Weights managed by DeepSpeed's engine, which trains a float32 master copy sharded over the processes.

    Every method that reads or writes them is collective.

    Args:
        objective: passed to the engine, including its model.
        options: the optimizer, the precision and the clipping.

    Attributes:
        engine: called instead of the objective.
        optimizer: the engine's, presented as one of full parameters.
    """

    sharded = True

    def __init__(self, objective: Any, options: Optimization, accelerator: Accelerator) -> None:
        super().__init__(objective.model)
        self._accelerator = accelerator
        exact = {name: parameter.detach() for name, parameter in self.parameters.items()} if options.bf16 else {}
        self._frozen = {name: value for name, value in exact.items() if not self.parameters[name].requires_grad}
        self._buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()} if options.bf16 else {}
        optimizer = make_optimizer(self.parameters, options)
        self.optimizer = ZeroOptimizer(optimizer, accelerator.is_main_process)
        self.engine = _make_engine(objective, optimizer, engine_settings(options))
        self.optimizer.attach(self.engine)
        self._objective = objective
        # Stage 3: shards weights. No public call takes its hooks off and puts them on again, see `unhooked`.
        objective.offload = getattr(self.engine.optimizer, "parameter_offload", None)
        self.load_state_dict(exact)  # the engine created its master copy from rounded weights

    def backward(self, loss: Tensor, accelerator: Accelerator) -> None:
        """Adds a batch's gradients to the step's, of which each process keeps its shard."""
        self.engine.backward(loss)

    def update(self, optimizer: Any, limit: float, accelerator: Accelerator) -> Any:
        """Lets the engine clip, step and clear the gradients; returns their norm before clipping."""
        optimizer.step()
        return self.engine.get_global_grad_norm()

    def state_dict(self) -> dict[str, Tensor]:
        """The full weights in float32 on the main process's CPU, with tied ones shared; empty on other processes."""
        state = self._gather(self._accelerator.is_main_process)
        return state if self._accelerator.is_main_process else {}

    def _gather(self, wanted: bool) -> dict[str, Tensor]:
        found: dict[int, Tensor] = {}
        state = self.model.state_dict()
        state |= {name: buffer for name, buffer in self._buffers.items() if name in state}
        for name, parameter in self.model.named_parameters(remove_duplicate=False):
            if id(parameter) not in found:
                value = self._frozen[name] if name in self._frozen else _full_tensor(parameter)
                found[id(parameter)] = value.cpu() if wanted else value.new_empty(0)
            state[name] = found[id(parameter)]
        return state

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Distributes full weights to the processes' shards."""
        state = by_first_name(self.model, state)
        for name, parameter in self.parameters.items():
            if name in state:
                if parameter.requires_grad:
                    _set(parameter, state[name])
                with gathered([parameter]):
                    parameter.data.copy_(state[name])
        buffers = dict(self.model.named_buffers())
        for name in buffers.keys() & state.keys():
            buffers[name].copy_(state[name])

    @torch.no_grad()
    def release(self) -> Weights:
        """Shuts the engine down, leaving each process a plain model with full weights."""
        state = self._gather(wanted=True)
        self.engine.destroy()
        fresh = {id(p): nn.Parameter(state[name], p.requires_grad) for name, p in self.parameters.items()}
        for module in self.model.modules():
            # Stage 3 leaves a dict of its own class in every module, and nothing public puts torch's back.
            module._parameters = dict(module._parameters)
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    setattr(module, name, fresh[id(parameter)])  # also updates recurrent layers
        del self.engine, self.optimizer, self.parameters
        self._objective.offload = None
        self._objective.to(self._accelerator.device).float()
        for name, buffer in self.model.named_buffers():
            buffer.copy_(self._buffers.get(name, buffer))
        return Weights(self.model)


class ZeroOptimizer:
    """DeepSpeed's optimizer with the names and groups of full parameters, as in `torch.optim`.

    Args:
        optimizer: AdamW over full parameters; after `attach` it is the engine's, with their shards.
        main: whether this is the process that receives the state.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, main: bool) -> None:
        self.param_groups: list[dict[str, Any]] = [dict(group) for group in optimizer.param_groups]
        self._parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        self._main = main

    def attach(self, engine: Any) -> None:
        """Attaches to an engine, and gives each of its shards AdamW's initial state."""
        self._engine = engine
        optimizer = engine.optimizer
        third = engine.zero_optimization_stage() == 3
        # AdamW's state is keyed by these shards, and no public name gives them.
        self._parts = optimizer.fp32_partitioned_groups_flat if third else optimizer.single_partition_of_fp32_groups
        for part in self._parts:
            moments = {name: torch.zeros_like(part) for name in MOMENTS}
            optimizer.state[part] = {"step": torch.zeros((), device=part.device)} | moments
        # Stage 2 reads the state after its first group's first step, when other groups have none yet.
        getattr(optimizer, "_lazy_init_hp_params_optimizer_state", lambda: None)()

    def step(self) -> None:
        """Steps with this object's learning rates; the engine clips before, and clears the gradients after."""
        for mine, theirs in zip(self.param_groups, self._engine.optimizer.param_groups, strict=True):
            theirs["lr"] = mine["lr"]
        self._engine.step()

    def state_dict(self) -> dict[str, Any]:
        """The full state of each parameter, on the main process's CPU; empty on other processes."""
        from deepspeed.utils import safe_get_full_optimizer_state

        step = self._engine.optimizer.state[self._parts[0]]["step"]
        state: dict[int, dict[str, Tensor]] = {}
        for index, parameter in enumerate(self._parameters):
            for name in MOMENTS:
                value = safe_get_full_optimizer_state(parameter, name)
                if self._main:
                    state.setdefault(index, {"step": step.clone()})[name] = value.cpu()
        return {"state": state, "param_groups": self.param_groups}

    def load_state_dict(self, full: dict[str, Any]) -> None:
        """Distributes a full state to the processes' shards."""
        for index, entries in full["state"].items():
            for name in MOMENTS:
                _set(self._parameters[index], entries[name], name)
        for part in self._parts:
            self._engine.optimizer.state[part]["step"].fill_(float(full["state"][0]["step"]))


def _make_engine(objective: nn.Module, optimizer: Any, settings: dict[str, Any]) -> Any:
    import deepspeed

    # On CPUs it would compile its own shared-memory communication; the process group already has one.
    deepspeed.ops.__compatible_ops__.pop("deepspeed_shm_comm", None)
    deepspeed.utils.logger.setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+` is deprecated", FutureWarning)
    return deepspeed.initialize(model=objective, optimizer=optimizer, config=settings)[0]


def _full_tensor(parameter: nn.Parameter) -> Tensor:
    """A full parameter (collective): the master copy of a trained one."""
    from deepspeed.utils import safe_get_full_fp32_param

    if parameter.requires_grad:
        found: Tensor = safe_get_full_fp32_param(parameter)
        return found
    with gathered([parameter]):
        return parameter.detach().float().clone()


def _set(parameter: Any, value: Tensor, name: str | None = None) -> None:
    """Writes this process's shard of a full value to the master copy, or to the named state of the optimizer."""
    from deepspeed import utils

    if not hasattr(parameter, "ds_id"):  # stage 2
        if name is None:
            utils.safe_set_full_fp32_param(parameter, value)
        else:
            utils.safe_set_full_optimizer_state(parameter, value, name)
        return
    # The public setters of stage 3 take this process's shard; how large it is, only these names say.
    size, rank = parameter.ds_tensor.numel(), torch.distributed.get_rank(parameter.ds_process_group)
    part = value.flatten()[size * rank : size * (rank + 1)]
    part = nn.functional.pad(part, (0, size - part.numel()))  # the last shard may be shorter
    if name is None:
        utils.safe_set_local_fp32_param(parameter, part)
    else:
        utils.safe_set_local_optimizer_state(parameter, part, name)


def count(model: Any, only_trainable: bool) -> int:
    """The parameters of a model, of which this process may have a shard."""
    # A sharded parameter is empty to torch; only DeepSpeed's names tell that it is one, and its full size.
    parted = [p for p in model.parameters() if hasattr(p, "ds_id") and (p.requires_grad or not only_trainable)]
    found: int = model.num_parameters(only_trainable=only_trainable)
    return found + sum(parameter.ds_numel - parameter.numel() for parameter in parted)


def is_parted(parameters: list[nn.Parameter]) -> bool:
    """Whether the weights themselves are sharded (ZeRO's stage 3)."""
    return any(hasattr(parameter, "ds_id") for parameter in parameters)


@contextmanager
def gathered(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Gathers full parameters on every process inside the block, which all enter together.

    Changes by the main process are broadcast afterwards.
    """
    if not is_parted(parameters):
        yield
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters(parameters, modifier_rank=0):
        yield


@contextmanager
def unhooked(objective: Any) -> Iterator[None]:
    """Gathers the full weights on every process inside the block, where no process waits for another.

    Processes can then run the model as often as their own rows require. All enter and leave together. Without
    gradients; does nothing if the weights are not sharded.
    """
    offload = getattr(objective, "offload", None)
    if offload is None:
        yield
        return
    offload.destroy()  # only its hooks, which release each layer's weights
    with gathered(list(objective.parameters())):
        yield
    offload.forward_hooks, offload.backward_hooks = [], []
    offload.setup_zero_stage3_hooks()
