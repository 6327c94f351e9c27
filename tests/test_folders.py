"""Folders to write in: checked, locked, filled all at once."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import LOCK, check_folder, fill_folder, locked_folder, new_folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def model(folder: Path, text: str = "new") -> None:
    """Writes a file, one below it and a safetensors, which by itself is written for its owner alone."""
    (folder / "config.json").write_text(text)
    (folder / "sub").mkdir()
    (folder / "sub" / "vocab.json").write_text(text)
    save_file({"x": torch.ones(2)}, folder / "model.safetensors")


MODEL = ["config.json", "model.safetensors", "sub", "sub/vocab.json"]


@pytest.mark.parametrize("fill", [new_folder, fill_folder])
def test_a_folder_appears_whole_with_the_modes_of_new_files(tmp_path: Path, fill: Callable[..., object]) -> None:
    before = os.umask(0o027)
    try:
        with fill(tmp_path / "a" / "run") as draft:
            model(draft)
            assert not (tmp_path / "a" / "run").exists()
    finally:
        os.umask(before)
    assert names(tmp_path / "a") == ["run", *(f"run/{name}" for name in MODEL)]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").rglob("*")}
    assert modes == {name: 0o750 if name in ("run", "sub") else 0o640 for name in modes}


def test_a_new_folder_replaces_all_that_was_there(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with new_folder(tmp_path / "run") as draft:
            model(draft, text)
            (draft / text).write_text("")
    assert names(tmp_path) == ["run", *sorted(f"run/{name}" for name in [*MODEL, "new"])]


def test_filling_keeps_other_files_and_removes_what_is_stale(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "target_tokenizer").mkdir()
    for name in ("sub/mine.txt", "thesis.txt", "config.json", "target_tokenizer/tokenizer.json"):
        (tmp_path / name).write_text("old")
    with fill_folder(tmp_path, stale=("target_tokenizer", "absent")) as draft:
        model(draft)
        assert (tmp_path / "config.json").read_text() == "old"
    assert names(tmp_path) == sorted([*MODEL, "sub/mine.txt", "thesis.txt"])
    assert (tmp_path / "config.json").read_text() == "new"
    assert (tmp_path / "thesis.txt").read_text() == "old"


def test_two_writers_of_one_folder_do_not_meet(tmp_path: Path) -> None:
    with new_folder(tmp_path / "run") as first, new_folder(tmp_path / "run") as second:
        model(first, "first")
        model(second, "second")
    assert (tmp_path / "run" / "config.json").read_text() == "first"  # renamed last
    assert names(tmp_path) == ["run", *(f"run/{name}" for name in MODEL)]


FULL = ["No space left on device", "File too large"]


@pytest.mark.parametrize("fill", [new_folder, fill_folder])
@pytest.mark.parametrize("error", [OSError(28, FULL[0]), RuntimeError(f"I/O error: {FULL[1]} (os error 27)")])
def test_a_full_disk_is_one_line_and_leaves_what_was_there(
    tmp_path: Path, fill: Callable[..., object], error: Exception
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("old")

    def write() -> None:
        with fill(tmp_path / "run") as draft:
            model(draft)
            raise error

    with pytest.raises(InputError, match=f"run: could not be saved: ({'|'.join(FULL)})$"):
        write()
    assert names(tmp_path) == ["run", "run/config.json"]
    assert (tmp_path / "run" / "config.json").read_text() == "old"


def test_what_the_block_reads_is_not_laid_to_the_folder(tmp_path: Path) -> None:
    def write() -> None:
        with new_folder(tmp_path / "run"):
            (tmp_path / "input.txt").read_text()

    with pytest.raises(FileNotFoundError):
        write()


def test_a_full_file_system(tmp_path: Path) -> None:
    """In a process of its own, whose files may not grow beyond 4 kB; a signal that would end it is ignored."""
    program = (
        "import resource, signal, sys; from pathlib import Path; from hf_seq2seq.folders import fill_folder\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "with fill_folder(Path('run')) as draft: (draft / 'big.txt').write_text('x' * 10_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "hf_seq2seq.errors.InputError: run: could not be saved: File too large"
    assert not names(tmp_path)


def refused(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nothing")
    return {
        "a file": (tmp_path / "file", "is a file"),
        "below a file": (tmp_path / "file" / "run", "file is a file"),
        "a broken link": (tmp_path / "link", "is a broken link"),
        "a zero byte": (tmp_path / "a\0b", "cannot be the name of a folder"),
        "a long name": (tmp_path / ("x" * 300), "cannot be written: File name too long"),
    }


def test_no_folder_can_be_made(tmp_path: Path) -> None:
    for path, message in refused(tmp_path).values():
        with pytest.raises(InputError, match=message):
            check_folder(path, overwrite=True)
        with pytest.raises(InputError, match=message), locked_folder(path):
            raise AssertionError
    assert names(tmp_path) == ["file", "link"]


def test_an_input_in_the_target_is_refused_where_it_would_be_lost(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoint-4").mkdir(parents=True)
    (tmp_path / "run" / "tokenizer.json").write_text("{}")
    for read in ("run", "run/checkpoint-4", "run/tokenizer.json"):
        with pytest.raises(InputError, match="contains the input"):
            check_folder(tmp_path / "run", True, [tmp_path / read], writes=("tokenizer.json",))
    check_folder(tmp_path / "run", True, [tmp_path / "run" / "tokenizer.json"], writes=("config.json",))
    check_folder(tmp_path / "new", False, [tmp_path / "run"])
    with pytest.raises(InputError, match="not empty"):
        check_folder(tmp_path / "run", False)


HOLD = """
import sys
from pathlib import Path
from hf_seq2seq.folders import locked_folder
with locked_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], **pipes)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_refuses_the_second_and_dies_with_its_process(tmp_path: Path) -> None:
    run = tmp_path / "outputs" / "run"
    process = hold(run)
    with pytest.raises(InputError, match=f"in use by another run, process {process.pid} on "), locked_folder(run):
        raise AssertionError
    (run / ".checkpoint-4.ab12cd_9.draft").mkdir()
    (run / ".mine.draft").mkdir()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (run / LOCK).exists()
    with locked_folder(run):
        assert names(run) == [LOCK, ".mine.draft"]
    assert names(run) == [".mine.draft"]


