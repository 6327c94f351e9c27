"""Accelerate's own configuration files, or the package's presets by name, applied like `accelerate launch`.

The settings are passed to the processes as environment variables, which Accelerate's plugins read; so it makes no
difference whether this project's launcher, `accelerate launch` or `torchrun` started them.
"""

import dataclasses
import os
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hf_seq2seq.api.recipe_files import FOLDER
from hf_seq2seq.configs import Run
from hf_seq2seq.errors import InputError, nearest, shorten
from hf_seq2seq.settings_files import read_yaml_object
from hf_seq2seq.training.processes import gpus_there, processes, rank

PRESETS = FOLDER / "configs" / "accelerate"
KINDS = ("NO", "MULTI_CPU", "MULTI_GPU", "FSDP", "DEEPSPEED")
USE_DEEPSPEED = "ACCELERATE_USE_DEEPSPEED"
DEEPSPEED = {
    "zero_stage": "DEEPSPEED_ZERO_STAGE",
    "gradient_accumulation_steps": "GRADIENT_ACCUMULATION_STEPS",
    "gradient_clipping": "GRADIENT_CLIPPING",
    "offload_optimizer_device": "DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE",
    "offload_param_device": "DEEPSPEED_OFFLOAD_PARAM_DEVICE",
    "zero3_init_flag": "DEEPSPEED_ZERO3_INIT",
    "zero3_save_16bit_model": "DEEPSPEED_ZERO3_SAVE_16BIT_MODEL",
    "deepspeed_config_file": "DEEPSPEED_CONFIG_FILE",
}
"""Options of `deepspeed_config`, and the variables in which Accelerate's plugin expects them."""
TYPES = {"distributed_type": Enum, "num_processes": int, "num_machines": int, "machine_rank": int}
TYPES |= {"fsdp_config": dict, "deepspeed_config": dict}
"""Remaining errors in a file that Accelerate can read."""
SEVERAL_MACHINES = ("deepspeed_multinode_launcher", "deepspeed_hostfile")


@dataclass(frozen=True)
class LaunchFile:
    """What a configuration file says about starting processes.

    Attributes:
        kind: Accelerate's `distributed_type`.
        processes: number of processes; None if not set in the file.
        machines: options of several machines, by their names; empty for one.
        gpus: indices such as 0,1; None for all.
        environment: variables with the remaining settings for Accelerate.
    """

    kind: str
    processes: int | None
    machines: dict[str, Any]
    gpus: str | None
    environment: dict[str, str]


def apply_launch_file(run: Run) -> Run:
    """Applies `--accelerate-config` to the environment of this process and those that it starts.

    Returns:
        The section, with the number of processes and the GPUs from the file if no flag sets them.

    Raises:
        InputError: as for `read_launch_file`, or the number of processes is not set.
    """
    if run.accelerate_config is None:
        return run
    file = read_launch_file(run.accelerate_config)
    os.environ.update(file.environment)
    if rank() is not None:
        return run
    run = dataclasses.replace(run, **{} if run.num_machines > 1 else file.machines)
    given = run.gpus is not None or run.num_processes is not None
    run = dataclasses.replace(
        run,
        gpus=run.gpus if given else file.gpus,
        num_processes=run.num_processes if given else file.processes,
        use_cpu=run.use_cpu or "ACCELERATE_USE_CPU" in file.environment,
    )
    if run.gpus is None and run.num_processes is None:
        here = 1 if file.kind == "NO" else gpus_there(run)
        run = dataclasses.replace(run, num_processes=here * run.num_machines or None)
    if processes(run) == 1 and (file.kind == "FSDP" or run.num_processes is None):
        raise InputError(f"--accelerate-config {run.accelerate_config}: give --num-processes or --gpus, two or more")
    return run


