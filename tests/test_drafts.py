"""Files that appear whole."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from hf_seq2seq.cli.rows import open_output
from hf_seq2seq.drafts import open_draft, write_together
from hf_seq2seq.errors import InputError


def write(path: Path, text: str) -> None:
    with open_draft(path) as stream:
        stream.write(text)


def test_a_file_appears_whole_and_nothing_is_left_next_to_it(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with open_draft(path) as stream:
        stream.write("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def fail(path: Path) -> None:
    with open_draft(path) as stream:
        stream.write("half")
        raise RuntimeError


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        fail(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_files_of_one_report_are_replaced_together_or_not_at_all(tmp_path: Path) -> None:
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("old")
    with pytest.raises(FileNotFoundError):
        write_together({one: "new", other: "new", tmp_path / "missing" / "file.txt": "new"})
    assert one.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["one.txt"]
    write_together({one: "new", other: "new"})
    assert one.read_text() == other.read_text() == "new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.txt", "other.txt"]


def test_a_link_keeps_pointing_and_its_file_changes(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_links_in_a_circle_are_refused_and_stay(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write(tmp_path / "a", "text")
    assert (tmp_path / "a").is_symlink()


def test_a_link_to_nothing_yet_makes_its_file(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to("new.txt")
    write(tmp_path / "link.txt", "text")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "new.txt").read_text() == "text"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_the_mode_is_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    path.chmod(mode)
    write(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_mode_that_others_get(tmp_path: Path) -> None:
    write(tmp_path / "out.txt", "new")
    (tmp_path / "other.txt").write_text("")
    assert (tmp_path / "out.txt").stat().st_mode == (tmp_path / "other.txt").stat().st_mode


def test_a_named_pipe_stays_one_and_its_reader_gets_the_text(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    write(pipe, "text")
    reader.join(10)
    assert got == ["text"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with open_draft(path) as first, open_draft(path) as second:
        first.write("first\n" * 1000)
        second.write("second\n" * 1000)
    assert path.read_text() == "first\n" * 1000  # renamed last


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, InputError), (errno.ECONNRESET, OSError)])
def test_only_a_full_disk_is_laid_to_the_output(tmp_path: Path, number: int, kind: type[Exception]) -> None:
    def fill() -> None:
        with open_output(str(tmp_path / "out.txt"), None) as stream:
            stream.write("half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(kind, match=os.strerror(number)):
        fill()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    def miss() -> None:
        with open_output(str(tmp_path / "none" / "out.txt"), None):
            raise AssertionError

    with pytest.raises(InputError, match="cannot be written: No such file"):
        miss()


def test_a_full_disk_is_given_the_name_of_the_file(tmp_path: Path) -> None:
    def fill() -> None:
        with open_draft(tmp_path / "predictions.txt"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError) as caught:
        fill()
    assert caught.value.filename == str(tmp_path / "predictions.txt")


def test_a_name_as_long_as_names_may_be_in_any_script(tmp_path: Path) -> None:
    for name in ("\u5b57" * 85, "\U0001f600" * 63, "a" * 255):
        write(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"


def test_a_pipe_that_a_link_stands_for(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    write(Path(f"/dev/fd/{writer}"), "through")
    os.close(writer)
    with open(reader) as stream:  # noqa: PTH123 - an open file has no path
        assert stream.read() == "through"


def test_a_refusal_names_the_file_and_not_its_draft(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        write(tmp_path / "no" / "out.txt", "text")
    assert error.value.filename == str(tmp_path / "no" / "out.txt")
