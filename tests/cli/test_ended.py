"""Commands that are ended, or find no room, while they write."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("forked")


def words() -> list[str]:
    """The command, in a process of its own."""
    return [sys.executable, "-m", "hf_seq2seq"]


def wait_for(found: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not found():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_leaves_no_draft(model_folder: Path, tmp_path: Path, number: int) -> None:
    (tmp_path / "out.txt").write_text("old")
    command = [*words(), "generate", str(model_folder), "--output-file", "out.txt"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write("the small dog\n" * 5000)
        process.stdin.flush()
        wait_for(lambda: list(tmp_path.glob(".out.txt.*.draft")))
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + number, "")
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]
    assert (tmp_path / "out.txt").read_text() == "old"


def test_an_import_that_catches_everything_does_not_hide_a_signal(tmp_path: Path) -> None:
    (tmp_path / "greedy.py").write_text(
        "import os, signal, time\ntry:\n    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(0.05)\n"
        "except BaseException:\n    pass\n"
    )
    program = (
        "import time\nfrom hf_seq2seq.cli.app import unwind_on_signals\nunwind_on_signals()\n"
        "try:\n    import greedy\n    print('imported', flush=True)\n    time.sleep(20)\n"
        "finally:\n    print('unwound', flush=True)\n"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    ended = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert ended.returncode == 128 + signal.SIGTERM
    assert ended.stdout.endswith("unwound\n")
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("later", "code", "said"), [(0.0, 128 + signal.SIGTERM, "unwound\n"), (1.5, -signal.SIGTERM, "")]
)
def test_a_signal_sent_twice_at_once_is_one_and_a_later_one_kills(later: float, code: int, said: str) -> None:
    """As `timeout` sends it, to the process and to its group."""
    program = (
        "import time\nfrom hf_seq2seq.cli.app import unwind_on_signals\nunwind_on_signals()\n"
        "try:\n    print('begun', flush=True)\n    time.sleep(60)\n"
        "finally:\n    time.sleep(4)\n    print('unwound', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        time.sleep(later or 0.05)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (code, said)


def test_nohup_is_heeded(recipe: Path) -> None:
    program = "import signal, os, time\n    os.kill(os.getpid(), signal.SIGHUP)\n    print('alive')"
    recipe.write_text(recipe.read_text().replace("print(flatten(config))", program))
    command = [*words(), "train", str(recipe)]
    plain = subprocess.run(command, capture_output=True, text=True)
    assert (plain.returncode, plain.stdout, plain.stderr) == (128 + signal.SIGHUP, "", "")
    kept = subprocess.run(["nohup", *command], capture_output=True, text=True)
    assert (kept.returncode, kept.stdout) == (0, "alive\n")


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from hf_seq2seq.cli.app import main
main()
"""


def limited(folder: Path, size: int, *arguments: object) -> tuple[int, str]:
    """Runs a command whose files may not grow beyond a size: what a full disk says, but for the words."""
    command = [sys.executable, "-c", LIMITED, str(size), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_predictions_that_find_no_room(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("the small dog\n" * 300)
    code, said = limited(
        tmp_path, 4096, "generate", model_folder, "--input-file", "in.txt", "--output-file", "out.txt", "--json-lines"
    )
    assert (code, said) == (2, "error: --output-file out.txt: cannot be written: File too large\n")
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


WRITERS: dict[str, tuple[int, list[str], str]] = {
    "tokenizer": (2000, ["tokenizer", "train", "--train-file", "in.tsv"], "outputs/tokenizer: could not be saved: "),
    "average": (9000, ["average", "{model}", "{model}", "--output-dir", "mean"], "mean: could not be saved: "),
    "export": (9000, ["export", "{model}", "mine/out", "--format", "safetensors"], "mine/out: could not be saved: "),
    "rate": (9000, ["rate", "a=in.txt", "b=in.tsv", "--references", "in.txt"], "outputs/rating: could not be saved: "),
    "recipe": (1000, ["recipes", "copy", "rnn"], "rnn.py: cannot be written: "),
}


@pytest.mark.parametrize("name", WRITERS)
def test_folders_that_find_no_room(model_folder: Path, tmp_path: Path, name: str) -> None:
    size, arguments, message = WRITERS[name]
    (tmp_path / "in.txt").write_text("the small dog\n" * 20)
    (tmp_path / "in.tsv").write_text("prediction\tother\n" + "".join(f"dog {n}\tcat {n}\n" for n in range(20)))
    code, said = limited(tmp_path, size, *(word.format(model=model_folder) for word in arguments))
    assert (code, len(said.splitlines())) == (2, 1), said
    assert said.startswith(f"error: {message}")
    assert "File too large" in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in ("in.txt", "in.tsv")]


def test_a_device_that_is_full_is_named(model_folder: Path, tmp_path: Path) -> None:
    node = tmp_path / "full"
    try:
        os.mknod(node, 0o666 | 0o020000, os.makedev(1, 7))
    except PermissionError:
        pytest.skip("only root may make a device")
    (tmp_path / "in.txt").write_text("the small dog\n")
    done = subprocess.run(
        [*words(), "generate", str(model_folder), "--input-file", "in.txt", "--output-file", "full"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --output-file full: cannot be written: No space left on device\n"
    assert node.is_char_device()