def presets() -> list[str]:
    """The names of the package's presets, sorted."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def read_launch_file(name: str) -> LaunchFile:
    """Reads the file given by `--accelerate-config`: a preset of the package, or a path.

    Raises:
        InputError: there is no such file or preset, Accelerate cannot read it, or its way of running is not supported.
    """
    path = PRESETS / f"{name}.yaml" if name in presets() else Path(name)
    flag = f"--accelerate-config {name}"
    if not path.is_file():
        raise InputError(f"{flag}: no such file, nor a preset{nearest(name, presets())}")
    config = _load(path, flag)
    kind = config.distributed_type.value
    if kind == "DEEPSPEED":
        _check_installed(config.deepspeed_config, flag)
    if kind not in KINDS:
        raise InputError(f"{flag}: distributed_type {kind} is not supported; choose from {', '.join(KINDS)}")
    return LaunchFile(
        kind,
        processes=config.num_processes if config.num_processes > 0 else None,
        machines=_machines(config) if config.num_machines > 1 else {},
        gpus=None if config.gpu_ids in (None, "all") else str(config.gpu_ids),
        environment=_environment(config, kind, flag),
    )


def _machines(config: Any) -> dict[str, Any]:
    found = {name: getattr(config, name) for name in ("num_machines", "machine_rank", "main_process_ip")}
    return found | ({"main_process_port": config.main_process_port} if config.main_process_port else {})


def _load(path: Path, flag: str) -> Any:
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

    read_yaml_object(path)
    try:
        config = load_config_from_file(str(path))
    except (KeyError, ValueError, TypeError, AttributeError, OSError) as error:
        raise InputError(f"{flag}: Accelerate cannot read it: {str(error).splitlines()[0]}") from None
    if not isinstance(config, ClusterConfig):
        raise InputError(f"{flag}: made for a cloud service; this command runs on the local machine")
    for name, kind in TYPES.items():
        if not isinstance(value := getattr(config, name), kind):
            raise InputError(f"{flag}: {name}: {shorten(repr(value))} is not a valid value of Accelerate")
    return config


def _environment(config: Any, kind: str, flag: str) -> dict[str, str]:
    found = {"ACCELERATE_USE_CPU": "true"} if config.use_cpu else {}
    if config.mixed_precision is not None:
        found["ACCELERATE_MIXED_PRECISION"] = str(config.mixed_precision)
    if kind == "FSDP":
        found |= {"ACCELERATE_USE_FSDP": "true"} | _fsdp(config.fsdp_config, flag)
    if kind == "DEEPSPEED":
        found |= {USE_DEEPSPEED: "true"} | _deepspeed(config.deepspeed_config, flag)
    return found


def _check_installed(options: dict[str, Any], flag: str) -> None:
    """If DeepSpeed is missing, names the FSDP preset that shards the same."""
    if find_spec("deepspeed") is None:
        instead = "fsdp" if options.get("zero_stage") == 3 else "fsdp-shard-grad-op"
        raise InputError(
            f"{flag}: DeepSpeed is not installed; pip install 'hf-seq2seq[deepspeed]', or use "
            f"--accelerate-config {instead}, which shards the same with torch's FSDP"
        )


def _deepspeed(options: dict[str, Any], flag: str) -> dict[str, str]:
    found = {"ACCELERATE_CONFIG_DS_FIELDS": ",".join(options).lower()}
    for key, value in options.items():
        if key not in DEEPSPEED and key not in SEVERAL_MACHINES:
            raise InputError(f"{flag}: unknown key {key!r}{nearest(key, DEEPSPEED)}")
        if key in DEEPSPEED and value is not None:
            found[f"ACCELERATE_{DEEPSPEED[key]}"] = str(value).lower() if key != "deepspeed_config_file" else str(value)
    return found


def _fsdp(options: dict[str, Any], flag: str) -> dict[str, str]:
    """The options under the names that Accelerate's plugin reads."""
    from accelerate.commands.launch import launch_command_parser

    parsed = launch_command_parser().parse_args(["script"])
    known = [name for name in vars(parsed) if name.startswith("fsdp_")]
    found = {}
    for key, value in options.items():
        name = key if key.startswith("fsdp_") else f"fsdp_{key}"
        if name not in known:
            raise InputError(f"{flag}: unknown key {key!r}{nearest(name, known)}")
        variable = name.upper().replace("TRANSFORMER_LAYER_CLS", "TRANSFORMER_CLS")
        if value is not None:
            found[variable] = str(value).lower() if isinstance(value, bool) else str(value)
    return found
