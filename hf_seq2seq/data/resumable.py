"""Files of JSON lines that take hours to make, block by block, and survive being killed.

What `ResumableFile` guarantees:

1. The file appears only once complete. Until then its lines are in `NAME.partial`, and `NAME.progress.json` says how
   many rows of the input they stand for; both are synced at every block.
2. After a kill, a full disk or a loss of power at any moment, the same command continues after the last block: nothing
   that is in the file is computed again, and at most one block is lost.
3. If the lines of a block depend only on its rows and their numbers, the file is byte for byte that of a run that was
   never interrupted, because the blocks are cut at the same rows.
4. It never continues with something else: other settings and other rows than those already done are rejected, as is a
   second writer of the same file.
"""

import fcntl
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from hf_seq2seq import strict_json
from hf_seq2seq.drafts import FULL, naming, open_draft, sync
from hf_seq2seq.errors import InputError, shorten

logger = logging.getLogger(__name__)
Item = TypeVar("Item")


class ResumableFile(Generic[Item]):
    """A context manager that writes such a file: `commit` the lines of each of its `blocks`.

    On success the file is renamed to its name; otherwise what is done is kept for the next run.

    Args:
        path: the file.
        settings: what its lines depend on besides the rows, as JSON can represent: flags, the model.
        block: input rows per block.
        flag: the flag that names the file, for errors.

    Attributes:
        done: input rows whose lines are in the file.
        state: what the last `commit` was given, such as counts; empty at the start.
        complete: whether all rows are done, even before the first block if a run was killed just after its last.

    Raises:
        InputError: the file cannot be written, is being written by another process, or was begun with other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], block: int, flag: str = "--output-file") -> None:
        self.path, self.block, self._flag = path, block, flag
        self.partial = path.with_name(f"{path.name}.partial")
        self.progress = path.with_name(f"{path.name}.progress.json")
        self._settings: dict[str, Any] = json.loads(json.dumps({**settings, "rows_per_block": block}))
        self._digest, self._pending = sha256(), 0
        if path.exists() and not path.is_file():
            raise InputError(f"{flag} {path}: is not a regular file, which could be continued after a kill")
        if self.partial.is_symlink() or (self.partial.exists() and not self.partial.is_file()):
            raise InputError(f"{flag} {path}: {self.partial} is a link or no regular file; delete it to start")
        before = self._read_progress()
        self.done: int = before.get("rows", 0)
        self.state: dict[str, Any] = before.get("state", {})
        self._rows_digest: str | None = before.get("digest")
        self.complete = bool(before.get("complete"))
        self._is_renamed = self.complete and not self.partial.exists()
        if self._is_renamed:
            return
        self._stream = self._open(before.get("bytes", 0))
        if before:
            logger.warning("%s: continuing after %d rows of the input", path, self.done)

    def blocks(self, rows: Iterable[Item]) -> Iterator[list[Item]]:
        """The rows that are still to be done, at most `block` at a time; `done` is the number of the first.

        Args:
            rows: all rows of the input, from the first.

        Raises:
            InputError: the rows done are not these.
        """
        if self._is_renamed:
            return
        remaining = iter(rows)
        for row in islice(remaining, self.done):
            self._add(row)
        if self._pending < self.done or (self.done and self._digest.hexdigest() != self._rows_digest):
            raise InputError(
                f"{self._flag} {self.path}: the first {self.done} rows of the input have changed since it was begun; "
                f"delete {self.partial} and {self.progress.name} to start again"
            )
        self._pending = 0
        while rows_of_block := list(islice(remaining, self.block)):
            for row in rows_of_block:
                self._add(row)
            yield rows_of_block
            assert not self._pending, "a block was not committed"

    def commit(self, lines: Iterable[str], state: Mapping[str, Any] | None = None) -> None:
        """Adds the lines of the last block, none or several per row and without line ends, and remembers a state.

        Raises:
            InputError: the disk is full.
        """
        before = (self.done, self.state, self._rows_digest)
        try:
            with naming(self.path):
                for line in lines:
                    self._stream.write(line.encode() + b"\n")
                self._stream.flush()
                os.fsync(self._stream.fileno())
                self.done, self._pending = self.done + self._pending, 0
                self.state = dict(state or {})
                self._rows_digest = self._digest.hexdigest()
                self._write_progress()
        except OSError as error:
            self.done, self.state, self._rows_digest = before
            raise self._refused(error) from None

    def __enter__(self) -> "ResumableFile[Item]":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._is_renamed:
            self.progress.unlink(missing_ok=True)
            return
        if kind is not None:
            self._leave()
            return
        with self._stream:
            self.complete = True
            self._write_progress()
            self.partial.replace(self.path)
            sync(self.path.parent)
            self.progress.unlink()

    def _leave(self) -> None:
        """Ends early: what is done is kept for the next run."""
        if self.done:
            logger.warning("%s: %d rows are done; the same command continues after them", self.path, self.done)
        else:
            self.partial.unlink()
        with suppress(OSError):  # what a full disk did not take is still in the buffer
            self._stream.close()

    def _add(self, row: Item) -> None:
        self._digest.update(json.dumps(row, default=str).encode() + b"\n")
        self._pending += 1

    def _read_progress(self) -> dict[str, Any]:
        """What an earlier run left; empty if there was none, or nothing of it was written."""
        if not self.progress.exists():
            return {}
        try:
            before = json.loads(self.progress.read_text(encoding="utf-8"))
            assert isinstance(before, dict)
            theirs = dict(before["settings"])
        except (OSError, ValueError, KeyError, TypeError, AssertionError):
            raise InputError(f"{self.progress}: is damaged; delete it and {self.partial.name} to start again") from None
        if not self.partial.exists() and not (before.get("complete") and self.path.exists()):
            raise InputError(f"{self.partial}: is missing; delete {self.progress.name} to start again")
        for name in dict.fromkeys([*theirs, *self._settings]):
            if theirs.get(name) != self._settings.get(name):
                was, now = (shorten(str(each.get(name))) for each in (theirs, self._settings))
                raise InputError(
                    f"{self._flag} {self.path}: was begun with {name.replace('_', ' ')} {was}, not {now}; "
                    f"delete {self.partial} and {self.progress.name} to start again"
                )
        return before

    def _open(self, size: int) -> BinaryIO:
        """The partial file, without what was written after the last commit."""
        try:
            with naming(self.path):
                stream = self.partial.open("ab")
                self._lock(stream)
                if self.partial.stat().st_size < size:
                    raise InputError(f"{self.partial}: is damaged; delete it and {self.progress.name} to start again")
                stream.truncate(size)
        except OSError as error:
            raise self._refused(error) from None
        return stream

    def _lock(self, stream: BinaryIO) -> None:
        """Locks the file for as long as it is open; another process may just have finished and renamed it."""
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(stream.fileno()), self.partial.stat()):
                return
        except (BlockingIOError, FileNotFoundError):
            pass
        raise InputError(f"{self._flag} {self.path}: is being written by another process")

    def _write_progress(self) -> None:
        found = {
            "settings": self._settings,
            "rows": self.done,
            "digest": self._rows_digest,
            "bytes": self._stream.tell(),
            "state": self.state,
            "complete": self.complete,
        }
        with open_draft(self.progress) as stream:
            stream.write(strict_json.dumps(found, ensure_ascii=True, indent=1) + "\n")

    def _refused(self, error: OSError) -> Exception:
        kept = f"; {self.done} rows are done, and the same command continues" if error.errno in FULL else ""
        return InputError(f"{self._flag} {self.path}: cannot be written: {error.strerror}{kept}")
