"""Sources of several columns, read from real files."""

import json
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.columns.templates import fill, template_columns
from hf_seq2seq.data.pairs import Pairs, read_pairs
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.errors import InputError


def read(path: Path, **options: Any) -> Pairs:
    data = PairData(train_file=str(path), **options)
    return read_pairs(load_splits(data), data)["train"]


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_columns_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("lemma,form,features\nsehen,sah,V PST\ngehen,ging,V PST\n")
    found = read(path, source_template="{lemma} <{features}>")
    assert found.sources == ["sehen <V PST>", "gehen <V PST>"]
    assert found.targets == ["sah", "ging"]
    assert found.columns == ("{lemma} <{features}>", "form")


def test_numbered_columns_of_a_file_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("sehen\tsah\tV;PST\ngehen\tging\tV;PST\n")
    found = read(path, source_template="{1} {3}", target_column="2")
    assert (found.sources, found.targets) == (["sehen V;PST", "gehen V;PST"], ["sah", "ging"])


def test_lists_and_objects(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", {"d": {"parts": ["a", "b"]}, "t": "{x}", "summary": "s"})
    assert read(path, source_template="{d.parts} {{of}} {t}", target_column="summary").sources == ["a b {of} {x}"]


def test_instructions_need_no_template(tmp_path: Path) -> None:
    rows = [{"instruction": "Add.", "input": "1 2", "output": "3"}, {"instruction": "Go", "input": "", "output": "x"}]
    found = read(written(tmp_path / "a.jsonl", *rows))
    assert (found.sources, found.targets) == (["Add.\n\n1 2", "Go"], ["3", "x"])
    assert read(tmp_path / "a.jsonl", source_column="instruction", target_column="output").sources == ["Add.", "Go"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("plain", "'plain' names no column"),
        ("{}", "write a column's name in braces"),
        ("{a!r}", "write a column's name in braces"),
        ("{a:>10}", "write a column's name in braces"),
        ("{a", "write {{ and }} for braces"),
        (
            "{lema} {b}",
            r"no column 'lema' \(--source-template\); its columns are .*; did you mean 'lemma'",
        ),
        ("{b}", r"a.jsonl: row 1, column 'b': 3 where --source-template needs a text or a list of texts"),
    ],
)
def test_bad_templates(tmp_path: Path, template: str, message: str) -> None:
    path = written(tmp_path / "a.jsonl", {"lemma": "a", "b": [3], "target": "t"})
    with pytest.raises(InputError, match=message):
        read(path, source_template=template)


def test_an_empty_source_is_refused_and_attributes_are_out_of_reach(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", {"a": "", "b": " ", "target": "t"})
    with pytest.raises(InputError, match=r"row 1: empty text; fill in a or b, or remove the row"):
        read(path, source_template="{a}{b}")
    with pytest.raises(InputError, match=r"row 1, column 'a\.__class__': null where"):
        fill("{a.__class__}", {"a": "x"}, "row 1")
    assert template_columns("{a} {b.c} {a}") == ["a", "b.c"]
    with pytest.raises(InputError, match="--source-template and --source-column: give only one of them"):
        read(path, source_template="{a}", source_column="a")
