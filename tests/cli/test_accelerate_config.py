"""Accelerate's configuration files: read as Accelerate reads them, and anything unsupported is refused in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hf_seq2seq.cli.accelerate_config import PRESETS, apply_launch_file, presets, read_launch_file
from hf_seq2seq.configs import Adaptation, Optimization, Run
from hf_seq2seq.errors import InputError
from hf_seq2seq.training.checks import runs_on_cpu
from hf_seq2seq.training.weights.sharding import check_sharding

pytestmark = pytest.mark.usefixtures("forked")

DEEPSPEED = {"distributed_type": "DEEPSPEED"}
FSDP = {"distributed_type": "FSDP", "fsdp_config": {"fsdp_version": 2}}


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts back what a file sets."""
    monkeypatch.setattr(os, "environ", dict(os.environ))


@pytest.fixture
def deepspeed_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets files that ask for DeepSpeed be read without it."""
    monkeypatch.setattr("hf_seq2seq.cli.accelerate_config.find_spec", lambda _: object())


def write(folder: Path, values: dict[str, object]) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    return str(path)


@pytest.mark.usefixtures("deepspeed_there")
def test_the_presets() -> None:
    assert presets() == ["ddp", "fsdp", "fsdp-shard-grad-op", "zero2", "zero3"]
    kinds = [read_launch_file(name).kind for name in presets()]
    assert kinds == ["MULTI_GPU", "FSDP", "FSDP", "DEEPSPEED", "DEEPSPEED"]
    assert read_launch_file("fsdp-shard-grad-op").environment["FSDP_RESHARD_AFTER_FORWARD"] == "false"


@pytest.mark.usefixtures("deepspeed_there")
@pytest.mark.parametrize("name", ["ddp", "fsdp", "fsdp-shard-grad-op", "zero2", "zero3"])
def test_processes_get_the_settings_of_accelerate_launch(name: str) -> None:
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    words = ["--config_file", str(PRESETS / f"{name}.yaml"), "--num_processes", "2", "--main_process_port", "0"]
    told, defaults, _ = _validate_launch_command(launch_command_parser().parse_args([*words, "x"]))
    told.deepspeed_fields_from_accelerate_config = ",".join(defaults.deepspeed_config)
    theirs = prepare_deepspeed_cmd_env(told)[1] if name.startswith("zero") else prepare_multi_gpu_env(told)
    ours = read_launch_file(name).environment
    assert {variable: theirs[variable] for variable in ours} == ours
    for switch in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_DEEPSPEED_ZERO_STAGE"):
        assert theirs.get(switch) == ours.get(switch)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    fsdp = {"version": 2, "fsdp_transformer_layer_cls_to_wrap": "T5Block", "offload_params": False}
    values = {"num_processes": 3, "use_cpu": True, "mixed_precision": "bf16", "fsdp_config": fsdp}
    name = write(tmp_path, FSDP | values)
    run = apply_launch_file(Run(accelerate_config=name))
    assert (run.num_processes, run.use_cpu) == (3, True)
    assert runs_on_cpu(Run())
    assert read_launch_file(name).environment == {
        "ACCELERATE_USE_CPU": "true",
        "ACCELERATE_MIXED_PRECISION": "bf16",
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "FSDP_TRANSFORMER_CLS_TO_WRAP": "T5Block",
        "FSDP_OFFLOAD_PARAMS": "false",
    }
    assert apply_launch_file(Run(accelerate_config=name, num_processes=2)).num_processes == 2


def test_deepspeed_as_accelerate_config_writes_it(deepspeed_there: None, tmp_path: Path) -> None:
    options = {"gradient_accumulation_steps": 1, "offload_optimizer_device": "none", "zero3_init_flag": True}
    options |= {"zero_stage": 3, "deepspeed_multinode_launcher": "standard", "offload_param_device": "cpu"}
    name = write(tmp_path, DEEPSPEED | {"deepspeed_config": options, "num_processes": 1})
    assert read_launch_file(name).environment == {
        "ACCELERATE_USE_DEEPSPEED": "true",
        "ACCELERATE_CONFIG_DS_FIELDS": ",".join(sorted(options)),
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "1",
        "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": "none",
        "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE": "cpu",
        "ACCELERATE_DEEPSPEED_ZERO3_INIT": "true",
        "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3",
    }
    assert apply_launch_file(Run(accelerate_config=name)).num_processes == 1  # a GPU alone can offload


@pytest.mark.parametrize(("preset", "instead"), [("zero2", "fsdp-shard-grad-op"), ("zero3", "fsdp")])
def test_without_deepspeed_there_is_one_line(
    preset: str, instead: str, command, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hf_seq2seq.cli.accelerate_config.find_spec", lambda _: None)
    result = command("train", recipe, "--accelerate-config", preset, "--num-processes", "2")
    line = f"error: --accelerate-config {preset}: DeepSpeed is not installed; pip install 'hf-seq2seq[deepspeed]', "
    line += f"or use --accelerate-config {instead}, which shards the same with torch's FSDP\n"
    assert (result.code, result.err) == (2, line)
    monkeypatch.setattr("hf_seq2seq.cli.accelerate_config.find_spec", lambda _: object())
    assert read_launch_file(preset).environment["ACCELERATE_DEEPSPEED_ZERO_STAGE"] == preset[-1]


def test_gpus_of_a_file(tmp_path: Path) -> None:
    name = write(tmp_path, {"distributed_type": "MULTI_GPU", "num_processes": 2, "gpu_ids": "1,3"})
    assert apply_launch_file(Run(accelerate_config=name)).gpus == "1,3"
    given = apply_launch_file(Run(accelerate_config=name, gpus="0,1,2"))
    assert (given.gpus, given.num_processes) == ("0,1,2", None)


@pytest.mark.usefixtures("deepspeed_there")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (DEEPSPEED | {"deepspeed_config": {"zero_stge": 2}}, "unknown key 'zero_stge'; did you mean 'zero_stage'"),
        ({"distributed_type": "MEGATRON_LM"}, "MEGATRON_LM is not supported; choose from NO"),
        ({"distributed_type": "FSPD"}, "Accelerate cannot read it: 'FSPD' is not a valid"),
        ({"num_processes": 2}, "A `distributed_type` must be specified"),
        (FSDP | {"machine_rank": "one"}, "machine_rank: .one. is not a valid value"),
        (FSDP | {"fsdp_config": {"fsdp_offload_parms": 1}}, "'fsdp_offload_parms'; did you mean 'fsdp_offload_params'"),
        (FSDP | {"processes": 2}, r"unknown keys \(\['processes'\]\)"),
    ],
)
def test_files_that_are_refused(values: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_launch_file(write(tmp_path, values))


def test_a_name_that_is_not_known(command, recipe: Path) -> None:
    result = command("train", recipe, "--accelerate-config", "fdsp", "--num-processes", "2")
    expected = "error: --accelerate-config fdsp: no such file, nor a preset; did you mean 'fsdp'?\n"
    assert (result.code, result.err) == (2, expected)


@pytest.mark.parametrize("flags", [(), ("--num-processes", "1")])
def test_one_process_has_nothing_to_share(flags: tuple[str, ...], command, recipe: Path) -> None:
    result = command("train", recipe, "--accelerate-config", "fsdp", "--use-cpu", *flags)
    assert result.code == 2
    assert result.err == "error: --accelerate-config fsdp: give --num-processes or --gpus, two or more\n"


@pytest.mark.parametrize(
    ("environment", "flags", "message"),
    [
        ({"FSDP_VERSION": "1"}, {}, "fsdp_version 1 is not supported"),
        ({"FSDP_OFFLOAD_PARAMS": "true"}, {}, "fsdp_offload_params is not supported"),
        ({"FSDP_ACTIVATION_CHECKPOINTING": "true"}, {}, "give --gradient-checkpointing"),
        ({"FSDP_AUTO_WRAP_POLICY": "SIZE_BASED_WRAP"}, {}, "SIZE_BASED_WRAP is not supported; choose from TRANSF"),
        ({}, {"optim": "adafactor"}, "--optim adafactor: .* use --optim adamw"),
        ({}, {"fp16": True}, "--fp16 cannot be combined with FSDP"),
        ({}, {"torch_compile": True}, "--torch-compile cannot be combined with FSDP"),
    ],
)
def test_what_does_not_go_together(environment: dict[str, str], flags: dict[str, object], message: str) -> None:
    check_sharding(Optimization(**flags), Adaptation(lora_r=2, merge_adapter=True))  # nothing is sharded yet
    os.environ.update({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"} | environment)
    with pytest.raises(InputError, match=message):
        check_sharding(Optimization(**flags), None)


def test_a_merged_adapter_is_refused() -> None:
    os.environ.update({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"})
    with pytest.raises(InputError, match="--merge-adapter cannot be combined"):
        check_sharding(Optimization(), Adaptation(lora_r=2, merge_adapter=True))


RECIPE = '''"""Says how its process was started."""

import os
from dataclasses import dataclass, field

from hf_seq2seq import configs


@dataclass(frozen=True)
class Config:
    run: configs.Run = field(default_factory=configs.Run)


def prepare(config):
    return None


def main(config):
    names = ("RANK", "WORLD_SIZE", "ACCELERATE_USE_FSDP", "FSDP_VERSION", "FSDP_RESHARD_AFTER_FORWARD")
    print(" ".join(os.environ[name] for name in names) + "\\n", end="", flush=True)
'''


ACCELERATE = [
    "-m",
    "accelerate.commands.launch",
    "--config_file",
    str(PRESETS / "fsdp-shard-grad-op.yaml"),
    "--num_processes",
    "2",
]
LAUNCHERS = {
    "ours": (["-m", "hf_seq2seq"], ["--accelerate-config", "fsdp-shard-grad-op", "--num-processes", "2"]),
    "accelerate": ([*ACCELERATE, "--main_process_port", "0", "-m", "hf_seq2seq"], []),
}


@pytest.mark.parametrize("launcher", sorted(LAUNCHERS))
def test_both_launchers_start_the_same(launcher: str, tmp_path: Path) -> None:
    recipe = tmp_path / "told.py"
    recipe.write_text(RECIPE)
    words, flags = LAUNCHERS[launcher]
    command = [sys.executable, *words, "train", str(recipe), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [f"{rank} 2 true 2 false" for rank in range(2)]


def test_a_process_of_torchrun_gets_the_settings_too() -> None:
    os.environ.update({"RANK": "1", "WORLD_SIZE": "2"})
    assert apply_launch_file(Run(accelerate_config="fsdp")) == Run(accelerate_config="fsdp")
    assert os.environ["ACCELERATE_USE_FSDP"] == "true"
