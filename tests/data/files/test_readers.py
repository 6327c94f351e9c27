import gzip
import io
import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from hf_seq2seq.data.columns.headers import Header
from hf_seq2seq.data.files.readers import iterate_rows, read_table
from hf_seq2seq.errors import InputError

ROWS = [{"source": "a", "target": "b"}, {"source": "c", "target": "ü"}]
CONTENT = {
    "a.csv": "source,target\na,b\nc,ü\n",
    "a.tsv": "source\ttarget\na\tb\nc\tü\n",
    "a.json": '[{"source": "a", "target": "b"}, {"source": "c", "target": "ü"}]',
    "a.jsonl": '{"source": "a", "target": "b"}\n{"source": "c", "target": "ü"}\n',
    "a.pairs": "source\ttarget\na\tb\nc\tü\n",
}


def both_ways(path: str, **options) -> list[dict]:
    """The rows of a file, which are the same whether it is read whole or streamed."""
    whole = read_table((Path(path),), **options).arrow.to_pylist()
    assert list(iterate_rows(path, **options)) == whole
    return whole


@pytest.mark.parametrize("ending", ["", ".gz", ".xz", ".zst"])
@pytest.mark.parametrize("name", CONTENT)
def test_text_formats(write, name, ending):
    assert both_ways(write(name + ending, CONTENT[name])) == ROWS


def test_parquet_and_arrow(tmp_path):
    table = pa.Table.from_pylist([{"source": "a", "when": date(2020, 1, 2), "n": [1, None]}])
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    pa.feather.write_feather(table, tmp_path / "file.arrow")
    with pa.ipc.new_stream(tmp_path / "stream.arrow", table.schema) as stream:
        stream.write_table(table)
    for name in ("a.parquet", "file.arrow", "stream.arrow"):
        assert both_ways(str(tmp_path / name)) == table.to_pylist()


def test_plain_lines_keep_blank_ones(write):
    assert both_ways(write("a.txt", "one\n\n two\t2 \n")) == [{"text": "one"}, {"text": ""}, {"text": " two\t2 "}]


def test_numbered_columns_split_any_text_at_tabs(write):
    for name in ("a.txt", "a.tsv", "a-train-high"):
        assert both_ways(write(name, "a\tb b\nc\td\n"), header=Header(False)) == [
            {"1": "a", "2": "b b"},
            {"1": "c", "2": "d"},
        ]


def test_parallel_files_are_streamed_by_their_names(write):
    value = ",".join([write("t.de", "eins\nzwei\n"), write("t.en", "one\ntwo\n")])
    assert list(iterate_rows(value)) == [{"de": "eins", "en": "one"}, {"de": "zwei", "en": "two"}]


def test_another_encoding(write):
    assert both_ways(write("a.csv", "source,target\nKäse,ö\n".encode("cp1252")), encoding="cp1252") == [
        {"source": "Käse", "target": "ö"}
    ]


def test_a_changed_file_is_read_again(write):
    for content in ("a", "b"):
        assert both_ways(write("a.csv", f"source,target\n{content},x\n"))[0]["source"] == content


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv", "a.jsonl"])
def test_rows_come_before_the_file_ends(write, name):
    good = {"a.txt": "a\n", "a.csv": "text\na\n", "a.tsv": "text\na\n", "a.jsonl": '{"text": "a"}\n'}[name]
    path = write(name, good.encode() + b" " * 100_000 + b"\n\xff\n")
    rows = iterate_rows(path)
    assert next(rows) == {"text": "a"}
    with pytest.raises(InputError, match=r":\d+: byte"):
        list(rows)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", ""),
        ("a.csv", "source,target\n"),
        ("a.json", "[]"),
        ("a.jsonl", "\n"),
        ("a.json", ""),
        ("a.tsv.gz", "text\n"),
    ],
)
def test_a_file_without_rows_is_refused(write, name, content):
    with pytest.raises(InputError, match=rf"{name}: has no rows"):
        read_table((Path(write(name, content)),))


def test_a_table_without_rows_is_refused(tmp_path):
    pa.parquet.write_table(pa.table({"source": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="has no rows"):
        read_table((tmp_path / "a.parquet",))


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_a_file_of_another_format_is_refused(write, name):
    with pytest.raises(InputError, match=rf"{name}: not a readable \w+ file"):
        list(iterate_rows(write(name, "source,target\na,b\n")))


def test_a_parquet_file_cut_short_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"source": ["a"] * 100}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"a\.parquet: not a readable parquet file"):
        read_table((path,))


def test_an_unknown_binary_format_is_refused_with_the_known_ones(write):
    with pytest.raises(InputError, match=r"a\.bin: unknown format; supported are \.csv, .*\.parquet"):
        list(iterate_rows(write("a.bin", b"\x03\x04\0\0")))


