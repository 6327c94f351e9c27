import io
from pathlib import Path

import pytest

from hf_seq2seq.data.files.text_files import Opened, lines, opened
from hf_seq2seq.errors import InputError


def read(path: str, encoding: str = "utf-8") -> list[str]:
    with opened(Path(path)) as file:
        return list(lines(file.lines(encoding)))


def test_a_line_ends_at_a_line_feed_and_nowhere_else(write):
    path = write("a.txt", "one\u2028still one\x85\x0c\ntwo\r\n\nfour")
    assert read(path) == ["one\u2028still one\x85\x0c", "two", "", "four"]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.xz", "a.txt.zst"])
def test_a_byte_order_mark_is_skipped(write, name):
    assert read(write(name, b"\xef\xbb\xbfeins\nzwei\n")) == ["eins", "zwei"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_other_encodings_are_read_when_named(write, encoding):
    assert read(write("a.txt", "Käse\nÖl\n".encode(encoding)), encoding) == ["Käse", "Öl"]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.xz", "a.txt.zst"])
def test_an_undecodable_byte_is_named_with_line_and_place_and_a_way_out(write, name):
    path = write(name, b"fine\n" * 5000 + b"K\xe4se\n")
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}:5001: byte 2 of the line, 0xE4, is not utf-8")
    assert "--encoding latin-1" in str(error.value)


def test_utf_16_is_recognised(write):
    with pytest.raises(InputError, match=r":1: .*--encoding utf-16"):
        read(write("a.txt", "Käse\n".encode("utf-16")))


def test_broken_utf_16_is_reported_without_a_line(write):
    with pytest.raises(InputError, match=r"a\.txt: is not utf-16 text"):
        read(write("a.txt", b"\xff\xfea\0b"), "utf-16")


@pytest.mark.parametrize(("wrong", "hint"), [("latin-11", "did you mean 'latin-1'"), ("base64", "choose from")])
def test_an_unknown_encoding_is_refused(write, wrong, hint):
    with pytest.raises(InputError, match=f"--encoding: unknown encoding '{wrong}'; {hint}"):
        read(write("a.txt", "a\n"), wrong)


@pytest.mark.parametrize("encoding", ["idna", "undefined"])
def test_an_encoding_of_names_is_refused(encoding, write):
    with pytest.raises(InputError, match=f"--encoding: '{encoding}' is not for texts"):
        read(write("a.txt", "a"), encoding)


def test_a_missing_file_names_the_nearest_one(write):
    path = write("train.de", "a\n")
    with pytest.raises(InputError) as error:
        read(path.replace("train", "trian"))
    assert str(error.value).endswith(f"trian.de: no such file; did you mean {path!r}?")


def test_a_folder_is_proposed_only_where_it_has_data(write, tmp_path):
    (tmp_path / "outputs").mkdir()
    for name in ("outputs.tsv", "output"):
        with pytest.raises(InputError, match=r"no such file$"):
            read(str(tmp_path / name))
    (tmp_path / "outputs" / "a.tsv").write_text("a\tb\n")
    with pytest.raises(InputError, match=r"did you mean '.*outputs'\?"):
        read(str(tmp_path / "output"))
    with pytest.raises(InputError, match=r"no such file$"):
        read(str(tmp_path / "outputs.tsv"))


def test_a_missing_folder_is_reported(tmp_path):
    with pytest.raises(InputError, match=r"x/a\.txt: no such file; there is no folder '.*x' either"):
        read(str(tmp_path / "x" / "a.txt"))


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read(str(tmp_path))


@pytest.mark.parametrize("damage", [lambda data: b"plain text", lambda data: data[: len(data) // 2]])
def test_a_damaged_gzip_file_is_refused(write, damage):
    path = Path(write("a.txt.gz", "".join(f"line {i}\n" for i in range(1000))))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"a\.txt\.gz: damaged gzip file"):
        read(str(path))


def test_a_stream_of_bytes_is_decoded_line_by_line():
    stream = io.BytesIO(b"\xef\xbb\xbfeins\n\xef\xbb\xbfzwei\nK\xe4se\n")
    read_lines = Opened(stream, "standard input").lines("utf-8")
    assert [next(read_lines), next(read_lines)] == ["eins\n", "\ufeffzwei\n"]
    with pytest.raises(InputError, match="standard input:3: byte 2 of the line, 0xE4"):
        next(read_lines)
