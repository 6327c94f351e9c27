"""Resumable files: the same bytes however often they are interrupted, and nothing done twice."""

import errno
import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.data.resumable import ResumableFile
from hf_seq2seq.errors import InputError

ROWS = [f"row {number}" for number in range(10)]
SETTINGS = {"num_beams": 5, "model": "teacher"}


def write(path: Path, rows: list[str] = ROWS, stop: int = 99, worked: list[str] | None = None, **more: Any) -> None:
    """Writes each row twice, except every fifth, which has no line; stops at a row as if the process were killed."""
    seen = 0
    with ResumableFile[str](path, SETTINGS | more, block=3) as file:
        seen = file.state.get("rows", 0)
        for block in file.blocks(rows):
            if file.done + len(block) > stop:
                raise RuntimeError("killed")
            if worked is not None:
                worked += block
            seen += len(block)
            kept = [(number, row) for number, row in enumerate(block, file.done) if number % 5]
            file.commit((json.dumps([number, row]) for number, row in kept for _ in range(2)), {"rows": seen})
        assert file.state == {"rows": len(rows)}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_interrupted_runs_give_the_same_file_and_repeat_no_row(tmp_path: Path) -> None:
    whole, parts, worked = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl", []
    write(whole)
    assert len(whole.read_text().splitlines()) == 16
    for stop in (4, 4, 7):
        with pytest.raises(RuntimeError):
            write(parts, stop=stop, worked=worked)
        assert not parts.exists()
    write(parts, worked=worked)
    assert worked == ROWS
    assert parts.read_bytes() == whole.read_bytes()
    assert names(tmp_path) == ["parts.jsonl", "whole.jsonl"]


def test_lines_after_the_last_commit_are_dropped(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    write(whole)
    with pytest.raises(RuntimeError):
        write(torn, stop=4)
    with (tmp_path / "torn.jsonl.partial").open("a") as stream:
        stream.write('[3, "row')
    write(torn)
    assert torn.read_bytes() == whole.read_bytes()


def run_killed_at(path: Path, point: int) -> int:
    """Writes a file in a forked process, killed before its n-th sync, rename or deletion; returns its status."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    calls = iter(range(1, 999))

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            if next(calls) == point:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **more)

        return call

    try:
        os.fsync, Path.replace = counted(os.fsync), counted(Path.replace)
        Path.unlink = counted(Path.unlink)  # type: ignore[method-assign]
        with ResumableFile[str](path, SETTINGS, 2) as file:
            for block in file.blocks("abc"):
                file.commit(block)
        os._exit(0)
    finally:
        os._exit(1)


def test_kill_at_every_point_of_a_commit_and_of_the_end(tmp_path: Path) -> None:
    for point in range(1, 99):
        path = tmp_path / f"{point}.jsonl"
        status = run_killed_at(path, point)
        assert status in (0, -signal.SIGKILL)
        assert status == 0 or run_killed_at(path, 0) == 0
        assert path.read_text() == "a\nb\nc\n"
        assert not [name for name in names(tmp_path) if name.startswith(f"{point}.jsonl.")]
        if status == 0:
            break
    assert point > 9


def test_lines_are_synced_before_they_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partial, synced, counted = tmp_path / "out.jsonl.partial", set(), []
    fsync, replace = os.fsync, Path.replace

    def note_sync(handle: int) -> None:
        synced.add((os.fstat(handle).st_ino, os.fstat(handle).st_size))
        fsync(handle)

    def note_count(self: Path, target: Path) -> Path:
        if target.name == "out.jsonl.progress.json":
            counted.append((partial.stat().st_ino, json.loads(self.read_text())["bytes"]))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_count)
    write(tmp_path / "out.jsonl")
    assert len(counted) == 5
    assert set(counted) <= synced


def test_rows_added_to_the_input_are_done_too(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with pytest.raises(RuntimeError):
        write(path, stop=7)
    write(path, [*ROWS, "row 10", "row 11"])
    assert json.loads(path.read_text().splitlines()[-1]) == [11, "row 11"]


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        (["other", *ROWS[1:]], {}, "the first 6 rows of the input have changed"),
        (ROWS[:4], {}, "the first 6 rows of the input have changed"),
        (ROWS, {"num_beams": 4}, "was begun with num beams 5, not 4; delete .*partial and out.jsonl.progress.json"),
    ],
)
def test_never_continues_with_something_else(tmp_path: Path, rows: list[str], more: Any, message: str) -> None:
    path = tmp_path / "out.jsonl"
    with pytest.raises(RuntimeError):
        write(path, stop=7)
    before = (tmp_path / "out.jsonl.partial").read_bytes()
    with pytest.raises(InputError, match=message):
        write(path, rows, **more)
    assert (tmp_path / "out.jsonl.partial").read_bytes() == before


def test_damaged_parts_are_named(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with pytest.raises(RuntimeError):
        write(path, stop=7)
    os.truncate(tmp_path / "out.jsonl.partial", 5)
    with pytest.raises(InputError, match=r"out.jsonl.partial: is damaged; delete it"):
        write(path)
    (tmp_path / "out.jsonl.progress.json").write_text("[1")
    with pytest.raises(InputError, match=r"out.jsonl.progress.json: is damaged"):
        write(path)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with ResumableFile[str](path, SETTINGS, block=3), pytest.raises(InputError, match="being written by another"):
        write(path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("of someone else")
    (tmp_path / "out.jsonl.partial").symlink_to("other")
    with pytest.raises(InputError, match=r"out.jsonl.partial is a link or no regular file; delete it"):
        write(tmp_path / "out.jsonl")
    assert (tmp_path / "other").read_text() == "of someone else"


@pytest.mark.parametrize("name", ["missing/out.jsonl", "."])
def test_file_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"--output-file .*(cannot be written|is not a regular file)"):
        write(tmp_path / name)


def test_rows_whose_progress_finds_no_room_are_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ResumableFile, "_write_progress", full)
    with pytest.raises(InputError, match="; 0 rows are done"):
        write(tmp_path / "out.jsonl")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("done", [0, 1], ids=["first block", "later block"])
def test_a_full_disk_is_laid_to_the_file(tmp_path: Path, done: int) -> None:
    path, rows = tmp_path / "out.jsonl", ["a", "b"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        refused = pytest.raises(InputError, match=r"out\.jsonl: cannot be written: File too large")
        with refused, ResumableFile[str](path, {}, 1) as file:
            for number, _ in enumerate(file.blocks(rows)):
                file.commit(["x" * 5000 if number == done else "x"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == (["out.jsonl.partial", "out.jsonl.progress.json"] if done else [])
    with ResumableFile[str](path, {}, 1) as file:
        for row in file.blocks(rows):
            file.commit(row)
    assert path.read_text() == ("x\nb\n" if done else "a\nb\n")
