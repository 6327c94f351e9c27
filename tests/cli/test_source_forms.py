"""What `generate` reads as a source or a history, by flags, by the run's training and by names of columns."""

from typing import Any

import pytest

from hf_seq2seq.cli.generate import Rows
from hf_seq2seq.cli.source_rows import Sourced, read_histories, read_sources
from hf_seq2seq.data.rows import read_rows
from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.run_settings import RunSettings


def settings(**run: Any) -> RunSettings:
    return RunSettings(run=run)


def sources(row: dict[str, Any], run: RunSettings, **options: Any) -> Sourced:
    (found,) = read_sources(iter([row]), [row], Rows(**options), run, "a.jsonl")
    return found


def test_a_template_comes_from_the_flag_from_training_or_from_names() -> None:
    row = {"lemma": "go", "features": ["V", "PST"], "id": 1}
    assert sources(row, settings(), source_template="{lemma} {features}") == ("go V PST", {"id": 1})
    trained = settings(source_template="{features}:{lemma}")
    assert sources(row, trained) == ("V PST:go", {"id": 1})
    assert sources(row, trained, source_column="lemma").source == "go"
    assert sources({"text": "go V"}, trained).source == "go V"
    assert sources({"instruction": "Add", "input": "1", "output": "2"}, settings()) == (
        "Add\n\n1",
        {"output": "2"},
    )
    with pytest.raises(InputError, match=r"no column 'lema' .*did you mean 'lemma'"):
        sources(row, settings(), source_template="{lema}")
    with pytest.raises(InputError, match="give only one of them"):
        sources(row, settings(), source_template="{lemma}", source_column="lemma")


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": "hi"}]},
        {"conversations": [{"from": "human", "value": "hi"}]},
        {"text": "hi"},
        {"source": "hi", "target": "hello"},
        {"instruction": "hi", "input": "", "output": "hello"},
        {"prompt": "hi"},
    ],
)
def test_histories(row: dict[str, Any]) -> None:
    found = list(read_histories(iter([row]), [row], Rows(), settings(), "a.jsonl"))
    assert found[0].source == [{"role": "user", "content": "hi"}]


def test_a_named_column_of_messages() -> None:
    row = {"talk": [{"role": "user", "content": "hi"}], "text": "other"}
    for options, run in (({"source_column": "talk"}, settings()), ({}, settings(source_column="talk"))):
        (found,) = read_histories(iter([row]), [row], Rows(**options), run, "a.jsonl")
        assert found == (row["talk"], {"text": "other"})


def test_a_single_row_is_data_where_training_numbered_its_columns(tmp_path) -> None:
    """With a header alone a row of three unusual cells would be one."""
    run = settings(source_template="{1}{3:tags}")
    for name in ("row.tsv", "row.txt"):
        (tmp_path / name).write_text("go\twent\tV;PST\n")
        rows, sample = read_rows(None, str(tmp_path / name), "utf-8", numbered=run.numbered)
        (found,) = read_sources(rows, sample, Rows(), run, name)
        assert found == ("go⟨V⟩⟨PST⟩", {"2": "went"})
    (tmp_path / "named.tsv").write_text("source\ttarget\ngo\twent\n")
    assert read_rows(None, str(tmp_path / "named.tsv"), "utf-8", numbered=True)[1][0]["source"] == "go"


def test_the_columns_that_training_found_are_found_again(caplog) -> None:
    row = {"id": "7", "spelling": "cat", "sounds": "k æ t"}
    trained = settings(source_column=None, target_column=None)
    assert sources(row, trained).source == "cat"
    assert "sources are read from column 'spelling', as in training, and 'sounds' is their target" in caplog.text
    caplog.clear()
    assert sources(row, trained, target_column="spelling").source == "k æ t"
    assert sources({"sounds": "k æ t"}, settings(source_column=None, target_column="sounds")).source == "k æ t"
    assert not caplog.text
    with pytest.raises(InputError, match="name the columns by --source-column"):
        sources(row, settings())
    with pytest.raises(InputError, match="name the columns by --source-column"):
        sources(row | {"meaning": "an animal"}, trained)
