"""Files of other programs, recognized by how they start, whatever they are named."""

import zipfile
from pathlib import Path

from hf_seq2seq.errors import InputError

SIGNATURES = {
    b"%PDF-": "a PDF document",
    b"\x89PNG\r\n": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF87a": "a GIF picture",
    b"GIF89a": "a GIF picture",
    b"{\\rtf1": "a rich text document",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "a document of an old version of Office, such as .xls or .doc",
    b"SQLite format 3\0": "a database of SQLite",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
}
ARCHIVE = "a zip archive"
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
MEMBERS = {
    "xl/": "an Excel workbook",
    "word/": "a Word document",
    "ppt/": "PowerPoint slides",
    "content.xml": "an OpenDocument file",
}
"""What a zip archive is that has a member whose name starts so."""
HINTS = {
    "workbook": "save its sheet as CSV",
    "Office": "save a sheet as CSV, or a text as plain text",
    "OpenDocument": "save a sheet as CSV, or a text as plain text",
    "database": "export a table as CSV",
    "archive": "unpack it first",
    "picture": "give a file of texts",
}


def refuse_other_formats(start: bytes, path: Path) -> None:
    """Rejects a file of a format that holds no lines or rows to read.

    Args:
        start: its first bytes.
        path: the file.

    Raises:
        InputError: says what it is, and what to do with it.
    """
    kind = next((kind for signature, kind in SIGNATURES.items() if start.startswith(signature)), None)
    if start.startswith(ZIP):
        kind = _zipped(path)
    if kind is not None:
        hint = next((hint for word, hint in HINTS.items() if word in kind), "save it as plain text")
        raise InputError(f"{path}: is {kind}, not a file of rows or lines; {hint}")


def _zipped(path: Path) -> str:
    """What is in a zip archive, which may be a pipe, or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        return ARCHIVE
    return next((kind for member, kind in MEMBERS.items() if any(n.startswith(member) for n in names)), ARCHIVE)
