"""Output folders: checked in advance, locked during a run, written atomically."""

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
"""The lock file of a folder to which a run writes; it is removed at the end, unless the run is killed."""
ABANDONED = re.compile(r"\..+\.[a-z0-9_]{8}\.draft")
"""Pattern of drafts left by a killed process."""
_HELD: set[tuple[int, Path]] = set()
"""The folders locked by this process, each with the locking thread."""


def named_place(word: str) -> tuple[str | None, str]:
    """The name and the place of a word `NAME=PLACE`; no name where it has none, or is itself a path that exists."""
    name, equals, place = word.partition("=")
    return (None, word) if not equals or is_path(word) else (name, place)


def is_path(word: str) -> bool:
    """Whether a path exists; a word that is too long to be one does not."""
    return os.path.exists(Path(word).expanduser())  # noqa: PTH110 - Path.exists raises for a name that is too long


def check_link(path: Path) -> None:
    """Rejects a symbolic link that leads nowhere.

    Raises:
        InputError: names where it leads.
    """
    if not path.is_symlink() or path.exists():
        return
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(f"{path}: is a symbolic link that leads back to itself") from None
    raise InputError(f"{path}: is a symbolic link to {str(path.readlink())!r}, which is not there")


def check_is_folder(folder: Path, name: str = "--output-dir") -> None:
    """Rejects a path that is not and cannot become a folder.

    Args:
        folder: may not exist.
        name: name of the option, for the error.

    Raises:
        InputError: it is a file, is below one, or is in a folder that is not writable.
    """
    try:
        if folder.is_symlink() and not folder.exists():
            raise InputError(f"{name}: {folder} is a broken link")
        place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not place.is_dir():
            raise InputError(f"{name}: {place} is a file")
        if not os.access(place, os.W_OK | os.X_OK):
            why = errno.EROFS if os.statvfs(place).f_flag & os.ST_RDONLY else errno.EACCES
            raise InputError(f"{name}: {place} cannot be written: {os.strerror(why)}")
    except OSError as error:  # such as a name that is too long
        raise InputError(f"{name}: {folder} cannot be written: {error.strerror}") from None
    if "\0" in str(folder):
        raise InputError(f"{name}: {str(folder)!r} cannot be the name of a folder")


def check_folder(folder: Path, overwrite: bool, read: Sequence[Path] = (), writes: Sequence[str] = ()) -> None:
    """Rejects an `--output-dir` in which something would be lost.

    Args:
        folder: may not exist.
        overwrite: whether it may be non-empty; files that are not written are kept.
        read: files and folders that the command reads; no such folder may be in the target.
        writes: names of the files that the command writes, none of which may be an input.

    Raises:
        InputError: names the folder.
    """
    check_is_folder(folder)
    for path in (path for path in read if path.exists()):
        inside = path.is_dir() and path.resolve().is_relative_to(folder.resolve())
        if inside or any((folder / name).exists() and path.samefile(folder / name) for name in writes):
            raise InputError(f"--output-dir: {folder} contains the input {path}; give another folder")
    if not overwrite and not is_free(folder):
        raise InputError(f"--output-dir: {folder} is not empty; give --overwrite-output-dir or another folder")


def is_free(folder: Path) -> bool:
    """Whether a folder is missing or empty, but for what a killed process left; a broken link is neither."""
    if folder.is_dir():
        return all(path.name == LOCK or ABANDONED.fullmatch(path.name) for path in folder.iterdir())
    return not (folder.exists() or folder.is_symlink())


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a folder to write to, which replaces `path` and its contents when the block succeeds.

    Raises:
        InputError: the files could not be written (no space left, no permission); `path` is unchanged.
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
    """Yields a folder to write to, whose files are moved to `folder` when the block succeeds; its other files are kept.

    Args:
        folder: may not exist.
        stale: names in `folder` to remove in any case: files of an earlier writer must not be read with the new ones.

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
    """Rejects a folder in place of a file, or a file in place of a folder, before anything is moved."""
    for path, goal in goals.items():
        kept = goal.exists() and not any(goal.is_relative_to(old) for old in stale)
        if kept and path.is_dir() != goal.is_dir():
            what = "a folder in place of a file" if goal.is_dir() else "a file in place of a folder"
            raise InputError(f"{goal}: is {what}; remove it, or give another folder")


def remove(path: Path) -> None:
    """Removes a file, or a folder with its contents, if it exists; of a link, only the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _draft(path: Path, parent: Path) -> Iterator[Path]:
    """A uniquely named folder in `parent`, which is removed when the block ends."""
    draft = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=draft_prefix(path), suffix=".draft", dir=parent))
        draft.chmod(new_mode(0o777) | draft.stat().st_mode & stat.S_ISGID)
        yield draft
    except Exception as error:
        # Something that the block reads, such as a model, may also fail, which is not an error of writing.
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
    """Syncs files to survive a loss of power, and makes safetensors files, written for the owner only, readable."""
    for path in draft.rglob("*"):
        if path.suffix == ".safetensors":
            path.chmod(new_mode(0o666))
        sync(path)
    sync(draft)


@contextmanager
def locked_folder(folder: Path, name: str = "--output-dir") -> Iterator[None]:
    """Creates a folder and locks it for this process until the block, or the process, ends.

    Drafts left by a killed process are removed. Whatever is created for the lock is removed with it. The lock is
    reentrant within a thread.

    Args:
        folder: may not exist.
        name: name of the option, for the error.

    Raises:
        InputError: another process or thread has it, or it cannot be created.
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
        with suppress(OSError):  # it is not empty any more
            for path in made:
                path.rmdir()


def _lock(folder: Path, name: str) -> int:
    """Opens and locks the lock file; on a file system without locks, succeeds without locking."""
    path = folder / LOCK
    while True:
        if path.is_symlink() or (path.exists() and not path.is_file()):  # a folder from elsewhere may contain anything
            raise InputError(f"{name}: {path} is not a file of a run; remove it, or give another folder")
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
        os.close(handle)  # its last owner has just removed it


def empty(folder: Path) -> None:
    """Removes all that is in a folder, besides the lock of `locked_folder`."""
    for path in folder.iterdir():
        if path.name != LOCK:
            remove(path)
