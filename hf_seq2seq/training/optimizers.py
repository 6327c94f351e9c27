"""Optimizers, and their state as safetensors."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hf_seq2seq.configs import Optimization
from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.embeddings import TRAINED_ROWS
from hf_seq2seq.sections import flag
from hf_seq2seq.training.weights.sharding import full_tensor, shard_like

PACKAGES = {"schedule_free_adamw": ("schedulefree", "schedulefree"), "adamw_8bit": ("bitsandbytes", "quantization")}
"""Optimizers that need a package, and the extra that installs it."""


def check_optimizer(options: Optimization, on_cpu: bool = False) -> None:
    """Rejects an option of another optimizer, and one that cannot run here.

    Raises:
        InputError: names the option, and the extra to install.
    """
    package, extra = PACKAGES.get(options.optim, ("", ""))
    if package and find_spec(package) is None:
        raise InputError(f"--optim {options.optim}: {package} is not installed; pip install 'hf-seq2seq[{extra}]'")
    if options.optim == "adamw_8bit" and on_cpu:
        raise InputError("--optim adamw_8bit needs a GPU; use --optim adamw")
    if options.scale_parameter and options.optim != "adafactor":
        raise InputError(f"--scale-parameter: --optim {options.optim} has no such option; add --optim adafactor")
    for name in options.changed() if options.optim == "adafactor" else ():
        if name.startswith("adam_"):
            raise InputError(f"{flag(name)}: --optim adafactor has no such option; leave it out")


def make_optimizer(named_parameters: dict[str, nn.Parameter], options: Optimization) -> torch.optim.Optimizer:
    """The optimizer over the trainable parameters.

    Vectors (biases, norms) have no weight decay, nor have tables of tokens of which only some rows are trained.

    Adafactor uses the given learning rate (no relative step). With `scale_parameter` it is relative to each parameter's
    root mean square (section 8), as needed for T5 from scratch: its embeddings start at a standard deviation of 1, its
    queries below 0.01, and no single rate suits both.

    Paper: Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101;
        Shazeer and Stern, 2018, https://arxiv.org/abs/1804.04235;
        Defazio et al., 2024, https://arxiv.org/abs/2405.15682 (schedule-free);
        Dettmers et al., 2022, https://arxiv.org/abs/2110.02861 (8 bits)
    """
    trained = [p for p in named_parameters.values() if p.requires_grad]
    decayed = [p for p in trained if p.ndim >= 2 and not hasattr(p, TRAINED_ROWS)]
    others = [p for p in trained if p.ndim < 2 or hasattr(p, TRAINED_ROWS)]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": options.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if options.optim == "adafactor":
        from transformers import Adafactor

        return Adafactor(groups, lr=options.learning_rate, relative_step=False, scale_parameter=options.scale_parameter)
    betas = (options.adam_beta1, options.adam_beta2)
    common: dict[str, Any] = {"lr": options.learning_rate, "betas": betas, "eps": options.adam_epsilon}
    if options.optim in PACKAGES:
        return _from_package(options.optim, groups, common)
    return torch.optim.AdamW(groups, **common, fused=True)


def _from_package(optim: str, groups: list[dict[str, Any]], options: dict[str, Any]) -> torch.optim.Optimizer:
    made: torch.optim.Optimizer
    if optim == "schedule_free_adamw":
        made = import_module("schedulefree").AdamWScheduleFree(groups, **options)
        made.train()  # type: ignore[attr-defined]
    else:
        made = import_module("bitsandbytes").optim.AdamW8bit(groups, **options)
    return made


GROUP = "group"
"""Prefix of what an optimizer notes for a whole group of parameters."""
GROUP_STATE = ("k", "weight_sum", "lr_max")
"""What the schedule-free optimizer notes for each."""


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The full state on the CPU, by `index.name`; collective over processes if sharded."""
    state: dict[str, Any] = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                state[f"{index}.{name}"] = full_tensor(value.detach()).cpu().contiguous()
            elif value is not None:
                state[f"{index}.{name}"] = value
    for number, group in enumerate(optimizer.param_groups):
        state |= {f"{GROUP}{number}.{name}": group[name] for name in GROUP_STATE if name in group}
    return state


