"""Folders to write in: checked before anything is read, locked while a run lasts, filled all at once."""

import errno
import fcntl
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident

from hf_seq2seq.drafts import draft_prefix, failure_of_writing, new_mode, sync
from hf_seq2seq.errors import InputError

LOCK = ".hf-seq2seq.lock"
"""The file of a folder that is locked while a run writes there; it goes with the run, unless that is killed."""
ABANDONED = re.compile(r"\..+\.[a-z0-9_]{8}\.draft")
"""What a process that was killed leaves of what it was writing."""
_HELD: set[tuple[int, Path]] = set()
"""The folders that this process has locked, each with the thread that did."""


def check_is_folder(folder: Path, name: str = "--output-dir") -> None:
    """Refuses a path where no folder is or can be made.

    Args:
        folder: may be absent.
        name: of the option, for the error.

    Raises:
        InputError: it is a file, lies below one, or in a folder that this user may not write to.
    """
    try:
        if folder.is_symlink() and not folder.exists():
            raise InputError(f"{name}: {folder} is a link to nothing")
        place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not place.is_dir():
            raise InputError(f"{name}: {place} is a file")
        if not os.access(place, os.W_OK | os.X_OK):
            raise InputError(f"{name}: {place} cannot be written: {os.strerror(errno.EACCES)}")
    except OSError as error:  # such as a name that is too long
        raise InputError(f"{name}: {folder} cannot be written: {error.strerror}") from None
    if "\0" in str(folder):
        raise InputError(f"{name}: {str(folder)!r} cannot be the name of a folder")


def check_folder(folder: Path, overwrite: bool, read: Sequence[Path] = (), writes: Sequence[str] = ()) -> None:
    """Refuses an `--output-dir` in which something would be lost.

    Args:
        folder: may be absent.
        overwrite: whether it may hold anything; files that are not written stay.
        read: files and folders that the command reads; no such folder may lie in the target.
        writes: names of the files that the command writes, none of which may be read.

    Raises:
        InputError: names the folder.
    """
    check_is_folder(folder)
    for path in (path for path in read if path.exists()):
        inside = path.is_dir() and path.resolve().is_relative_to(folder.resolve())
        if inside or any((folder / name).exists() and path.samefile(folder / name) for name in writes):
            raise InputError(f"--output-dir: {folder} holds {path}, which is read; give another folder")
    if not overwrite and not is_free(folder):
        raise InputError(f"--output-dir: {folder} is not empty; give --overwrite-output-dir or another folder")