def test_what_a_killed_process_left_does_not_fill_a_folder(tmp_path: Path) -> None:
    process = hold(tmp_path / "run")
    (tmp_path / "run" / ".model.ab12cd_9.draft").mkdir()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert names(tmp_path / "run")
    check_folder(tmp_path / "run", overwrite=False)
    (tmp_path / "run" / ".mine").write_text("")
    with pytest.raises(InputError, match="is not empty"):
        check_folder(tmp_path / "run", overwrite=False)


def test_a_lock_leaves_nothing(tmp_path: Path) -> None:
    with locked_folder(tmp_path / "a" / "run"):
        pass
    assert not names(tmp_path)
    with locked_folder(tmp_path / "a" / "run"):
        (tmp_path / "a" / "run" / "log").write_text("")
    assert names(tmp_path / "a") == ["run", "run/log"]


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("../precious"), os.mkfifo], ids=["link", "pipe"])
def test_a_lock_that_a_folder_brings_is_not_written_through(tmp_path: Path, make: Callable[[Path], None]) -> None:
    (tmp_path / "precious").write_text("words")
    (tmp_path / "run").mkdir()
    make(tmp_path / "run" / LOCK)
    with pytest.raises(InputError, match="is not a file of a run"), locked_folder(tmp_path / "run"):
        raise AssertionError
    assert (tmp_path / "precious").read_text() == "words"


def test_a_lock_leaves_that_of_another_tool(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("mine")
    with locked_folder(tmp_path):
        pass
    assert (tmp_path / ".lock").read_text() == "mine"


@pytest.mark.parametrize("fill", [new_folder, fill_folder])
def test_a_name_as_long_as_names_may_be_in_any_script(tmp_path: Path, fill: Callable[..., object]) -> None:
    path = tmp_path / ("\u5b57" * 85)
    for _ in range(2):
        with fill(path) as draft:
            model(draft)
    assert names(path) == MODEL


@pytest.mark.parametrize("name", ["config.json", "sub"])
def test_filling_moves_nothing_where_one_file_has_no_place(tmp_path: Path, name: str) -> None:
    """A folder stands where a file goes, or a file where a folder goes."""
    (tmp_path / name).write_text("old") if name == "sub" else (tmp_path / name).mkdir()
    before = names(tmp_path)
    with pytest.raises(InputError, match=f"{name}: is a "), fill_folder(tmp_path) as draft:
        model(draft)
    assert names(tmp_path) == before


def test_a_folder_that_a_run_writes_to_is_not_filled(tmp_path: Path) -> None:
    process = hold(tmp_path)
    try:
        with pytest.raises(InputError, match=f"in use by another run, process {process.pid} "), fill_folder(tmp_path):
            raise AssertionError
    finally:
        process.kill()
        process.wait()
    with locked_folder(tmp_path), fill_folder(tmp_path) as draft:
        model(draft)
    assert names(tmp_path) == MODEL


def test_a_folder_that_is_filled_is_locked_meanwhile(tmp_path: Path) -> None:
    """Else a run that begins would take the draft for one that a killed process left."""
    (tmp_path / "mine.txt").write_text("mine")
    lock = "from hf_seq2seq.folders import locked_folder\nfrom pathlib import Path\nimport sys\n"
    begin = [sys.executable, "-c", f"{lock}with locked_folder(Path(sys.argv[1])): pass", str(tmp_path)]
    with fill_folder(tmp_path) as draft:
        model(draft)
        assert b"in use by another run" in subprocess.run(begin, capture_output=True).stderr
    assert names(tmp_path) == sorted([*MODEL, "mine.txt"])
