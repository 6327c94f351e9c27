import json
import pathlib

import pyarrow as pa
import pyarrow.parquet
import pytest
from datasets import Dataset, Features, Translation, Value

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.pairs import Pairs, read_pairs
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.errors import InputError


def jsonl(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(need_target: bool = True, **options) -> dict[str, Pairs]:
    data = PairData(**options)
    return read_pairs(load_splits(data), data, need_target)


def test_every_split_is_read_by_the_columns_of_the_training_rows(write):
    pairs = read(
        train_file=write("a.csv", "source,target\na,b\nc,d\n"),
        test_file=write("t.csv", "other,target,source\nx,y,z\n"),
    )
    assert pairs == {
        "train": Pairs(["a", "c"], [["b"], ["d"]], ("source", "target")),
        "test": Pairs(["z"], [["y"]], ("source", "target")),
    }
    assert pairs["train"].targets == ["b", "d"]
    assert len(pairs["train"]) == 2


def test_languages_inside_an_object(write):
    path = write("a.jsonl", jsonl({"translation": {"de": "eins", "en": "one"}}))
    pairs = read(train_file=path, source_lang="de", target_lang="en")["train"]
    assert pairs == Pairs(["eins"], [["one"]], ("translation.de", "translation.en"))


def test_a_translation_feature(tmp_path):
    features = Features({"id": Value("string"), "translation": Translation(["de", "en"])})
    rows = {"id": ["0", "1"], "translation": [{"de": "eins", "en": "one"}, {"de": "zwei", "en": "two"}]}
    Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "saved")
    pairs = read(dataset_name=str(tmp_path / "saved"), source_lang="en", target_lang="de")["train"]
    assert (pairs.sources, pairs.targets) == (["one", "two"], ["eins", "zwei"])


def test_a_list_of_targets_is_several_references(write):
    path = write("a.jsonl", jsonl({"source": "a", "target": ["b", "c"]}, {"source": "d", "target": ["e"]}))
    pairs = read(train_file=path, validation_file=path)
    assert pairs["validation"].references == [["b", "c"], ["e"]]
    assert pairs["train"].targets == ["b", "e"]


def test_references_only_where_they_are_asked_for(write):
    pairs = read(need_target=False, test_file=write("a.jsonl", jsonl({"source": "a"}, {"source": "b"})))
    assert pairs["test"] == Pairs(["a", "b"], [[], []], ("source", ""))


def test_held_out_and_selected_rows_are_the_right_ones(write):
    rows = "".join(f"{n},{n * n}\n" for n in range(200))
    pairs = read(
        train_file=write("a.csv", "source,target\n" + rows * 2), validation_split_percentage=9, deduplicate=True
    )
    assert sum(map(len, pairs.values())) == 200
    for split in pairs.values():
        assert all(int(source) ** 2 == int(target) for source, target in zip(split.sources, split.targets, strict=True))


@pytest.mark.parametrize("text", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())])
def test_text_of_every_arrow_type(tmp_path, text):
    table = pa.table({"source": pa.array(["a", "b", "a"]).cast(text), "target": ["x", "y", "z"]})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    assert read(train_file=str(tmp_path / "a.parquet"))["train"].sources == ["a", "b", "a"]


