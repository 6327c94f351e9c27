"""Two processes, each with the whole model or with a part of it, give what one process gives."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

pytestmark = pytest.mark.usefixtures("forked")


class Run(NamedTuple):
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    log: list[dict[str, Any]]
    results: dict[str, Any]
    texts: list[str]
    said: str


@pytest.fixture(scope="module")
def start(save_start: Callable[[int, int, dict[str, int]], Path]) -> Path:
    """Words to be reversed, and a T5 without dropout that writes a different text for each."""
    return save_start(102, 85, {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4})


def train(start: Path, output: Path, *flags: str) -> Run:
    values = {
        "train-file": start / "train.tsv",
        "validation-file": start / "dev.tsv",
        "model-name-or-path": start / "t5",
        "output-dir": output,
        "per-device-train-batch-size": 5,  # 85 rows: the last step of an epoch leaves a process without rows
        "per-device-eval-batch-size": 7,  # 17 rows: one process evaluates one batch more than the other
        "num-train-epochs": 2,
        "max-target-length": 12,
        "logging-steps": 1,
        "adam-epsilon": 1e-2,
        "metrics": "exact_match,chrf",
    }
    words = [text for name, value in values.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "hf_seq2seq", "train", "t5", *words, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return Run(
        load_file(output / "model.safetensors"),
        load_file(output / "checkpoint-10" / "optimizer.safetensors"),
        [json.loads(line) for line in (output / "train_log.jsonl").read_text().splitlines()],
        json.loads((output / "eval_results.json").read_text()),
        (output / "generated_predictions.txt").read_text().splitlines(),
        done.stderr,
    )


@pytest.fixture(scope="module")
def one(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(start, tmp_path_factory.mktemp("one") / "run", "--gradient-accumulation-steps", "4")


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5, msg=name)


DEEPSPEED = pytest.mark.skipif(find_spec("deepspeed") is None, reason="needs the package deepspeed")


@pytest.mark.parametrize("preset", [None, "fsdp", pytest.param("zero3", marks=DEEPSPEED)])
def test_two_processes_equal_one(preset: str | None, one: Run, start: Path, tmp_path: Path) -> None:
    flags = ["--gradient-accumulation-steps", "2", "--num-processes", "2"]
    two = train(start, tmp_path / "run", *flags, *(["--accelerate-config", preset] if preset else []))
    assert "on 1 process" in one.said  # the world size that training itself saw
    assert "on 2 process" in two.said
    for name in ("loss", "grad_norm", "eval_loss"):
        figures = [[line[name] for line in run.log if name in line] for run in (one, two)]
        assert len(figures[0]) > 1
        assert figures[1] == pytest.approx(figures[0], rel=1e-5)
    assert len({line["loss"] for line in one.log if "loss" in line}) == 10
    assert_same(two.weights, one.weights)
    assert_same(two.optimizer, one.optimizer)
    for name in ("eval_loss", "eval_exact_match", "eval_chrf", "eval_samples"):
        assert two.results[name] == pytest.approx(one.results[name], rel=1e-5)
    assert two.texts == one.texts  # every row in its place
    assert len(set(one.texts)) > 3
    written = two.said.count("step 10/10  epoch 2.00  loss")
    assert (written, len(two.log)) == (1, len(one.log))  # one process speaks, one writes


JOB = '''"""Trains with the whole model in each process and with a part of it, and resumes a run."""

import json
import os
import shutil
import sys
from importlib import import_module
from pathlib import Path

from accelerate import Accelerator
from safetensors.torch import load_file

from hf_seq2seq.sections import build
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.weights.sharding import is_sharded

start, output = Path(sys.argv[1]), Path(sys.argv[2])
accelerator = Accelerator(cpu=True)
rank = accelerator.process_index
common = {
    "train_file": start / "train.tsv", "validation_file": start / "dev.tsv", "max_train_samples": 40,
    "per_device_train_batch_size": 5, "max_steps": 4, "save_steps": 2, "logging_steps": 1, "adam_epsilon": 1e-3,
    "gradient_accumulation_steps": 2, "max_target_length": 12, "learning_rate": 1e-3, "weight_decay": 0.1,
}


def train(name, recipe, sharded, resume=None, **values):
    os.environ["ACCELERATE_USE_FSDP"] = str(sharded).lower()
    os.environ["FSDP_RESHARD_AFTER_FORWARD"] = str(recipe != "bart").lower()
    module = import_module(f"hf_seq2seq.recipes.{recipe}")
    folder = output / name
    values = {key: str(value) for key, value in (common | values | {"output_dir": folder}).items()}
    task = module.prepare(build(module.Config, values))
    folder.mkdir(exist_ok=True)
    loop = Loop(task, accelerator, folder, resume)
    loop.run()
    assert is_sharded(task.objective) == sharded
    if rank == 0:
        losses = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
        print(json.dumps({"name": name, "losses": [x["loss"] for x in losses if "loss" in x],
                          "norms": [x["grad_norm"] for x in losses if "loss" in x]}), flush=True)


for recipe, values in json.loads(sys.argv[3]):
    name = values.pop("name")
    for sharded in (False, True):
        train(f"{name}-{sharded}", recipe, sharded, **{k: v.replace("START", str(start)) for k, v in values.items()})
accelerator.wait_for_everyone()
if rank == 0:
    shutil.copytree(output / "adapter-True" / "checkpoint-2", output / "resumed" / "checkpoint-2")
accelerator.wait_for_everyone()
last = {"resume_from_checkpoint": "last"}
train("resumed", "t5", True, "last", model_name_or_path=start / "t5", lora_r="4", ema_decay="0.8", **last)
accelerator.wait_for_everyone()
os._exit(0)  # what exchanged the gradients of whole models would wait for ever for the group that it outlives
'''
NARROW = (
    "dropout=0,d_model=32,encoder_layers=2,decoder_layers=2,encoder_ffn_dim=32,decoder_ffn_dim=32,"
    "encoder_attention_heads=2,decoder_attention_heads=2"
)
RNN = {"tokenizer_type": "char", "hidden_size": "16", "embedding_size": "16", "dropout": "0"}
FEW = {"max_steps": "2"}
"""For what is not resumed: the second step shows what the first has done to weights and optimizer."""
CASES = [
    ("t5", {"name": "adapter", "model_name_or_path": "START/t5", "lora_r": "4", "ema_decay": "0.8"}),
    ("rnn", {"name": "rnn"} | RNN | FEW),
    (
        "bart",
        {"name": "bart", "from_scratch": "true", "tokenizer_type": "char", "config_overrides": NARROW}
        | {"ema_decay": "0.8", "average_checkpoints": "2"},
    ),
    (
        "rnn",
        {"name": "sampling"}
        | RNN
        | {"loss_type": "scheduled_sampling", "loss_args": "schedule=constant,k=0.5"}
        | {"coverage_weight": "1", "length_weight": "0.1"}
        | FEW,
    ),
    (
        "t5",
        {"name": "risk", "model_name_or_path": "START/t5", "loss_type": "minimum_risk"}
        | {"loss_args": "samples=4,alpha=0.5,metric=edit_accuracy"}
        | FEW,
    ),
    (
        "t5",
        {"name": "distilled", "model_name_or_path": "START/t5", "loss_type": "distillation", "r_drop": "1"}
        | {"loss_args": "teacher=START/t5,own_samples=0.5", "unlikelihood": "0.5"}
        | FEW,
    ),
    ("t5", {"name": "bf16", "model_name_or_path": "START/t5", "bf16": "true", "gradient_checkpointing": "true"} | FEW),
]


@pytest.fixture(scope="module")
def sharded_runs(start: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder of runs, whole and sharded, and their losses and norms by name."""
    output = tmp_path_factory.mktemp("sharded")
    (output / "job.py").write_text(JOB)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP"}
    command = [*launcher, str(output / "job.py"), str(start), str(output), json.dumps(CASES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return output, {line["name"]: line for line in lines}


@pytest.mark.parametrize(("name", "steps"), [(each["name"], int(each.get("max_steps", 4))) for _, each in CASES])
def test_parts_of_a_model_equal_the_whole(name: str, steps: int, sharded_runs: tuple[Path, dict[str, Any]]) -> None:
    folder, runs = sharded_runs
    whole, parts = runs[f"{name}-False"], runs[f"{name}-True"]
    tolerance = 5e-2 if name == "bf16" else 1e-5
    for figure in ("losses", "norms"):
        assert len(whole[figure]) == steps
        assert parts[figure] == pytest.approx(whole[figure], rel=tolerance)
    file = "adapter_model.safetensors" if name == "adapter" else "model.safetensors"
    found = [load_file(folder / f"{name}-{sharded}" / f"checkpoint-{steps}" / file) for sharded in (True, False)]
    assert all(value.dtype == torch.float32 for value in found[0].values())
    if name == "bf16":
        assert found[0].keys() == found[1].keys()
    else:
        assert_same(*found)


def test_parts_of_a_model_are_resumed_bit_for_bit(sharded_runs: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = sharded_runs
    for file in ("adapter_model.safetensors", "optimizer.safetensors", "trained_weights.safetensors"):
        whole, resumed = (load_file(folder / run / "checkpoint-4" / file) for run in ("adapter-True", "resumed"))
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


NAMED = """
import os
import sys

from hf_seq2seq.recipes import t5
from hf_seq2seq.recipes.t5 import Config, prepare


def main(config):
    os.write(2, f"rank {os.environ['RANK']} is {os.getpid()}{os.linesep}".encode())
    t5.main(config)
"""


def test_a_process_killed_in_training_ends_the_run(start: Path, tmp_path: Path) -> None:
    flags = ["--train-file", start / "train.tsv", "--model-name-or-path", start / "t5", "--max-steps", "1000000"]
    flags += ["--logging-steps", "1", "--save-steps", "1000000", "--num-processes", "2"]
    flags += ["--output-dir", tmp_path / "run"]
    (tmp_path / "named.py").write_text(NAMED)
    command = [sys.executable, "-m", "hf_seq2seq", "train", str(tmp_path / "named.py"), *map(str, flags)]
    below = {}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if line.startswith("rank "):
                below[int(line.split()[1])] = int(line.split()[3])
            if line.startswith("step 3/"):
                break
        assert sorted(below) == [0, 1]
        os.kill(below[0], signal.SIGKILL)
        said = run.communicate(timeout=60)[1]
    assert run.returncode == 128 + signal.SIGKILL
    assert [line for line in said.splitlines() if not line.startswith("step ")] == [
        "error: process 0 of 2 was ended by SIGKILL"
    ]
    assert not any(Path(f"/proc/{pid}").exists() for pid in below.values())
