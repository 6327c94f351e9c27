"""Atomic file writes: written to a temporary file, synced, and renamed once complete."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers that mean that nothing more can be written."""


@contextmanager
def open_draft(path: Path) -> Iterator[TextIO]:
    """Yields a UTF-8 stream whose text replaces the file when the block succeeds.

    A link keeps pointing to its file, and a replaced file's mode is preserved. Anything but a regular file, such as a
    named pipe or a device, is written to directly. Each draft has a unique name, so that two writers of one file do not
    interfere.

    Raises:
        OSError: the file cannot be written; it is unchanged.
    """
    with naming(path), _open_draft(path) as stream:
        yield stream


@contextmanager
def _open_draft(path: Path) -> Iterator[TextIO]:
    target = Path(os.path.realpath(path))  # Path.resolve raises RuntimeError for circular links
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    if path.exists() and not path.is_file():  # of a pipe as standard output, the link in /dev has no target to open
        with path.open("w", encoding="utf-8", newline="\n") as stream:
            yield stream
        return
    with _new_draft(target, path) as handle, open(handle, "w", encoding="utf-8", newline="\n") as stream:  # noqa: PTH123
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def write_together(texts: Mapping[Path, str]) -> None:
    """Writes several files, none of which is replaced before all are written.

    Raises:
        OSError: a file cannot be written; all are unchanged.
    """
    with ExitStack() as drafts:
        for path in texts:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        for path, text in texts.items():
            with naming(path):
                handle = drafts.enter_context(_new_draft(Path(os.path.realpath(path)), path))
                with open(handle, "w", encoding="utf-8", newline="\n") as stream:  # noqa: PTH123 - an open file has no path
                    stream.write(text)
                    stream.flush()
                    os.fsync(stream.fileno())


@contextmanager
def _new_draft(target: Path, path: Path) -> Iterator[int]:
    """Yields an open draft beside `target`, which it replaces when the block succeeds; errors name `path`."""
    try:
        handle, name = tempfile.mkstemp(prefix=draft_prefix(target), suffix=".draft", dir=target.parent)
    except OSError as error:
        error.filename = str(path)
        raise
    draft = Path(name)
    try:
        draft.chmod(stat.S_IMODE(target.stat().st_mode) if target.exists() else new_mode(0o666))
        yield handle
        draft.replace(target)
        sync(target.parent)
    finally:
        draft.unlink(missing_ok=True)


def draft_prefix(path: Path) -> str:
    """The start of a draft's name, short enough for the whole name to fit wherever the path's own does."""
    return f".{os.fsencode(path.name)[:100].decode('utf-8', 'ignore')}."


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds the name of the file being written to a disk-full error, which has none."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            error.filename = str(path)
        raise


def failure_of_writing(error: Exception) -> str | None:
    """Why nothing more could be written, if an exception says so.

    Libraries in other languages only say it in their message.
    """
    if isinstance(error, OSError) and error.errno in FULL:
        return os.strerror(error.errno)
    return next((text for text in map(os.strerror, FULL) if text in str(error)), None)


def sync(path: Path) -> None:
    """Syncs a file or folder to survive a loss of power, if the file system supports it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def new_mode(most: int) -> int:
    """The permissions left by the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return most & ~mask
