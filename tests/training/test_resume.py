"""A run killed at any moment and resumed ends with the weights, to the bit, of a run never killed."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from hf_seq2seq.cli.root import app
from hf_seq2seq.task import Task
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.training.loop import Loop

pytestmark = pytest.mark.usefixtures("forked")


def assert_equal_bits(a: Path, b: Path) -> None:
    first, second = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    assert first.keys() == second.keys()
    for name, weight in first.items():
        assert torch.equal(weight, second[name]), name


class Killed(BaseException):
    """Not an Exception: nothing may catch it."""


@pytest.mark.parametrize("optim", ["adamw", "adafactor"])
def test_killed_at_a_random_step(
    make_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optim: str
) -> None:
    options = {"optim": optim, "max_steps": 20, "save_steps": 3, "eval_steps": 5, "save_total_limit": 100}
    options |= {"warmup_steps": 4, "lr_scheduler_type": "cosine", "gradient_accumulation_steps": 2, "logging_steps": 2}
    begin = partial(make_task, dropout=0.2, **options)
    (tmp_path / "whole").mkdir()
    Loop(begin(), Accelerator(cpu=True), tmp_path / "whole").run()
    for kill_at in random.Random(optim).sample(range(2, 20), 3):
        killed = tmp_path / f"killed-{kill_at}"
        killed.mkdir()
        loop = Loop(begin(), Accelerator(cpu=True), killed)
        monkeypatch.setattr(loop, "_update", partial(die_at, kill_at, loop, loop._update))
        with pytest.raises(Killed):
            loop.run()
        resume = "last" if list_checkpoints(killed) else None
        torch.manual_seed(12345)  # a resumed process has other generators than the killed one had
        Loop(begin(), Accelerator(cpu=True), killed, resume).run()
        assert_same_run(killed, tmp_path / "whole")


def die_at(step: int, loop: Loop, update: Callable[[], None]) -> None:
    if loop.state.global_step == step:
        raise Killed
    update()


def assert_same_run(killed: Path, whole: Path) -> None:
    """The same checkpoints, to the bit, and evaluations, each once."""
    steps = [path.name for path in list_checkpoints(whole)]
    assert steps == [path.name for path in list_checkpoints(killed)]
    for step in (steps[-1], steps[len(steps) // 2]):
        assert_equal_bits(whole / step, killed / step)
    logs = [(folder / "train_log.jsonl").read_text().splitlines() for folder in (whole, killed)]
    steps_of = [[json.loads(line)["step"] for line in log if "eval_loss" in line] for log in logs]
    assert steps_of[0] == steps_of[1] == sorted(set(steps_of[0]))


def arguments(pairs: dict[str, str], output: Path, *more: str) -> list[str]:
    flags = [text for name, value in pairs.items() for text in ("--" + name.replace("_", "-"), value)]
    flags += ["--tokenizer-type", "char", "--hidden-size", "32", "--embedding-size", "16", "--metrics", "exact_match"]
    flags += ["--max-steps", "60", "--save-steps", "5", "--eval-steps", "20", "--save-total-limit", "50"]
    return ["train", "rnn", *flags, "--output-dir", str(output), *more]


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(2400):
        if path.exists():
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


@pytest.fixture(scope="module")
def never_stopped(pairs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    app(arguments(pairs, folder), standalone_mode=False)
    return folder


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_real_process_is_stopped(
    pairs: dict[str, str], never_stopped: Path, tmp_path: Path, number: int, code: int
) -> None:
    start = [sys.executable, "-m", "hf_seq2seq"]
    process = subprocess.Popen([*start, *arguments(pairs, tmp_path / "run")], stderr=subprocess.PIPE, text=True)
    wait_for(tmp_path / "run" / "checkpoint-10", process)
    process.send_signal(number)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == code, stderr
    assert "Traceback" not in stderr
    if number != signal.SIGKILL:
        stopped = int(stderr.split("stopped at step ")[1].split(";")[0])
        assert (tmp_path / "run" / f"checkpoint-{stopped}" / "model.safetensors").exists()
    again = arguments(pairs, tmp_path / "run", "--resume-from-checkpoint", "last")
    # Most of a process's time goes to imports: one resumes in a new process, the others in this one.
    if number == signal.SIGKILL:
        resumed = subprocess.run([*start, *again], capture_output=True, text=True)
        assert resumed.returncode == 0, resumed.stderr
    else:
        app(again, standalone_mode=False)
    assert_equal_bits(tmp_path / "run", never_stopped)


def test_resume_refuses_a_different_plan(make_task: Callable[..., Task], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    Loop(make_task(), Accelerator(cpu=True), tmp_path / "out").run()
    with pytest.raises(ValueError, match=r"steps per epoch.*resume with the same data, batch size"):
        Loop(make_task(per_device_train_batch_size=3), Accelerator(cpu=True), tmp_path / "out", "last")


def test_half_written_checkpoints_are_not_seen(make_task: Callable[..., Task], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    Loop(make_task(), Accelerator(cpu=True), folder).run()
    last = list_checkpoints(folder)[-1]
    shutil.copytree(last, folder / "checkpoint-99.writing")
    assert list_checkpoints(folder)[-1] == last
