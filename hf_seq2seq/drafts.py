"""Files that appear whole: written beside their place, synced, and renamed when all is written."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO


@contextmanager
def open_draft(path: Path) -> Iterator[TextIO]:
    """Gives a UTF-8 stream whose text takes the file's place when the block ends well.

    A link keeps pointing to its file, and a file that is replaced hands its mode on. What is not a regular file, such
    as a named pipe or a device, is written to directly. Each draft has a name of its own, so that two writers of one
    file do not meet.

    Raises:
        OSError: the file cannot be written; it is as it was.
    """
    target = Path(os.path.realpath(path))  # Path.resolve raises RuntimeError for links in a circle
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        with target.open("w", encoding="utf-8", newline="\n") as stream:
            yield stream
        return
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".draft", dir=target.parent)
    draft = Path(name)
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as stream:  # noqa: PTH123 - an open file has no path
            draft.chmod(stat.S_IMODE(target.stat().st_mode) if target.exists() else new_file_mode())
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(target)
        sync_folder(target.parent)
    finally:
        draft.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last through a loss of power, where its file system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def new_file_mode() -> int:
    """The mode that a new file gets from the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask
