"""Missing cells of every file format: NaN, null, nothing, and the text `nan` that pandas writes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest

from hf_seq2seq.configs import LabelledData, PairData
from hf_seq2seq.data.documents import read_documents
from hf_seq2seq.data.labelled_sources import load_labelled_splits
from hf_seq2seq.data.labels import read_labelled
from hf_seq2seq.data.pairs import read_pairs
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.errors import InputError

NAN = float("nan")
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(form: str, *columns: str, **cells: list[Any]) -> str:
        path, frame = tmp_path / f"rows.{form}", pandas.DataFrame(cells)
        if form == "csv":
            frame.to_csv(path, index=False, na_rep="nan")
        elif form == "parquet":
            frame.to_parquet(path)
        else:
            rows = zip(*cells.values(), strict=True)
            path.write_text("".join(json.dumps(dict(zip(cells, row, strict=True))) + "\n" for row in rows))
        return str(path)

    return write


AFTER = {"csv": " after the header", "jsonl": "", "parquet": ""}


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("missing", [None, NAN, "nan", "NaN"])
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_missing_text_is_no_text(write: Write, form: str, missing: Any, side: str) -> None:
    cells = {name: ["a b", "c d", "e f"] for name in ("source", "target")}
    cells[side][1] = missing
    data = PairData(train_file=write(form, **cells))
    place = rf"rows.{form}: row 2{AFTER[form]}, column '{side}'"
    with pytest.raises(InputError, match=rf"{place}: (null|'nan' stands for a missing)"):
        read_pairs(load_splits(data), data)
    data = PairData(train_file=data.train_file, skip_empty=True)
    found = read_pairs(load_splits(data), data)["train"]
    assert (found.sources, found.targets) == (["a b", "e f"], ["a b", "e f"])


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("problem", "cells", "missing"),
    [
        ("single_label", ["x", None, "y"], "no label"),
        ("single_label", ["x", "nan", "y"], "no label"),
        ("single_label", [0, NAN, 1], "no label"),
        ("regression", [0.5, NAN, 1.5], "no number"),
    ],
)
def test_a_missing_label_is_no_class(write: Write, form: str, problem: str, cells: list[Any], missing: str) -> None:
    data = LabelledData(train_file=write(form, text=["a b", "c d", "e f"], label=cells))
    with pytest.raises(InputError, match=rf"rows.{form}: row 2{AFTER[form]}, column 'label': {missing}"):
        read_labelled(load_labelled_splits(data, problem), data, problem)
    data = LabelledData(train_file=data.train_file, skip_empty=True)
    rows, names = read_labelled(load_labelled_splits(data, problem), data, problem)
    assert rows["train"].texts == ["a b", "e f"]
    assert "nan" not in names


def test_nan_may_be_a_word_and_a_language(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    data = PairData(train_file=write("csv", source=["nan", "naan"], target=["n a n", "n a a n"]), skip_empty=True)
    assert read_pairs(load_splits(data), data)["train"].sources == ["nan", "naan"]
    assert "column 'source': 1 cells are 'nan', which is taken as a word" in caplog.text
    labels = LabelledData(train_file=write("csv", text=["a b", "c d", "e f"], label=["nan", "de", "yue"]))
    assert read_labelled(load_splits(labels), labels, "single_label")[1] == ("de", "nan", "yue")


def test_a_missing_document_is_left_out(write: Write) -> None:
    data = PairData(train_file=write("csv", text=["one two", "nan", "three four"]))
    assert read_documents(data)[0] == {"train": ["one two", "three four"]}