def is_free(folder: Path) -> bool:
    """Whether a folder is absent or empty; a link to nothing is neither."""
    return not any(folder.iterdir()) if folder.is_dir() else not (folder.exists() or folder.is_symlink())


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Gives a folder to write into, which takes the place of `path`, and of what is there, when the block ends well.

    Raises:
        InputError: the files could not be written (no space left, no permission); `path` is as it was.
    """
    with _draft(path, path.parent) as draft:
        yield draft
        _settle(draft)
        old = draft.with_name(draft.name + ".old.draft")
        if path.is_dir():
            path.rename(old)
        draft.rename(path)
        shutil.rmtree(old, ignore_errors=True)
        sync(path.parent)


@contextmanager
def fill_folder(folder: Path, stale: Sequence[str] = ()) -> Iterator[Path]:
    """Gives a folder to write into, whose files are moved to `folder` when the block ends well; its other files stay.

    Args:
        folder: may be absent.
        stale: names in `folder` that go in any case: what an earlier writer left must not be read with the new files.

    Raises:
        InputError: as for `new_folder`, or another process writes there.
    """
    if not folder.exists():
        with new_folder(folder) as draft:
            yield draft
        return
    with locked_folder(folder), _draft(folder, folder) as draft:
        yield draft
        _settle(draft)
        goals = {path: folder / path.relative_to(draft) for path in sorted(draft.rglob("*"))}
        _check_kinds(goals, [folder / name for name in stale])
        for name in stale:
            remove(folder / name)
        for path, goal in goals.items():
            if path.is_dir():
                goal.mkdir(exist_ok=True)
            else:
                path.replace(goal)
        for path in (folder, *(folder / inner.name for inner in draft.iterdir())):
            sync(path)


def _check_kinds(goals: Mapping[Path, Path], stale: Sequence[Path]) -> None:
    """Refuses, before anything is moved, a folder where a file must go, or a file where a folder must."""
    for path, goal in goals.items():
        kept = goal.exists() and not any(goal.is_relative_to(old) for old in stale)
        if kept and path.is_dir() != goal.is_dir():
            what = "a folder where a file is written" if goal.is_dir() else "a file where a folder is written"
            raise InputError(f"{goal}: is {what}; remove it, or give another folder")


def remove(path: Path) -> None:
    """Removes a file, or a folder with everything in it, if it is there; of a link the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _draft(path: Path, parent: Path) -> Iterator[Path]:
    """A folder with a name of its own in `parent`, which is gone when the block ends."""
    draft = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=draft_prefix(path), suffix=".draft", dir=parent))
        draft.chmod(new_mode(0o777) | draft.stat().st_mode & stat.S_ISGID)
        yield draft
    except Exception as error:
        # What the block reads meanwhile, such as a model, may fail, too, and is not laid to what is written.
        reason = failure_of_writing(error)
        names = [str(name) for name in (getattr(error, "filename", None), getattr(error, "filename2", None)) if name]
        if reason is None and isinstance(error, OSError):
            ours = draft is None or any(Path(name).is_relative_to(place) for name in names for place in (draft, path))
            reason = error.strerror if ours else None
        if reason is None:
            raise
        raise InputError(f"{path}: could not be saved: {reason}") from error
    finally:
        if draft:
            shutil.rmtree(draft, ignore_errors=True)


def _settle(draft: Path) -> None:
    """Makes files last through a loss of power; safetensors, which writes for its owner alone, opens its to others."""
    for path in draft.rglob("*"):
        if path.suffix == ".safetensors":
            path.chmod(new_mode(0o666))
        sync(path)
    sync(draft)


@contextmanager
def locked_folder(folder: Path, name: str = "--output-dir") -> Iterator[None]:
    """Makes a folder, and keeps it for this process until the block ends, or the process.

    Drafts that a killed process left there are removed. What is made for the lock goes with it. A thread that has the
    folder already may enter again.

    Args:
        folder: may be absent.
        name: of the option, for the error.

    Raises:
        InputError: another process or thread has it, or it cannot be made.
    """
    check_is_folder(folder, name)
    mine = (get_ident(), folder.resolve())
    if mine in _HELD:
        yield
        return
    made = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _lock(folder, name)
    except OSError as error:
        raise InputError(f"{name}: {folder} cannot be written: {error.strerror}") from None
    _HELD.add(mine)
    try:
        for path in folder.iterdir():
            if ABANDONED.fullmatch(path.name):
                remove(path)
        yield
    finally:
        _HELD.discard(mine)
        (folder / LOCK).unlink(missing_ok=True)
        os.close(handle)
        with suppress(OSError):  # it holds something now
            for path in made:
                path.rmdir()


def _lock(folder: Path, name: str) -> int:
    """Opens the lock's file and locks it; a file system without locks lets everybody pass."""
    path = folder / LOCK
    while True:
        if path.is_symlink() or (path.exists() and not path.is_file()):  # a folder from elsewhere may bring anything
            raise InputError(f"{name}: {path} is no file of a run; remove it, or give another folder")
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(handle, 200).decode(errors="replace").strip() or "another run"
            os.close(handle)
            raise InputError(f"{name}: {folder} is in use by {owner}; give another folder") from None
        except OSError:
            return handle
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                os.ftruncate(handle, 0)
                os.write(handle, f"another run, process {os.getpid()} on {socket.gethostname()}\n".encode())
                return handle
        os.close(handle)  # its last owner has removed it in this moment
