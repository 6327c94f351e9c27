"""Files of rows that are broken, under every command that reads some."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

DEEP = 100_000
FILES: dict[str, str | bytes] = {
    "empty.tsv": "",
    "empty.csv": "",
    "empty.jsonl": "",
    "empty.json": "",
    "empty.parquet": "",
    "empty.arrow": "",
    "empty.txt": "",
    "blank.txt": "\n\n\n",
    "blank.jsonl": "\n \n",
    "header.csv": "source,target\n",
    "ragged.csv": "source,target\na,b\na,b,c\n",
    "quote.csv": 'source,target\n"a,b\nc,d\n',
    "names.csv": "source,source\na,b\n",
    "latin.csv": "source,target\nä,ö\n".encode("latin-1"),
    "sixteen.csv": "source,target\na,b\n".encode("utf-16"),
    "field.csv": "source,target\n" + "a" * 300_000 + ',"' + "b" * 300_000 + "\n",
    "open.jsonl": '{"source": "a", "target": "b"\n',
    "list.jsonl": '["a", "b"]\n',
    "number.jsonl": "3\n",
    "null.jsonl": "null\n",
    "nan.jsonl": "NaN\n",
    "deep.jsonl": "[" * DEEP + "\n",
    "deep object.jsonl": '{"source":' * DEEP + "\n",
    "digits.jsonl": '{"source": ' + "9" * 5000 + ', "target": "b"}\n',
    "cells.jsonl": '{"source": {"a": 1}, "target": [1]}\n',
    "numbers.jsonl": '{"source": 1, "target": 2}\n',
    "trues.jsonl": '{"source": true, "target": false}\n',
    "nulls.jsonl": '{"source": null, "target": null}\n',
    "nokeys.jsonl": "{}\n",
    "escape.jsonl": '{"source": "\\ud800", "target": "b"}\n{"source": "\\udc00x", "target": "b"}\n',
    "bad escape.jsonl": '{"source": "\\uZZZZ", "target": "b"}\n',
    "broken utf-8.jsonl": b'{"source": "\xff", "target": "b"}\n',
    "open.json": "[{",
    "deep.json": "[" * DEEP,
    "text.json": '"a"',
    "empty list.json": "[]",
    "empty object.json": "{}",
    "list of numbers.json": "[1, 2]",
    "list of lists.json": "[[1], [2]]",
    "unequal.json": '{"source": ["a"], "target": ["b", "c"]}',
    "two.json": '[{"source": "a"}] [1]',
    "text.parquet": "PAR1 not really PAR1",
    "cut.parquet": b"PAR1\x15\x04\x15",
    "text.arrow": "ARROW1 no",
    "cut.arrow": b"ARROW1\0\0\xff\xff\xff\xff",
    "zeros.arrow": b"\0" * 64,
    "text.csv.gz": "source,target\na,b\n",
    "cut.csv.gz": gzip.compress(b"source,target\n" + b"a,b\n" * 99)[:-20],
    "empty.csv.gz": b"",
    "crc.csv.gz": gzip.compress(b"source,target\na,b\n")[:-8] + b"\0" * 8,
    "bytes.bin": bytes(range(256)),
    "picture.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "book.xlsx": b"PK\x03\x04\x14\x00\x06\x00",
    "book.pdf": b"%PDF-1.7\n\xe2\xe3\xcf\xd3",
}


def write(place: Path, name: str) -> None:
    content = FILES[name]
    (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())


CALLS = {
    "train": ["train", "rnn", "--output-dir", "out", "--train-file"],
    "preview": ["preview", "rnn", "--train-file"],
    "classifier": ["train", "bert_classifier", "--model-name-or-path", "labels", "--output-dir", "out", "--train-file"],
    "raw": ["train", "gpt", "--objective", "causal", "--from-scratch", "--output-dir", "out", "--train-file"],
    "dialogue": ["train", "gpt", "--objective", "dialogue", "--from-scratch", "--output-dir", "out", "--train-file"],
    "validation": ["train", "rnn", "--train-file", "good.tsv", "--output-dir", "out", "--validation-file"],
    "generate": ["generate", "model", "--source-column", "source", "--output-file", "o", "--input-file"],
    "json lines": [
        "generate",
        "model",
        "--json-lines",
        "--source-column",
        "source",
        "--output-file",
        "o",
        "--input-file",
    ],
    "classify": ["classify", "labels", "--text-column", "source", "--output-file", "o", "--input-file"],
    "evaluate": ["evaluate", "model", "--test-file"],
    "evaluate labels": ["evaluate", "labels", "--test-file"],
    "predictions": ["evaluate", "--references", "lines.txt", "--predictions"],
    "references": ["evaluate", "--predictions", "lines.txt", "--references"],
    "rate": ["rate", "lines.txt", "--output-dir", "out", "--source-file"],
    "export": ["export", "model", "new", "--format", "safetensors", "--source-column", "source", "--input-file"],
    "tokenizer": ["tokenizer", "train", "--output-dir", "out", "--train-file"],
}
"""Commands before the name of a file."""


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("call", CALLS)
def test_files(refused: Any, place: Path, call: str, name: str) -> None:
    write(place, name)
    assert name in refused(*CALLS[call], name)


@pytest.mark.parametrize("call", CALLS)
def test_no_file(refused: Any, place: Path, call: str) -> None:
    (place / "folder.tsv").mkdir()
    for name in ("missing.tsv", "folder.tsv", "", "a" * 300 + ".tsv", "good.tsv/x.tsv"):
        refused(*CALLS[call], name)


@pytest.mark.parametrize("call", CALLS)
def test_columns_of_one_name(refused: Any, place: Path, call: str) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["source", "source"])
    pq.write_table(table, place / "twice.parquet")
    assert "twice.parquet" in refused(*CALLS[call], "twice.parquet")


@pytest.mark.parametrize("stdin", [b"\xff\xfea", b"\x80abc\n", b"ab\n\xc3\n"])
@pytest.mark.parametrize("command", ["generate", "classify"])
def test_standard_input(refused: Any, place: Path, command: str, stdin: bytes) -> None:
    model = {"generate": "model", "classify": "labels"}[command]
    refused(command, model, "--output-file", "o", stdin=stdin)
