"""DeepSpeed's ZeRO on two processes gives what whole copies of the model give."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from hf_seq2seq.configs import Adaptation, Optimization
from hf_seq2seq.errors import InputError
from hf_seq2seq.training.weights import zero_settings
from hf_seq2seq.training.weights.zero_settings import check_zero, engine_settings

pytestmark = pytest.mark.usefixtures("forked")

needs_deepspeed = pytest.mark.skipif(find_spec("deepspeed") is None, reason="needs the package deepspeed")
STAGES = {
    "zero2": {"stage": 2},
    # Each weight is spread, the small ones too, and goes as soon as it was used.
    "zero3": {"stage": 3, "stage3_param_persistence_threshold": 0, "stage3_max_live_parameters": 2000},
    "offload2": {"stage": 2, "offload_optimizer": {"device": "cpu"}},
    "offload3": {"stage": 3, "offload_optimizer": {"device": "cpu"}, "offload_param": {"device": "cpu"}},
}


@pytest.fixture(scope="module")
def start(save_start: Callable[[int, int, dict[str, int]], Path]) -> Path:
    """Words to be reversed, and a T5 without dropout whose parameters do not all halve evenly."""
    return save_start(52, 40, {"d_model": 15, "d_kv": 5, "d_ff": 31, "num_layers": 2, "num_heads": 3})


JOB = '''"""Trains with a whole model in each process and with DeepSpeed, and resumes runs."""

import json
import os
import shutil
import sys
from importlib import import_module
from pathlib import Path

from accelerate import Accelerator

from hf_seq2seq.sections import build
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.run import finish

start, output, (stages, cases, resumed) = Path(sys.argv[1]), Path(sys.argv[2]), map(json.loads, sys.argv[3:])
accelerator = Accelerator(cpu=True)
rank = accelerator.process_index
common = {
    "train_file": start / "train.tsv", "validation_file": start / "dev.tsv", "max_eval_samples": 9,
    "per_device_train_batch_size": 5, "max_steps": 4, "save_steps": 2, "eval_steps": 2, "logging_steps": 1,
    "gradient_accumulation_steps": 2, "max_target_length": 12, "learning_rate": 1e-3, "weight_decay": 0.1,
    "adam_epsilon": 1e-3, "max_grad_norm": 0.2, "metrics": "chrf", "per_device_eval_batch_size": 4,
}


def train(name, recipe, stage, resume=None, **values):
    os.environ["ACCELERATE_USE_DEEPSPEED"] = str(stage is not None).lower()
    if stage is not None:
        (output / "stage.json").write_text(json.dumps({"zero_optimization": stages[stage]}))
        accelerator.wait_for_everyone()
        os.environ["ACCELERATE_DEEPSPEED_CONFIG_FILE"] = str(output / "stage.json")
    module = import_module(f"hf_seq2seq.recipes.{recipe}")
    folder = output / name
    values = {key: str(value) for key, value in (common | values | {"output_dir": folder}).items()}
    task = module.prepare(build(module.Config, values))
    folder.mkdir(exist_ok=True)
    loop = Loop(task, accelerator, folder, resume)
    state = loop.run()
    results = finish(task, state, accelerator, loop.weights)
    if rank == 0:
        log = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
        figures = {key: [line[key] for line in log if key in line] for key in ("loss", "grad_norm", "eval_loss")}
        figures |= {"name": name, "final": [results["eval_loss"], results["eval_chrf"]]}
        print(json.dumps(figures), flush=True)


for recipe, values in cases:
    values = {key: value.replace("START", str(start)) for key, value in values.items()}
    name = values.pop("name")
    for stage in [None, *values.pop("stages", "zero3").split()]:
        train(f"{name}-{stage}", recipe, stage, **values)
        accelerator.wait_for_everyone()
        if [name, stage] in resumed:
            if rank == 0:
                folder = Path(f"{name}-{stage}") / "checkpoint-2"
                shutil.copytree(output / folder, output / f"resumed-{folder}")
            accelerator.wait_for_everyone()
            train(f"resumed-{name}-{stage}", recipe, stage, "last", resume_from_checkpoint="last", **values)
accelerator.wait_for_everyone()
os._exit(0)  # what exchanged the gradients of whole models would wait for ever for the group that it outlives
'''
CASES = [
    ("t5", {"name": "t5", "model_name_or_path": "START/t5", "stages": "zero2 zero3 offload2 offload3"}),
    ("t5", {"name": "bf16", "model_name_or_path": "START/t5", "bf16": "true", "stages": "zero2 zero3"}),
    ("t5", {"name": "adapter", "model_name_or_path": "START/t5", "lora_r": "4", "merge_adapter": "true"}),
    ("t5", {"name": "frozen", "model_name_or_path": "START/t5", "freeze": "encoder", "gradient_checkpointing": "true"}),
    ("rnn", {"name": "rnn", "tokenizer_type": "char", "hidden_size": "14", "embedding_size": "15", "dropout": "0"}),
]
RUNS = [(values["name"], stage) for _, values in CASES for stage in values.get("stages", "zero3").split()]
RESUMED = [(name, stage) for name in ("t5", "bf16") for stage in ("zero2", "zero3")]


@pytest.fixture(scope="module")
def runs(start: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder of runs, and their figures by name."""
    output = tmp_path_factory.mktemp("runs")
    (output / "job.py").write_text(JOB)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, str(output / "job.py"), str(start), str(output), *map(json.dumps, (STAGES, CASES, RESUMED))]
    environment = os.environ | {"DS_ACCELERATOR": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return output, {line["name"]: line for line in lines}


def tensors(folder: Path, name: str) -> dict[str, Tensor]:
    return load_file(folder / name)


@needs_deepspeed
@pytest.mark.parametrize(("name", "stage"), RUNS)
def test_parts_of_a_model_equal_the_whole(name: str, stage: str, runs: tuple[Path, dict[str, Any]]) -> None:
    folder, figures = runs
    whole, parts = figures[f"{name}-None"], figures[f"{name}-{stage}"]
    tolerance = 1e-2 if name == "bf16" else 1e-5
    for figure, count in (("loss", 4), ("grad_norm", 4), ("eval_loss", 2), ("final", 2)):
        assert len(whole[figure]) == count
        exact = 1 if (name, figure) == ("bf16", "grad_norm") else count  # rounding is amplified from step to step
        assert parts[figure][:exact] == pytest.approx(whole[figure][:exact], rel=tolerance)
    assert min(whole["grad_norm"]) > 0.2  # every step is clipped
    files = ["optimizer.safetensors", "adapter_model.safetensors" if name == "adapter" else "model.safetensors"]
    for file in files:
        expected, found = (tensors(folder / f"{name}-{run}" / "checkpoint-4", file) for run in (None, stage))
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert found[key].dtype == torch.float32
            if name != "bf16":
                torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-5, msg=key)


