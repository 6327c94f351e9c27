"""Compressed files: gzip, xz and Zstandard, decompressed while they are read, never as a whole in memory."""

import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from hf_seq2seq.errors import InputError

NAMES = {".gz": "gzip", ".xz": "xz", ".zst": "zstd"}
"""The compression of each suffix."""
MAGIC = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
"""How a compressed file starts."""
SUFFIXES = ", ".join(NAMES)


def compression_of(start: bytes) -> str | None:
    """The compression of a file by its first bytes; None if it is not compressed."""
    return next((name for magic, name in MAGIC.items() if start.startswith(magic)), None)


def named_compression(path: Path) -> str | None:
    """The compression that a file's suffix names."""
    return NAMES.get(path.suffix.lower())


def bare_name(path: Path) -> str:
    """The file's name without the suffix of its compression."""
    return path.stem if named_compression(path) else path.name


def decompressed(stream: io.BufferedReader, compression: str) -> BinaryIO:
    """The bytes of a compressed stream; a Zstandard window above 128 MiB is an error, as in its own tool."""
    if compression == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    if compression == "xz":
        return cast(BinaryIO, lzma.LZMAFile(stream))
    import pyarrow as pa

    packed = pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")
    return cast(BinaryIO, io.BufferedReader(packed))


@contextmanager
def compressed(stream: BinaryIO, path: Path) -> Iterator[IO[bytes]]:
    """A stream that compresses what is written to it as the suffix of its file says; itself without such a suffix."""
    compression = named_compression(path)
    if compression is None:
        yield stream
        return
    with _compressor(stream, compression) as packed:
        yield packed


def _compressor(stream: BinaryIO, compression: str) -> Any:
    if compression == "gzip":
        return gzip.GzipFile("", "wb", fileobj=stream, mtime=0)
    if compression == "xz":
        return lzma.LZMAFile(stream, "wb")
    import pyarrow as pa

    return io.BufferedWriter(pa.CompressedOutputStream(pa.PythonFile(_Unclosed(stream), "w"), "zstd"))


class _Unclosed(io.RawIOBase):
    """A stream that stays open when its compressor is closed, as gzip's and xz's leave it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._stream.write(data)


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Errors of decompression as an `InputError` that names the file."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        raise InputError(f"{path}: damaged {named_compression(path) or 'compressed'} file: {error}") from error
    except OSError as error:
        if error.errno is None:  # Arrow's, of Zstandard
            raise InputError(f"{path}: damaged zstd file: {error}") from error
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
