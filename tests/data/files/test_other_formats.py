"""Paths that hold no texts: files of other programs, links that lead nowhere, pipes that nothing writes to."""

import io
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_seq2seq.data.files import text_files
from hf_seq2seq.data.files.readers import iterate_rows, read_table
from hf_seq2seq.errors import InputError


def zipped(*members: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for member in members:
            archive.writestr(zipfile.ZipInfo(member), "x")  # of a fixed date: the bytes name the tests
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            zipped("[Content_Types].xml", "xl/workbook.xml"),
            "is an Excel workbook, not a file of .*; save its sheet as CSV",
        ),
        (zipped("[Content_Types].xml", "word/document.xml"), "is a Word document, .*; save it as plain text"),
        (
            zipped("mimetype", "content.xml"),
            "is an OpenDocument file, .*; save a sheet as CSV, or a text as plain text",
        ),
        (zipped("a.tsv"), "is a zip archive, .*; unpack it first"),
        (zipped("a.tsv")[:40], "is a zip archive, .*; unpack it first"),
        (b"%PDF-1.7\nsome\n", "is a PDF document, .*; save it as plain text"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is a PNG picture, .*; give a file of texts"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "is a JPEG picture, "),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", r"is a document of an old version of Office, such as \.xls"),
    ],
)
@pytest.mark.parametrize("name", ["rows", "rows.tsv", "rows.txt"])
def test_files_of_other_programs(write: Callable[..., str], name: str, content: bytes, message: str) -> None:
    path = write(name, content)
    for read in (lambda: read_table((Path(path),)), lambda: list(iterate_rows(path))):
        with pytest.raises(InputError, match=message) as error:
            read()
        assert str(error.value).startswith(path)
        assert "\n" not in str(error.value)


def test_texts_that_begin_alike_are_read(write: Callable[..., str]) -> None:
    lines = ["PK is a name", "%PDF is a name", "GIF, too", "{\\rtf"]
    assert [row["text"] for row in iterate_rows(write("rows.txt", "\n".join(lines)))] == lines


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "gone.tsv").symlink_to("elsewhere.tsv")
    (tmp_path / "one.tsv").symlink_to("two.tsv")
    (tmp_path / "two.tsv").symlink_to("one.tsv")
    for name, message in (
        ("gone.tsv", r"gone\.tsv: is a symbolic link to 'elsewhere\.tsv', which is not there$"),
        ("one.tsv", r"one\.tsv: is a symbolic link that leads back to itself$"),
    ):
        with pytest.raises(InputError, match=message):
            list(iterate_rows(tmp_path / name))
        with pytest.raises(InputError, match=message):
            read_table((tmp_path / name,))


def test_a_pipe_without_a_writer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(text_files, "PATIENCE", 0.05)
    os.mkfifo(tmp_path / "rows")
    writer = threading.Timer(0.3, (tmp_path / "rows").write_bytes, [b"a\n"])
    writer.start()
    assert list(iterate_rows(tmp_path / "rows")) == [{"text": "a"}]
    assert capsys.readouterr().err == f"waiting for a program to write to {tmp_path / 'rows'}, which is a pipe\n"
    writer.join()