GOOD = {"source": "a", "target": "b"}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            {"source": None, "target": "b"},
            "row 2, column 'source': null; fill it in, or give --skip-empty",
        ),
        ({"target": "b"}, "row 2, column 'source': null"),
        ({"source": "a", "target": None}, "row 2, column 'target': null"),
        ({"source": 7, "target": "b"}, "a.jsonl:2, column 'source': number 7 among cells that are text"),
        (
            {"source": ["a", "b"], "target": "b"},
            "a.jsonl:2, column 'source': list ['a', 'b'] among cells that are text",
        ),
        ({"source": "a", "target": ["b"]}, "a.jsonl:2, column 'target': list ['b'] among cells that are text"),
        (
            {"source": " \t", "target": "b"},
            "row 2, column 'source': empty text; fill it in, or give --skip-empty",
        ),
        ({"source": "a", "target": ""}, "row 2, column 'target': empty text"),
        ({"source": "\u200b \ufeff", "target": "b"}, "row 2, column 'source': empty text; fill it in"),
    ],
)
def test_a_cell_that_is_no_text_is_refused_with_its_place(write, bad, message):
    with pytest.raises(InputError) as error:
        read(train_file=write("a.jsonl", jsonl(GOOD, bad, GOOD)))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (5, "row 1, column 'source': number 5 instead of text; write it as text"),
        (True, "row 1, column 'source': true or false True instead of text"),
        ([1, 2], "row 1, column 'source': list [1, 2] instead of text; join its parts into one text"),
        ({"x": "a"}, "row 1, column 'source': object {'x': 'a'} instead of text; name the intended part"),
        (None, "row 1, column 'source': null"),
    ],
)
def test_a_column_that_is_no_text_is_refused(write, cell, message):
    with pytest.raises(InputError) as error:
        read(train_file=write("a.jsonl", jsonl({"source": cell, "target": "b"}, {"source": cell, "target": "b"})))
    assert f"a.jsonl: {message}" in str(error.value)


def test_sentences_of_a_source_are_joined_and_told(write, caplog):
    path = write("a.jsonl", jsonl({"source": ["a b.", "c."], "target": ["b"]}, {"source": ["d."], "target": ["c"]}))
    assert read(train_file=path)["train"].sources == ["a b. c.", "d."]
    assert "a.jsonl: column 'source': lists of texts are joined by spaces" in caplog.text


@pytest.mark.parametrize("cell", [[], ["a", None], [" "]])
def test_lists_without_text_are_refused(write, cell):
    with pytest.raises(InputError, match="row 2, column 'source': "):
        read(train_file=write("a.jsonl", jsonl({"source": ["a"], "target": "b"}, {"source": cell, "target": "b"})))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([], "row 2, column 'target': no reference"),
        (["b", " "], "row 2, column 'target': an empty text among the references"),
        (["b", None], "row 2, column 'target': list ['b', None] instead of text"),
        (None, "row 2, column 'target': null"),
    ],
)
def test_references_are_checked_too(write, target, message):
    rows = jsonl({"source": "a", "target": ["b", "c"]}, {"source": "a", "target": target})
    with pytest.raises(InputError) as error:
        read(train_file=write("a.jsonl", rows))
    assert message in str(error.value)


def test_empty_texts_are_counted_and_allowed_as_targets_of_a_test(write, caplog):
    path = write("a.tsv", "source\ttarget\na\tb\nc\t\nd\t \n")
    message = "row 2 after the header, column 'target': empty text, the first of 2 such rows"
    for split in ("train", "validation"):
        with pytest.raises(InputError, match=message):
            read(**{f"{split}_file": path})
    assert read(test_file=path)["test"].references == [["b"], [""], [" "]]
    assert "a.tsv: 2 of 3 targets are empty, and are scored as such" in caplog.text
    with pytest.raises(InputError, match="row 1 after the header, column 'source': empty text;"):
        read(test_file=write("b.tsv", "source\ttarget\n\tb\n"))


def test_a_refused_row_has_its_number_in_the_file(write):
    rows = "a,b\na,b\na,b\nc,d\ne,\n"
    with pytest.raises(InputError, match="row 5 after the header, column 'target': empty"):
        read(train_file=write("a.csv", "source,target\n" + rows), deduplicate=True)


def test_every_split_must_have_the_columns(write):
    train = write("a.csv", "source,target\na,b\n")
    with pytest.raises(InputError) as error:
        read(train_file=train, validation_file=write("v.csv", "source,traget\na,b\n"))
    assert str(error.value).endswith(
        "v.csv: no column 'target' (--target-column); its columns are source, traget; did you mean 'target'?".replace(
            "'target'?", "'traget'?"
        )
    )


def test_no_splits_have_no_pairs():
    assert read_pairs({}, PairData()) == {}


