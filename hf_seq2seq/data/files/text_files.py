"""Text files, plain or compressed: checked before opening and decoded strictly, with the place of errors."""

import codecs
import difflib
import io
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

from hf_seq2seq.data.files.compression import compression_of, damage_told, decompressed, named_compression
from hf_seq2seq.data.files.forms import named_form
from hf_seq2seq.data.files.other_formats import refuse_other_formats
from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.folders import check_link

ENCODINGS = ("utf-8", "utf-16", "latin-1", "cp1252", "cp1251", "iso8859-15", "shift_jis", "gb18030", "big5", "euc-kr")
# Bytes of a file's first line to inspect.
LOOK_AT = 1 << 16
PATIENCE = 1.0
"""Seconds for which a pipe is waited for in silence."""


def check_file(path: Path) -> None:
    """Rejects a path that is not a file, naming the nearest one in its folder.

    Raises:
        InputError: there is no such file, or it is a folder.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a file")
    if path.exists():
        return
    check_link(path)
    if not path.parent.is_dir():
        raise InputError(f"{path}: no such file; there is no folder {str(path.parent)!r} either")
    names = sorted(entry.name for entry in path.parent.iterdir() if _may_be_meant(path, entry))
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.65)
    raise InputError(f"{path}: no such file" + (f"; did you mean {str(path.with_name(close[0]))!r}?" if close else ""))


def _may_be_meant(path: Path, entry: Path) -> bool:
    """Whether a path that is not there may be this one: a file, or for a path without a suffix a folder of data."""
    if not entry.is_dir():
        return True
    return not path.suffix and os.access(entry, os.R_OK | os.X_OK) and any(map(named_form, entry.iterdir()))


class Opened:
    """A file that is opened once: bytes inspected in advance are read again, so that a pipe loses nothing.

    Args:
        stream: its bytes.
        place: its name in messages.

    Attributes:
        start: its first line, or as much of it as is inspected.
        compressed: whether it is gzip, xz or Zstandard, which is decompressed.
    """

    def __init__(self, stream: BinaryIO, place: str) -> None:
        self.place = place
        self.start = stream.readline(LOOK_AT)
        self._stream = stream
        compression = compression_of(self.start)
        self.compressed = compression is not None
        if compression:
            self._stream = decompressed(self.raw(), compression)
            self.start = self._stream.readline(LOOK_AT)

    def raw(self) -> io.BufferedReader:
        """All bytes, from the start; can be called once."""
        return io.BufferedReader(_Resumed(self.start, self._stream))

    def lines(self, encoding: str) -> Iterator[str]:
        """All lines with their line breaks, each as soon as it can be read; can be called once.

        A line ends at a line feed; if the start has carriage returns but no line feed, at a carriage return.

        Raises:
            InputError: the encoding is unknown, or bytes are invalid in it.
        """
        codec = text_encoding(encoding)
        wide = "\n".encode(encoding).removeprefix(codecs.BOM_UTF8) != b"\n"
        ending = "\r" if _is_mac(self.start.decode(codec, "ignore")) else "\n"
        if wide:
            return self._wide_lines(encoding, ending)
        return decoded_lines(self._byte_lines(ending), self.place, encoding)

    def text(self, encoding: str) -> str:
        """The whole text; can be called once."""
        return "".join(self.lines(encoding))

    def _byte_lines(self, ending: str) -> Iterator[bytes]:
        if ending == "\r":
            # In Latin-1 every byte is a character.
            return (line.encode("latin-1") for line in io.TextIOWrapper(self.raw(), "latin-1", newline=ending))
        first = self.start if self.start.endswith(b"\n") else self.start + self._stream.readline()
        return chain([first] if first else [], self._stream)

    def _wide_lines(self, encoding: str, ending: str) -> Iterator[str]:
        """Lines whose line breaks are not ASCII bytes, as in UTF-16."""
        try:
            yield from io.TextIOWrapper(self.raw(), encoding, newline=ending)
        except UnicodeError as error:
            raise InputError(f"{self.place}: is not {encoding} text; name its encoding by --encoding") from error


class _Resumed(io.RawIOBase):
    """A stream including its start, which was already read."""

    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        self._start, self._stream = start, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._start[: len(buffer)] or cast(io.BufferedIOBase, self._stream).read1(len(buffer))
        self._start = self._start[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)


def _is_mac(start: str) -> bool:
    """Whether lines end in carriage returns only; one at the very end may belong to a line feed."""
    return "\r" in start[:-1] and "\n" not in start


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Opens a file, compressed or not; errors while reading inside the `with` become an `InputError`.

    Raises:
        InputError: there is no such file, it may not be read, it is a damaged compressed file, or a document or
            picture of another program.
    """
    check_file(path)
    with damage_told(path), ExitStack() as stack:
        with _told_when_waiting(path):
            stream = stack.enter_context(path.open("rb"))
            file = Opened(stream, str(path))
        refuse_other_formats(file.start, path)
        if (named := named_compression(path)) and file.start and not file.compressed:
            raise InputError(f"{path}: damaged {named} file: it is not compressed")
        yield file


@contextmanager
def _told_when_waiting(path: Path) -> Iterator[None]:
    """Says so when a pipe is waited for, which nothing may ever write to."""
    if path.is_file():
        yield
        return
    said = f"waiting for a program to write to {path}, which is a pipe"
    timer = threading.Timer(PATIENCE, print, [said], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def text_encoding(encoding: str) -> str:
    """The codec of a name; that of UTF-8 skips a byte order mark.

    Raises:
        InputError: Python has no such text encoding, or it is one of names rather than of texts, such as `idna`.
    """
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)
        b"a\xff".decode(encoding, "ignore")
        return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    except LookupError as error:
        raise InputError(f"--encoding: unknown encoding {encoding!r}{nearest(encoding, ENCODINGS)}") from error
    except UnicodeError as error:
        raise InputError(f"--encoding: {encoding!r} is not for texts; files are usually utf-8") from error


def lines(stream: Iterable[str]) -> Iterator[str]:
    """The lines of a stream without their line breaks, LF or CRLF."""
    for line in stream:
        yield line.removesuffix("\n").removesuffix("\r")


def decoded_lines(stream: Iterable[bytes], place: str, encoding: str) -> Iterator[str]:
    """Decodes lines of bytes; `place` is the name of their file in errors.

    Raises:
        InputError: bytes are invalid in this encoding.
    """
    codec = text_encoding(encoding)
    for number, line in enumerate(stream, 1):
        try:
            # After the first line the mark is a character of the text.
            yield line.decode(codec if number == 1 else encoding)
        except UnicodeDecodeError as error:
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                detail = f"{place}:1: byte 1 is a byte order mark of UTF-16, not {encoding}; add --encoding utf-16"
                raise InputError(detail) from error
            raise InputError(_bad_byte(f"{place}:{number}", encoding, line, error)) from error


def _bad_byte(place: str, encoding: str, line: bytes, error: UnicodeDecodeError) -> str:
    other = "latin-1" if codecs.lookup(encoding).name == "utf-8" else "utf-8"
    byte = f"byte {error.start + 1} of the line, 0x{line[error.start]:02X}, is not {encoding}"
    return f"{place}: {byte}; if the text is in another encoding, name it, for example --encoding {other}"