class Input(io.TextIOWrapper):
    """A stream as `sys.stdin` is: text over bytes."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="ascii")


def test_standard_input_holds_lines_or_objects():
    assert list(iterate_rows(Input("\ufeffKäse\r\n\nb".encode()))) == [{"text": "Käse"}, {"text": ""}, {"text": "b"}]
    assert list(iterate_rows(Input(b'{"a": 1}\n'), form="jsonl")) == [{"a": 1}]
    assert list(iterate_rows(io.StringIO("a\nb\n"))) == [{"text": "a"}, {"text": "b"}]


def test_standard_input_is_decoded_as_configured_and_checked():
    assert list(iterate_rows(Input(b"K\xe4se\n"), encoding="latin-1")) == [{"text": "Käse"}]
    with pytest.raises(InputError, match="standard input:2: byte 1 of the line, 0xE4"):
        list(iterate_rows(Input(b"a\n\xe4\n")))
    with pytest.raises(InputError, match="standard input:1:2: broken JSON"):
        list(iterate_rows(Input(b"{\n"), form="jsonl"))


class Endless(io.RawIOBase):
    """A producer that writes a line at a time, and of whom no more is asked than is needed."""

    asked = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        line = f"{self.asked}\n".encode()
        self.asked += 1
        buffer[: len(line)] = line
        return len(line)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_standard_input_is_read_no_further_than_asked(encoding):
    raw = Endless()
    stream = io.TextIOWrapper(io.BufferedReader(raw))
    rows = iterate_rows(stream, encoding)
    for number in range(5):
        assert next(rows) == {"text": str(number)}
        assert raw.asked == number + 1


def test_standard_input_in_utf_16():
    assert list(iterate_rows(Input("Käse\r\n\nĊb".encode("utf-16")), "utf-16")) == [
        {"text": "Käse"},
        {"text": ""},
        {"text": "Ċb"},
    ]
    assert list(iterate_rows(Input("ab\n".encode("utf-16-le")), "utf-16-le")) == [{"text": "ab"}]
    with pytest.raises(InputError, match=r"standard input:1: .*--encoding utf-16"):
        list(iterate_rows(Input("Käse\n".encode("utf-16"))))
    with pytest.raises(InputError, match="standard input: is not utf-16 text"):
        list(iterate_rows(Input(b"\xff\xfea\0b"), "utf-16"))


LONG = [{"text": f"row {number} " + "x" * 90} for number in range(3000)]
PIPED = {
    "lines": "".join(f"{row['text']}\n" for row in LONG),
    "nameless-jsonl": "".join(json.dumps(row) + "\n" for row in LONG),
    "rows.jsonl": "".join(json.dumps(row) + "\n" for row in LONG),
    "rows.json": json.dumps(LONG),
    "lines.json": "".join(json.dumps(row) + "\n" for row in LONG),
    "rows.csv": "id,text\n" + "".join(f"{i},{row['text']}\n" for i, row in enumerate(LONG)),
    "rows.tsv": "id\ttext\n" + "".join(f"{i}\t{row['text']}\n" for i, row in enumerate(LONG)),
    "nameless-tsv": "id\ttext\n" + "".join(f"{i}\t{row['text']}\n" for i, row in enumerate(LONG)),
}


@pytest.mark.parametrize("name", PIPED)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_pipe_is_read_from_its_start(pipe, name, compressed):
    content = PIPED[name].encode()
    content = gzip.compress(content) if compressed else content
    assert [row["text"] for row in iterate_rows(pipe(name, content))] == [row["text"] for row in LONG]
    table = read_table((Path(pipe(name + "2" if "." not in name else "again." + name, content)),)).arrow
    assert table.column("text").to_pylist() == [row["text"] for row in LONG]


@pytest.mark.parametrize("name", ["a.parquet", "nameless"])
def test_a_table_comes_through_a_pipe(pipe, name):
    table, out = pa.Table.from_pylist(LONG), io.BytesIO()
    pa.parquet.write_table(table, out)
    assert list(iterate_rows(pipe(name, out.getvalue()))) == LONG
    out = io.BytesIO()
    pa.feather.write_feather(table, out)
    assert list(iterate_rows(pipe("arrow", out.getvalue()))) == LONG


@pytest.mark.parametrize("text", ["source,target\na,b\n", '\ufeff"Text";"label"\n"a";b\n', "id,text\na,b\n"])
def test_a_header_of_usual_names_makes_a_pipe_csv(pipe, text):
    assert [list(row.values()) for row in iterate_rows(pipe("63", text.encode()))] == [["a", "b"]]


@pytest.mark.parametrize("text", ["source, target\na,b\n", "text\na,b\n", "ciao,mondo\na,b\n"])
def test_other_first_lines_leave_a_pipe_plain_text(pipe, text):
    assert [row["text"] for row in iterate_rows(pipe("63", text.encode()))] == text.splitlines()


def test_parallel_pipes_are_read_side_by_side(pipe):
    value = ",".join([pipe("t.de", b"eins\nzwei\n"), pipe("t.en", b"one\ntwo\n")])
    assert list(iterate_rows(value)) == [{"de": "eins", "en": "one"}, {"de": "zwei", "en": "two"}]


def test_a_broken_line_of_a_pipe_is_named_without_a_second_look(pipe):
    with pytest.raises(InputError, match=r"lines:3001: byte 2 of the line, 0xE4, is not utf-8"):
        list(iterate_rows(pipe("lines", PIPED["lines"].encode() + b"K\xe4se\n")))


@pytest.mark.parametrize("name", ["a.txt", "a.tsv", "a.csv", "a.jsonl", "pairs"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_lines_may_end_in_carriage_returns_alone(write, name, encoding):
    content = {"a.txt": "text\rKäse\rb\r", "a.jsonl": '{"text": "Käse"}\r{"text": "b"}\r'}
    columns = {"a.tsv": "id\ttext\r1\tKäse\r2\tb\r", "a.csv": 'id,text\r1,"Käse"\r2,b\r'}
    columns["pairs"] = columns["a.tsv"]
    path = write(name, (content | columns)[name].encode(encoding))
    assert [row["text"] for row in both_ways(path, encoding=encoding)][-2:] == ["Käse", "b"]


def test_a_carriage_return_within_lines_is_a_character(write):
    assert both_ways(write("a.txt", "a\rb\nc\rd\n")) == [{"text": "a\rb"}, {"text": "c\rd"}]
