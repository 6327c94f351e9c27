"""Folders in the cache, each made once for its key, however many processes ask for it at the same time.

A folder is made beside its place, synced and renamed, under a lock. It lists the size and the checksum of its files, so
that one that is damaged is made again.
"""

import fcntl
import json
import logging
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from hf_seq2seq.drafts import failure_of_writing, sync

logger = logging.getLogger(__name__)
LISTING = "contents.json"
READ_AT_A_TIME = 1 << 22  # bytes
Make = Callable[[Path], dict[str, Any]]


@dataclass(frozen=True)
class Kept:
    """A folder of the cache.

    Attributes:
        folder: its path.
        facts: what whoever made it noted.
    """

    folder: Path
    facts: dict[str, Any]


def made_once(kind: str, key: str, make: Make) -> Kept | None:
    """The folder of a key in `$HF_HOME/hf_seq2seq/KIND`; None, with a warning, if it cannot be written.

    Args:
        kind: names what the folders hold.
        key: everything that its files depend on, as a digest.
        make: fills an empty folder with files, and returns facts about them, as JSON can represent.
    """
    root = Path(constants.HF_HOME) / "hf_seq2seq" / kind
    if (kept := _whole(root / key)) is not None:
        return kept
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root / f"{key}.lock"):
            return _whole(root / key) or _made(root, key, make)
    except OSError as error:
        _tell(root.parent, failure_of_writing(error) or error.strerror or str(error))
        return None


@cache
def _tell(place: Path, reason: str) -> None:
    """Says once that nothing can be kept."""
    logger.warning("%s: %s; this run holds its rows in memory instead", place, reason)


def _made(root: Path, key: str, make: Make) -> Kept:
    prefix = f".{key}."
    for left in root.glob(f"{prefix}*"):  # by a process that was killed; a living one would hold the lock
        shutil.rmtree(left, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
    try:
        facts = make(draft)
        files = {path.name: [path.stat().st_size, _checksum(path)] for path in sorted(draft.iterdir())}
        (draft / LISTING).write_text(json.dumps({"files": files, "facts": facts}), encoding="utf-8")
        for path in (*draft.iterdir(), draft):
            sync(path)
        shutil.rmtree(root / key, ignore_errors=True)  # damaged
        draft.rename(root / key)
        sync(root)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Kept(root / key, facts)


def _whole(folder: Path) -> Kept | None:
    """The folder if all of its files are as they were written."""
    try:
        listing = json.loads((folder / LISTING).read_text(encoding="utf-8"))
        for name, (size, checksum) in listing["files"].items():
            if (folder / name).stat().st_size != size or _checksum(folder / name) != checksum:
                return None
        return Kept(folder, listing["facts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # absent or damaged
        return None


def _checksum(path: Path) -> int:
    found = 0
    with path.open("rb") as stream:
        while block := stream.read(READ_AT_A_TIME):
            found = zlib.crc32(block, found)
    return found


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Waits until no other process makes the same folder."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with suppress(OSError):  # a file system without locks: both make it, and one of them is kept
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
