"""Several machines that share a run: they meet, agree, end together, and tell what is wrong in one line."""

import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hf_seq2seq.cli import machines
from hf_seq2seq.cli.machines import Machines
from hf_seq2seq.cli.train import hint_when_ended_early
from hf_seq2seq.configs import Run
from hf_seq2seq.errors import InputError
from hf_seq2seq.training.processes import processes

RECIPE = '''"""A process that fails on one machine, and waits on the others."""

import os
import sys
import time
from dataclasses import dataclass, field

from hf_seq2seq import configs


@dataclass(frozen=True)
class Config:
    run: configs.Run = field(default_factory=configs.Run)


def prepare(config):
    return None


def main(config):
    if os.environ["RANK"] == "1":
        sys.exit(7)
    time.sleep(100)
'''


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_of(rank: int, port: int, **more: object) -> Run:
    values = {"num_machines": 2, "main_process_ip": "127.0.0.1", "machine_timeout": 20}
    return Run(**values | {"machine_rank": rank, "main_process_port": port} | more)


def together(*tasks: object) -> list[str]:
    """Runs functions in threads and returns what each refused, or ""."""
    said = [""] * len(tasks)

    def one(number: int) -> None:
        try:
            tasks[number]()
        except InputError as error:
            said[number] = str(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return said


def start(place: Path, port: int, *arguments: str) -> list[subprocess.Popen[str]]:
    """The same command on two machines, of which each has a loopback address."""
    flags = ["--num-machines", "2", "--main-process-ip", "127.0.0.1", "--main-process-port", str(port)]
    command = [sys.executable, "-m", "hf_seq2seq", "train", *arguments, *flags, "--machine-rank"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": place}
    return [subprocess.Popen([*command, str(rank)], **pipes) for rank in range(2)]


@pytest.mark.usefixtures("forked")
def test_two_machines_train_to_the_weights_of_one(tmp_path: Path) -> None:
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdef", k=6)) for _ in range(40)]
    (tmp_path / "rows.tsv").write_text("source\ttarget\n" + "".join(f"{word}\t{word[::-1]}\n" for word in words))
    flags = ["rnn", "--train-file", "rows.tsv", "--max-steps", "3", "--use-cpu", "--num-processes", "2"]
    flags += ["--hidden-size", "16", "--embedding-size", "16", "--output-dir"]
    command = [sys.executable, "-m", "hf_seq2seq", "train", *flags, "one"]
    one = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert one.returncode == 0, one.stderr
    for run in start(tmp_path, free_port(), *flags, "two"):
        _, errors = run.communicate(timeout=300)
        assert run.returncode == 0, errors
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert len({hashlib.sha256(data).digest() for data in files}) == 1


@pytest.mark.usefixtures("forked")
def test_a_machine_that_fails_ends_the_other(tmp_path: Path) -> None:
    (tmp_path / "several.py").write_text(RECIPE)
    begun = time.monotonic()
    main, other = start(tmp_path, free_port(), "several.py")
    assert main.communicate(timeout=120) == ("", "error: machine 1 of 2 ended with code 7; its own output says why\n")
    assert other.communicate(timeout=120) == ("", "")
    assert (main.returncode, other.returncode) == (7, 7)
    assert time.monotonic() - begun < 90


def test_a_machine_that_never_joins() -> None:
    port = free_port()
    with pytest.raises(InputError, match=r"^the main machine did not answer at 127\.0\.0\.1:\d+ within 1 seconds "):
        Machines(run_of(1, port, machine_timeout=1), 1).join()
    with pytest.raises(InputError, match=r"^machine 1 of 2 did not join 127\.0\.0\.1:\d+ within 1 seconds "):
        Machines(run_of(0, port, machine_timeout=1), 1).join()
    with pytest.raises(InputError, match=r"--main-process-ip nowhere\.invalid: "):
        Machines(run_of(1, port, main_process_ip="nowhere.invalid"), 1).join()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(InputError, match=f"port {port}: the port is in use"):
        Machines(run_of(0, port), 1).join()


def test_something_else_at_the_main_address() -> None:
    port = free_port()
    began = time.monotonic()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(InputError, match=r"accepts connections but did not answer|127\.0\.0\.1:\d+: "),
    ):
        Machines(run_of(1, port, machine_timeout=1), 1).join()
    assert time.monotonic() - began < 1 + machines.GRACE / 2


def test_who_is_ended_while_waiting_imports_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkpoint-1").mkdir()  # of an earlier run
    monkeypatch.setitem(sys.modules, "hf_seq2seq.training.resuming", None)  # cannot be imported
    with pytest.raises(SystemExit), hint_when_ended_early(tmp_path):
        sys.exit(143)


def test_machines_that_disagree() -> None:
    port = free_port()
    said = together(*(Machines(run_of(rank, port), 1 + rank).join for rank in range(2)))
    assert said[0] == (
        "machine 1 was told of 2 machines with 2 processes each, this one of 2 machines with 1 processes each; "
        "give all the same numbers"
    )
    assert said[1].startswith("machine 0 was told of 2 machines with 1 processes each")
    port = free_port()
    options = [{"learning_rate": rate, "train_file": f"{rate}.tsv", "machine_rank": rate} for rate in (1, 2)]
    said = together(*(Machines(run_of(rank, port), 1, options[rank]).join for rank in range(2)))
    assert said == [
        "--learning-rate: 1 here, 2 on machine 1; give all machines the same flags",
        "--learning-rate: 2 here, 1 on machine 0; give all machines the same flags",
    ]
    port = free_port()
    three = {"num_machines": 3, "machine_timeout": 4}
    said = together(*(Machines(run_of(rank, port, **three), 1).join for rank in (0, 1, 1)))
    assert "--machine-rank 1: another machine has joined" in "".join(said[1:])


def test_a_silent_machine_ends_the_processes_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("BEAT", 0.05), ("SILENCE", 0.6), ("GRACE", 0.1)):
        monkeypatch.setattr(machines, name, seconds)
    killed = threading.Event()
    monkeypatch.setattr(machines, "_end_processes", killed.set)
    port = free_port()
    main, other = (Machines(run_of(rank, port), 1) for rank in range(2))
    assert together(main.join, other.join) == ["", ""]
    with main.watching():
        with other.watching() as ended:
            assert not killed.wait(1)
            monkeypatch.setattr(other, "_leave", lambda code: None)  # as without power
            ended(0)
        assert killed.wait(30)
    assert main.lost == "machine 1 of 2 has not answered for 1 seconds"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"num_machines": 2}, "--num-machines 2: give --main-process-ip, the address of machine 0"),
        ({"machine_rank": 1}, "--machine-rank 1: give --num-machines, too"),
        ({"main_process_ip": "host"}, "--main-process-ip: give --num-machines, too"),
        (
            {"num_machines": 2, "machine_rank": 2, "main_process_ip": "host"},
            "--machine-rank 2: with --num-machines 2 ranks go from 0 to 1",
        ),
        (
            {"num_machines": 2, "main_process_ip": "host", "num_processes": 3},
            "--num-processes 3: are those of all 2 machines, of which each starts the same number",
        ),
    ],
)
def test_contradictions_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as error:
        processes(Run(**values))
    assert str(error.value) == said


def test_processes_are_those_of_all_machines() -> None:
    machines = {"num_machines": 4, "main_process_ip": "host"}
    assert [processes(Run(**machines | more)) for more in ({}, {"num_processes": 8}, {"gpus": "0,1"})] == [4, 8, 8]
    assert os.environ.get("WORLD_SIZE") is None


def test_a_search_stays_on_one_machine(command, tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text("source\ttarget\na\tb\n")
    flags = ["--train-file", tmp_path / "rows.tsv", "--search", "1h", "--num-machines", "2", "--main-process-ip", "a"]
    result = command("train", "rnn", *flags)
    assert (result.code, result.err) == (2, "error: --num-machines 2: --search runs its trials on one machine\n")
