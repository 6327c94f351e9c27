"""Large files are read once, and are the same tables as those in memory."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_seq2seq.data.columns.headers import Header
from hf_seq2seq.data.files import kept_tables
from hf_seq2seq.data.files.readers import read_table
from hf_seq2seq.errors import InputError

ROWS = [{"source": f"a {number}", "target": f"b, {number} ☃"} for number in range(25)]
LINES = {
    "rows.tsv": "".join(f"{row['source']}\t{row['target']}\n" for row in ROWS),
    "rows.csv": "source,target\n" + "".join(f'{row["source"]},"{row["target"]}"\n' for row in ROWS),
    "rows.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
    "rows.json": json.dumps(ROWS),
    "rows.txt": "".join(f"{row['source']}\n" for row in ROWS),
}


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Makes every file large, in an empty cache, and batches small."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kept_tables, "LARGE", 0)
    monkeypatch.setattr(kept_tables, "ROWS_AT_A_TIME", 10)
    return monkeypatch


def written(folder: Path, name: str) -> tuple[Path, ...]:
    path = folder / name
    if name == "rows":
        paths = (folder / "rows.de", folder / "rows.en")
        for side, column in zip(paths, ("source", "target"), strict=True):
            side.write_text("".join(f"{row[column]}\n" for row in ROWS), encoding="utf-8")
        return paths
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif name.endswith(".arrow"):
        table = pa.Table.from_pylist(ROWS)
        with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table)
    else:
        path.write_text(LINES[name], encoding="utf-8")
    return (path,)


@pytest.mark.parametrize("name", [*LINES, "rows.parquet", "rows.arrow", "rows"])
def test_the_same_table_from_the_cache(
    tmp_path: Path, large: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    paths = written(tmp_path, name)
    first = read_table(paths)
    said, *told = [record.getMessage() for record in caplog.records]
    assert said == f"{', '.join(map(str, paths))}: 0 MiB, read once into the cache; later runs start at once"
    caplog.clear()
    with large.context() as patched:
        patched.setattr("hf_seq2seq.data.files.readers._batches", lambda *_: iter(()))  # nothing is read again
        second = read_table(paths)
    assert [record.getMessage() for record in caplog.records] == told
    assert bool(told) == (name == "rows.tsv")  # which has no header
    large.setattr(kept_tables, "LARGE", 1 << 30)
    expected = read_table(paths)
    assert first.arrow.equals(expected.arrow)
    assert second.arrow.equals(expected.arrow)
    assert second.arrow.column(0).num_chunks == 3


def test_an_edited_file_is_read_again(tmp_path: Path, large: pytest.MonkeyPatch) -> None:
    paths = written(tmp_path, "rows.csv")
    assert len(read_table(paths).arrow) == 25
    paths[0].write_text(LINES["rows.csv"].replace("a 7", "a 8"), encoding="utf-8")
    assert read_table(paths).arrow.column("source")[7].as_py() == "a 8"
    (path,) = written(tmp_path, "rows.tsv")
    assert read_table((path,)).arrow.column_names == ["1", "2"]
    assert read_table((path,), header=Header(known=True)).arrow.column_names == ["a 0", "b, 0 ☃"]


@pytest.mark.parametrize("last", ['{"source": 3, "target": "x"}', '{"target": "x"}', '{"source": "a", "more": "x"}'])
def test_objects_of_several_kinds_are_read_into_memory(tmp_path: Path, large: pytest.MonkeyPatch, last: str) -> None:
    large.setattr("hf_seq2seq.data.files.tables.ROWS_AT_A_TIME", 10)
    path = tmp_path / "rows.jsonl"
    path.write_text(LINES["rows.jsonl"] + last + "\n")
    found = read_table((path,))
    large.setattr(kept_tables, "LARGE", 1 << 30)
    expected = read_table((path,))
    assert found.arrow.equals(expected.arrow)
    assert found.misfits == expected.misfits


def test_a_broken_file_leaves_nothing(tmp_path: Path, large: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text(LINES["rows.tsv"] + "one\ttwo\tthree\n")
    for _ in range(2):
        with pytest.raises(InputError, match=r"rows\.tsv:26: found 3 fields"):
            read_table((path,))
    assert [entry.suffix for entry in (tmp_path / "cache" / "hf_seq2seq" / "tables").iterdir()] == [".lock"]