def save_optimizer(state: dict[str, Any], path: Path) -> dict[str, float]:
    """Writes the tensors of `optimizer_state`; returns what is not a tensor, for the caller's JSON."""
    save_file({name: value for name, value in state.items() if isinstance(value, Tensor)}, path)
    return {name: value for name, value in state.items() if not isinstance(value, Tensor)}


def load_optimizer(optimizer: torch.optim.Optimizer, path: Path, scalars: dict[str, float]) -> None:
    """Restores the state saved by `save_optimizer` on the optimizer's devices; each process keeps its shard.

    Raises:
        InputError: it belongs to another optimizer, or to parameters of other shapes.
    """
    state: dict[int, dict[str, Any]] = {}
    with safe_open(path, "pt") as file:
        entries: dict[str, Any] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    noted = {key: value for key, value in scalars.items() if key.startswith(GROUP)}
    scalars = {key: value for key, value in scalars.items() if key not in noted}
    _check_entries(entries | scalars, optimizer.param_groups, path)
    for key, value in (entries | scalars).items():
        index, name = key.split(".", 1)
        part = shard_like(value, parameters[int(index)]) if isinstance(value, Tensor) else value
        state.setdefault(int(index), {})[name] = part
    full_state = optimizer.state_dict()
    full_state["state"] = state
    for key, value in noted.items():
        number, name = key.removeprefix(GROUP).split(".", 1)
        full_state["param_groups"][int(number)][name] = value
    optimizer.load_state_dict(full_state)


ADAMW = {"step", "exp_avg", "exp_avg_sq"}
SCHEDULE_FREE = {"z", "exp_avg_sq"}
ADAFACTOR = {"step", "RMS", "exp_avg_sq_row", "exp_avg_sq_col", "exp_avg_sq"}


def _check_entries(entries: dict[str, Any], groups: list[dict[str, Any]], path: Path) -> None:
    """Rejects a state that does not belong to these parameters."""
    if not entries:
        raise InputError(f"{path}: contains no state")
    parameters = [p for group in groups for p in group["params"]]
    if any("absmax" in key for key in entries):
        return  # 8 bits, whose tables have shapes of their own
    known = SCHEDULE_FREE if "weight_sum" in groups[0] else ADAMW if "betas" in groups[0] else ADAFACTOR
    for key, value in entries.items():
        index, _, name = key.partition(".")
        number = int(index) if index.isdecimal() else len(parameters)
        if number >= len(parameters) or name not in known:
            raise InputError(f"{path}: is the state of another optimizer or of another model: {key!r}")
        shape = tuple(getattr(parameters[number], "ds_shape", parameters[number].shape))
        fitting = _moment_shape(name, shape)
        if isinstance(value, Tensor) and tuple(value.shape) != fitting:
            raise InputError(f"{path}: {key!r} has the shape {tuple(value.shape)}; this model's is {fitting}")
    for index in {key.partition(".")[0] for key in entries}:
        factored = len(getattr(parameters[int(index)], "ds_shape", parameters[int(index)].shape)) >= 2
        left_out = {"exp_avg_sq"} if factored else {"exp_avg_sq_row", "exp_avg_sq_col"}
        needed = known - left_out if known is ADAFACTOR else known
        if lost := sorted(name for name in needed if f"{index}.{name}" not in entries):
            raise InputError(f"{path}: lacks {index}.{lost[0]}")


def _moment_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an optimizer's tensor for a parameter's; Adafactor stores means over rows and over columns."""
    shapes = {"step": (), "RMS": (), "exp_avg_sq_row": shape[:-1], "exp_avg_sq_col": shape[:-2] + shape[-1:]}
    return shapes.get(name, shape)
