"""Text files, plain or gzip: checked before they are opened, decoded strictly, with the place where that fails."""

import codecs
import difflib
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from hf_seq2seq.errors import InputError, nearest

ENCODINGS = ("utf-8", "utf-16", "latin-1", "cp1252", "cp1251", "iso8859-15", "shift_jis", "gb18030", "big5", "euc-kr")


def check_file(path: Path) -> None:
    """Refuses a path that is no file, with the nearest name in its folder.

    Raises:
        InputError: there is no such file, or it is a folder.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a file")
    if path.exists():
        return
    if not path.parent.is_dir():
        raise InputError(f"{path}: no such file; there is no folder {str(path.parent)!r} either")
    names = sorted(entry.name for entry in path.parent.iterdir())
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    raise InputError(f"{path}: no such file" + (f"; did you mean {str(path.with_name(close[0]))!r}?" if close else ""))


def bare_name(path: Path) -> str:
    """The file's name without `.gz`."""
    return path.name.removesuffix(".gz")


def open_bytes(path: Path) -> BinaryIO:
    """Opens a file that `check_file` lets through; gzip is undone where the name ends in `.gz`."""
    check_file(path)
    try:
        return cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


@contextmanager
def open_text(path: Path, encoding: str, newline: str = "\n") -> Iterator[TextIO]:
    """Opens a text file; what goes wrong while it is read inside the `with` becomes an `InputError`.

    Args:
        path: the file, `.gz` or not.
        encoding: how it is encoded; a byte order mark of UTF-8 is skipped.
        newline: as for `open`; by default a line ends at a line feed and nowhere else.

    Raises:
        InputError: no such file, unknown encoding, bytes that are not of this encoding, a damaged gzip file.
    """
    with open_bytes(path) as stream:
        try:
            yield io.TextIOWrapper(stream, encoding=text_encoding(encoding), newline=newline)
        except UnicodeError as error:
            raise InputError(_undecodable(path, encoding)) from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"{path}: damaged gzip file: {error}") from error


def text_encoding(encoding: str) -> str:
    """The codec that a name means; that of UTF-8 skips a byte order mark.

    Raises:
        InputError: Python knows no such text encoding.
    """
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)
        return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    except LookupError as error:
        raise InputError(f"--encoding: unknown encoding {encoding!r}{nearest(encoding, ENCODINGS)}") from error


def lines(stream: Iterable[str]) -> Iterator[str]:
    """The lines of a stream without their ends, a line feed or a carriage return and a line feed."""
    for line in stream:
        yield line.removesuffix("\n").removesuffix("\r")


def decoded_lines(stream: BinaryIO, place: str, encoding: str) -> Iterator[str]:
    """The lines of an open stream of bytes, which cannot be read twice; `place` names it in errors.

    Raises:
        InputError: bytes that are not of this encoding.
    """
    codec = text_encoding(encoding)
    for number, line in enumerate(stream, 1):
        try:
            # Past the first line the mark is a character of the text.
            yield line.decode(codec if number == 1 else encoding)
        except UnicodeDecodeError as error:
            raise InputError(_bad_byte(f"{place}:{number}", encoding, line, error)) from error


def _undecodable(path: Path, encoding: str) -> str:
    """Says which byte of which line does not decode; reads the file again to find it."""
    if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        return f"{path}: is not {encoding} text; name its encoding by --encoding"
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, 1):
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return f"{path}:1: byte 1 is a mark of UTF-16, not {encoding}; add --encoding utf-16"
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                return _bad_byte(f"{path}:{number}", encoding, line, error)
    return f"{path}: is not {encoding} text; name its encoding by --encoding"


def _bad_byte(place: str, encoding: str, line: bytes, error: UnicodeDecodeError) -> str:
    other = "latin-1" if codecs.lookup(encoding).name == "utf-8" else "utf-8"
    byte = f"byte {error.start + 1} of the line, 0x{line[error.start]:02X}, is not {encoding}"
    return f"{place}: {byte}; if the text is in another encoding, name it, for example --encoding {other}"