@needs_deepspeed
@pytest.mark.parametrize(("name", "stage"), RESUMED)
def test_resumed_bit_for_bit(name: str, stage: str, runs: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = runs
    for file in ("checkpoint-4/model.safetensors", "checkpoint-4/optimizer.safetensors", "model.safetensors"):
        if not (folder / f"{name}-{stage}" / file).exists():
            file = f"checkpoint-4/{file}"
        expected, found = (tensors(folder / f"{prefix}{name}-{stage}", file) for prefix in ("", "resumed-"))
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], value) for key, value in expected.items())


@needs_deepspeed
def test_rounded_weights_start_from_unrounded_ones(start: Path, runs: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = runs
    first = load_file(start / "t5" / "model.safetensors")
    for stage in ("zero2", "zero3"):
        last = tensors(folder / f"bf16-{stage}" / "checkpoint-2", "model.safetensors")
        for key, value in last.items():
            assert not torch.equal(value, value.bfloat16().float()), key
            assert (value - first[key]).abs().max() < 2e-3 * 1.2  # two steps of AdamW


def asked(monkeypatch: pytest.MonkeyPatch, folder: Path, settings: dict[str, Any]) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    (folder / "ds.json").write_text(json.dumps({"zero_optimization": {"stage": 2}} | settings))
    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    os.environ["ACCELERATE_DEEPSPEED_CONFIG_FILE"] = str(folder / "ds.json")
    monkeypatch.setattr(zero_settings, "find_spec", lambda _: object())


@pytest.mark.parametrize(
    ("settings", "flags", "message"),
    [
        ({"zero_optimization": {"stage": 0}}, {}, "zero_stage 0 is not supported; choose from 2, 3"),
        ({"zero_optimization": {"stage": 3, "offload_param": {"device": "nvme"}}}, {}, "offload_param_device nvme"),
        ({"zero_optimization": {"stage": 3, "zero_quantized_weights": True}}, {}, "zero_quantized_weights is not"),
        ({"optimizer": {"type": "AdamW"}}, {}, "'optimizer' is not supported; leave it out, and give --optim"),
        ({"curriculum_learning": {}}, {}, "'curriculum_learning' is not supported; leave it out"),
        (
            {"gradient_clipping": 0.5},
            {},
            "gradient_clipping 0.5 contradicts this run; write 'auto'.* --max-grad-norm 1$",
        ),
        ({"gradient_accumulation_steps": 3}, {}, "--gradient-accumulation-steps 1"),
        ({"train_batch_size": 64}, {}, "--per-device-train-batch-size"),
        ({"bf16": {"enabled": True}}, {}, "give --bf16"),
        ({"fp16": {"enabled": True}}, {}, "give --fp16"),
        ({}, {"fp16": True}, "--fp16 cannot be combined with DeepSpeed"),
        ({}, {"torch_compile": True}, "--torch-compile cannot be combined with DeepSpeed"),
        ({}, {"optim": "adafactor"}, "--optim adafactor: .* with DeepSpeed use --optim adamw"),
    ],
)
def test_what_does_not_go_together(
    settings: dict[str, Any], flags: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(monkeypatch, tmp_path, settings)
    with pytest.raises(InputError, match=message):
        check_zero(Optimization(**flags), None)


def test_the_configuration_for_deepspeed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = {"stage": 3, "reduce_bucket_size": "auto", "overlap_comm": True}
    given = {"gradient_clipping": 0.5, "gradient_accumulation_steps": 4, "train_batch_size": "auto"}
    asked(monkeypatch, tmp_path, given | {"zero_optimization": stage, "bf16": {"enabled": "auto"}})
    options = Optimization(bf16=True, max_grad_norm=0.5, gradient_accumulation_steps=4)
    check_zero(options, Adaptation())
    found = engine_settings(options)
    assert found["zero_optimization"] == {"stage": 3, "overlap_comm": True}
    assert (found["gradient_clipping"], found["gradient_accumulation_steps"]) == (0.5, 1)
    assert found["bf16"] == {"enabled": True}
    assert "train_batch_size" not in found
    with pytest.raises(InputError, match="--load-in-4bit cannot be combined with DeepSpeed"):
        check_zero(options, Adaptation(lora_r=2, load_in_4bit=True))
