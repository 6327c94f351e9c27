"""A run that ends early, by a signal, an error or with its launcher: what was trained is there, and how to resume."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_seq2seq.cli.root import app
from hf_seq2seq.training.checkpoints import list_checkpoints

pytestmark = pytest.mark.usefixtures("forked")
RUN = [sys.executable, "-m", "hf_seq2seq"]
"""In a new interpreter, whose own children the tests look for."""


def program() -> list[str]:
    """The command, in a process of its own."""
    return [sys.executable, "-m", "hf_seq2seq"]


RECIPE = '''"""A recurrent model whose last scoring does what the environment says."""

import os
import time

from hf_seq2seq.recipes import rnn
from hf_seq2seq.recipes.rnn import Config, prepare
from hf_seq2seq.training import run


def scoring(*arguments):
    print("scoring", flush=True)
    if os.environ["SCORING"] == "fails":
        raise ValueError("the metric failed")
    time.sleep(100)


def main(config):
    run.evaluate_and_predict = scoring
    rnn.main(config)
'''
HINT = "resume with the same command and --resume-from-checkpoint last"


def arguments(recipe: str, pairs: dict[str, str], output: Path, *more: str) -> list[str]:
    flags = [text for name, value in pairs.items() for text in ("--" + name.replace("_", "-"), value)]
    flags += ["--tokenizer-type", "char", "--hidden-size", "8", "--embedding-size", "8", "--metrics", "exact_match"]
    flags += ["--save-steps", "2", "--logging-steps", "1", "--output-dir", str(output), *more]
    return ["train", recipe, *flags]


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "scored.py"
    path.write_text(RECIPE)
    return str(path)


def wait_until(done: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129), (None, 1)]
)
def test_the_model_is_saved_before_it_is_scored(
    recipe: str, pairs: dict[str, str], tmp_path: Path, number: signal.Signals | None, code: int
) -> None:
    output = tmp_path / "run"
    command = [*program(), *arguments(recipe, pairs, output, "--max-steps", "2")]
    environment = os.environ | {"SCORING": "waits" if number else "fails"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "scoring\n"
        if number:
            run.send_signal(number)
        said = run.communicate(timeout=180)[1]
    assert run.returncode == code, said
    assert f"{output / 'checkpoint-2'} contains the trained model: {HINT}" in said
    assert ("Traceback" in said) == (number is None)
    for name in ("model.safetensors", "config.json", "tokenizer.json", "run.yaml", "README.md", "loss.png"):
        assert (output / name).stat().st_size
    assert "the model is not scored yet" in (output / "README.md").read_text()
    assert not (output / "eval_results.json").exists()
    assert not [path for path in output.iterdir() if path.name.startswith(".")]
    app(arguments("rnn", pairs, output, "--max-steps", "2", "--resume-from-checkpoint", "last"), standalone_mode=False)
    assert "eval_exact_match" in json.loads((output / "eval_results.json").read_text())
    assert "not scored yet" not in (output / "README.md").read_text()


def test_scores_of_an_earlier_model_do_not_outlive_it(recipe: str, pairs: dict[str, str], tmp_path: Path) -> None:
    output = tmp_path / "run"
    app(arguments("rnn", pairs, output, "--max-steps", "2"), standalone_mode=False)
    assert (output / "generated_predictions.txt").exists()
    more = ["--max-steps", "3", "--resume-from-checkpoint", "last"]
    environment = os.environ | {"SCORING": "fails"}
    subprocess.run(
        [*program(), *arguments(recipe, pairs, output, *more)], env=environment, capture_output=True, check=False
    )
    assert json.loads((output / "trainer_state.json").read_text())["global_step"] == 3
    assert not [*output.glob("*_results.json"), *output.glob("generated_predictions*")]


def test_a_closed_terminal_ends_a_run_with_a_checkpoint(pairs: dict[str, str], tmp_path: Path) -> None:
    """The terminal sends SIGHUP, and what is written to it fails from then on."""
    output = tmp_path / "run"
    process, terminal = pty.fork()
    if not process:
        more = ["--max-steps", "100000", "--save-total-limit", "1"]
        os.execv(program()[0], [*program(), *arguments("rnn", pairs, output, *more)])
    wait_until(lambda: bool(list_checkpoints(output)))
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 129
    last = json.loads((output / "train_log.jsonl").read_text().splitlines()[-1])
    assert list_checkpoints(output)[-1].name == f"checkpoint-{last['step']}"


def test_nohup_trains_on(pairs: dict[str, str], tmp_path: Path) -> None:
    output = tmp_path / "run"
    command = ["nohup", *program(), *arguments("rnn", pairs, output, "--max-steps", "30")]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        wait_until(lambda: bool(list_checkpoints(output)))
        run.send_signal(signal.SIGHUP)
        run.communicate(timeout=180)
    assert run.returncode == 0
    assert (output / "checkpoint-30").exists()


def ranks_below(parent: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def is_alive(process: int) -> bool:
    """Whether a process runs: one whose parent has not looked at it yet does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "hf_seq2seq"]


@pytest.mark.parametrize("launcher", ["own", "torchrun"])
def test_processes_end_with_a_launcher_that_is_killed(launcher: str, pairs: dict[str, str], tmp_path: Path) -> None:
    output = tmp_path / "run"
    start = RUN if launcher == "own" else TORCHRUN
    more = ["--max-steps", "100000", "--use-cpu", *(["--num-processes", "2"] if launcher == "own" else [])]
    command = [*start, *arguments("rnn", pairs, output, *more)]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as run:
        wait_until(lambda: bool(list_checkpoints(output)))
        ranks = [process for process in ranks_below(run.pid) if is_alive(process)]
        assert len(ranks) == 2
        run.kill()
        try:
            wait_until(lambda: not any(is_alive(process) for process in ranks))
        finally:
            for process in filter(is_alive, ranks):
                os.kill(process, signal.SIGKILL)
    last = json.loads((output / "train_log.jsonl").read_text().splitlines()[-1])
    assert list_checkpoints(output)[-1].name == f"checkpoint-{last['step']}"


NAMED = """
import os

from hf_seq2seq.recipes import rnn
from hf_seq2seq.recipes.rnn import Config, prepare


def main(config):
    os.write(1, f"{os.getpid()}{os.linesep}".encode())
    rnn.main(config)
"""


def test_a_hint_stands_once_whichever_process_is_ended(pairs: dict[str, str], tmp_path: Path) -> None:
    output = tmp_path / "run"
    (tmp_path / "named.py").write_text(NAMED)
    more = ["--max-steps", "100000", "--num-processes", "2"]
    command = [*program(), *arguments(str(tmp_path / "named.py"), pairs, output, *more)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        processes = [int(run.stdout.readline()) for _ in range(2)]
        wait_until(lambda: bool(list_checkpoints(output)))
        os.kill(processes[0], signal.SIGKILL)
        said = run.communicate(timeout=180)[1]
    assert run.returncode == 128 + signal.SIGKILL
    assert said.count(HINT) == 1
    assert "was ended by SIGKILL" in said
    assert "Traceback" not in said


def test_no_hint_for_what_is_refused_before_training(
    pairs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app(arguments("rnn", pairs, tmp_path / "run", "--max-steps", "2"), standalone_mode=False)
    capsys.readouterr()
    with pytest.raises(ValueError, match="already contains a run"):
        app(arguments("rnn", pairs, tmp_path / "run", "--max-steps", "2"), standalone_mode=False)
    assert HINT not in capsys.readouterr().err