def test_rows_with_an_empty_cell_are_left_out_on_request_and_counted(write, caplog):
    path = write("a.csv", 'source,target,note\na,b,\n,c,x\nd," ",y\ne,f,z\n')
    data = PairData(train_file=path, skip_empty=True)
    pairs = read_pairs(load_splits(data), data)["train"]
    assert (pairs.sources, pairs.targets) == (["a", "e"], ["b", "f"])
    assert "a.csv: 2 of 4 rows have an empty cell and are skipped" in caplog.text
    lists = write("b.jsonl", '{"source": "a", "target": ["x"]}\n{"source": "b", "target": []}\n{"target": ["y"]}\n')
    data = PairData(train_file=lists, skip_empty=True)
    assert read_pairs(load_splits(data), data)["train"].sources == ["a"]
    data = PairData(train_file=write("c.csv", "source,target\na,\n,b\n"), skip_empty=True)
    with pytest.raises(InputError, match=r"each of its 2 rows has an empty cell; none are left \(--skip-empty\)"):
        read_pairs(load_splits(data), data)


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_language_for_all_rows_may_not_contradict_their_columns(write, side):
    column, flag = f"{side}_lang", f"--{side}-lang"
    rows = [{"source": "abba", "target": "bee", column: code} for code in ("de", "DE", "deu_Latn", "en", "fr", "fr")]
    path = write("a.jsonl", jsonl(*rows))
    with pytest.raises(InputError, match=f"3 of 6 rows have another {column} than {flag} de, such as 'fr'; leave out"):
        read(train_file=path, **{column: "de"})
    assert len(read(train_file=path, **{column: "de", f"{column}_column": column})["train"]) == 6
    agreeing = write("b.jsonl", jsonl(*rows[:3], {"source": "ecke", "target": "dad", column: ""}))
    assert read(train_file=agreeing, **{column: "de"})["train"].sources == ["abba"] * 3 + ["ecke"]


def test_one_language_in_two_spellings_is_told(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [("a", "b", "en"), ("c", "d", "en"), ("e", "f", "EN"), ("g", "h", "de")]
    lines = "".join("\t".join(row) + "\n" for row in rows)
    (tmp_path / "a.tsv").write_text("source\ttarget\ttarget_lang\n" + lines)
    read(train_file=str(tmp_path / "a.tsv"))
    (said,) = [each.getMessage() for each in caplog.records if "languages" in each.getMessage()]
    assert said.endswith("column 'target_lang' has 'EN' (1) beside 'en' (2); they count as two languages")


def test_rows_of_composed_sources_may_be_skipped(write):
    rows = [
        {"instruction": "Add.", "input": "", "output": "1"},
        {"instruction": "", "input": "", "output": "2"},
        {"instruction": "Name it.", "input": "a cat", "output": ""},
        {"instruction": "Name it.", "input": "a dog", "output": "dog"},
    ]
    path = write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    data = PairData(train_file=path, skip_empty=True)
    assert read_pairs(load_splits(data), data)["train"].targets == ["1", "dog"]
    path = write("b.tsv", "lemma\tfeatures\tform\ngo\tV;PST\twent\n\t\tx\n")
    data = PairData(train_file=path, skip_empty=True, source_template="{lemma} {features}", target_column="form")
    assert read_pairs(load_splits(data), data)["train"].targets == ["went"]


def test_a_list_with_an_empty_part_is_skipped(write):
    good = {"source": "e", "target": ["f"]}, {"source": ["e"], "target": "f"}
    bad = {"source": "a", "target": ["b", ""]}, {"source": ["c", None], "target": "d"}
    for rows in zip(bad, good, strict=True):
        path = write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        data = PairData(train_file=path, skip_empty=True)
        assert read_pairs(load_splits(data), data)["train"].targets == ["f"]


def test_rows_of_another_form_than_the_first_are_told_so(write):
    train, other = write("train.csv", "source,target\na b,c d\n"), write("dev.tsv", "a\tb\nc\td\ne\tf\n")
    data = PairData(train_file=train, validation_file=other)
    with pytest.raises(
        InputError, match=r"dev.tsv: no column 'source' .*; its columns are 1, 2\nall files need the columns of"
    ):
        read_pairs(load_splits(data), data)
