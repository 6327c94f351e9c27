"""Several processes from one command: they find each other, end as they should, and speak once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hf_seq2seq.configs import Run
from hf_seq2seq.errors import InputError
from hf_seq2seq.training.processes import processes, show_only

pytestmark = pytest.mark.usefixtures("forked")


def program() -> list[str]:
    """The command, in a process of its own."""
    return [sys.executable, "-m", "hf_seq2seq"]


RECIPE = '''"""A run of several processes."""

import os
import sys
import time
from dataclasses import dataclass, field

from hf_seq2seq import configs
from hf_seq2seq.sections import Section
from hf_seq2seq.sections import option
from hf_seq2seq.errors import InputError


@dataclass(frozen=True, kw_only=True)
class What(Section):
    """What: to do."""

    task: str = option("sum", "What to do.")


@dataclass(frozen=True)
class Config:
    what: What = field(default_factory=What)
    run: configs.Run = field(default_factory=configs.Run)


def prepare(config):
    return None


def main(config):
    rank = int(os.environ["RANK"])
    if config.what.task == "refuse":
        time.sleep(2 * (rank == 0))  # the others are ready to give up first
        raise InputError(f"no such thing, says {rank}")
    if config.what.task == "fail":
        time.sleep(60 * (rank == 0))
        sys.exit(7)
    if config.what.task == "wait":
        import signal

        signal.signal(signal.SIGTERM, lambda *_: (print(f"saved {rank}\\n", end="", flush=True), sys.exit(143)))
        print("ready\\n", end="", flush=True)
        time.sleep(60)
    import torch
    from accelerate import Accelerator

    state = Accelerator(cpu=config.what.task == "cpu").state
    if config.what.task == "raise" and rank == 1:
        raise ValueError("process 1 cannot go on")
    total = torch.tensor([float(state.process_index + 1)])
    torch.distributed.all_reduce(total)
    threads = os.environ["OMP_NUM_THREADS"]
    place = f"{state.process_index} of {state.num_processes}"
    print(f"{place} {torch.distributed.get_backend()} {total.item()} {threads}\\n", end="", flush=True)
    torch.distributed.destroy_process_group()
'''


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # where its run's folder is made
    path = tmp_path / "several.py"
    path.write_text(RECIPE)
    return path


def launch(recipe: Path, task: str, *launcher: str) -> subprocess.CompletedProcess[str]:
    command = (
        [*launcher, "train", str(recipe), "--task", task]
        if launcher
        else [*program(), "train", str(recipe), "--task", task, "--num-processes", "2"]
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=environment)


def test_two_processes_add_up(recipe: Path) -> None:
    found = launch(recipe, "sum")
    threads = max(1, (os.cpu_count() or 1) // 2)
    assert sorted(found.stdout.splitlines()) == [f"{rank} of 2 gloo 3.0 {threads}" for rank in range(2)]
    assert (found.returncode, found.stderr) == (0, "")


def test_torchrun_starts_no_further_processes(recipe: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "hf_seq2seq"]
    text = recipe.read_text().replace("configs.Run)", "lambda: configs.Run(num_processes=2))")
    recipe.write_text(text)
    found = launch(recipe, "cpu", *torchrun)
    assert sorted(line[:13] for line in found.stdout.splitlines()) == ["0 of 2 gloo 3", "1 of 2 gloo 3"]
    assert found.returncode == 0


def test_bad_input_is_reported_once(recipe: Path) -> None:
    found = launch(recipe, "refuse")
    assert (found.returncode, found.stdout, found.stderr) == (2, "", "error: no such thing, says 0\n")


def test_a_failing_process_ends_the_others_and_gives_its_code(recipe: Path) -> None:
    found = launch(recipe, "fail")
    assert (found.returncode, found.stderr) == (7, "")


def test_an_error_is_shown_once(recipe: Path) -> None:
    found = launch(recipe, "raise")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("Traceback (most recent call last):\n")
    assert found.stderr.count("Traceback") == 1  # the other process fails because of this one, which is no news
    assert found.stderr.endswith("ValueError: process 1 cannot go on\n")


def test_a_signal_reaches_every_process(recipe: Path) -> None:
    command = [*program(), "train", recipe, "--task", "wait", "--num-processes", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert [run.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
        run.send_signal(signal.SIGTERM)
        said, errors = run.communicate(timeout=300)
    assert sorted(said.splitlines()) == ["saved 0", "saved 1"]
    assert (run.returncode, errors) == (143, "")


def test_the_configuration_is_checked_before_anything_starts(command, recipe: Path) -> None:
    result = command("train", recipe, "--num-processes", "2", "--seed", "-1")
    assert (result.code, result.err) == (2, "error: --seed: -1 is too small; the minimum is 0\n")


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ({}, 1),
        ({"num_processes": 3}, 3),
        ({"gpus": "0,2"}, 2),
        ({"gpus": "1"}, 1),
        ({"gpus": "0,1", "num_processes": 2}, 2),
    ],
)
def test_how_many_processes(run: dict[str, object], expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes(Run(**run)) == expected
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert processes(Run(**run)) == 1


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"gpus": "a"}, "--gpus: 'a' is not a list"),
        ({"gpus": "0,0"}, "--gpus: '0,0' is not a list of different"),
        ({"gpus": "0,1", "num_processes": 3}, "--num-processes 3 does not match --gpus 0,1"),
        ({"gpus": "0", "use_cpu": True}, "exclude each other"),
    ],
)
def test_contradictions_are_refused(run: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        processes(Run(**run))


@pytest.mark.parametrize("flags", [("--num-processes", "3"), ("--gpus", "0,1,2")])
def test_more_processes_than_gpus(
    flags: tuple[str, str], command, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    result = command("train", recipe, *flags)
    assert (result.code, result.err) == (2, "error: 3 processes for 2 GPUs; use fewer, or --use-cpu\n")


def test_only_the_chosen_gpus_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    show_only(Run())
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
    show_only(Run(gpus="1,3"))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,3"
    monkeypatch.setenv("WORLD_SIZE", "2")  # inside a started process, which counts those that are seen from 0
    show_only(Run(gpus="0"))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,3"


@pytest.mark.parametrize("gpus", ["0,1", "9"])
def test_gpus_that_are_not_there(gpus: str, command, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there are GPUs")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    result = command("train", recipe, "--gpus", gpus)
    assert result.code == 2
    assert f"--gpus {gpus}: there is no such GPU" in result.err


def test_a_pipe_is_refused_where_several_processes_are_to_read_it(command, tmp_path: Path) -> None:
    pipe, train = tmp_path / "rows.tsv", tmp_path / "train.tsv"
    os.mkfifo(pipe)
    train.write_text("source\ttarget\na\tb\n")
    flags = ["--train-file", train, "--test-file", f"x={train},y={pipe}", "--num-processes", "2", "--use-cpu"]
    result = command("train", "rnn", *flags)
    assert (result.code, result.out) == (2, "")
    assert f"--test-file {pipe}: is a pipe, which can be read only once; 2 processes need a file" in result.err
