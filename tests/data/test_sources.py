import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from hf_seq2seq.configs import LabelledData, PairData, Sources
from hf_seq2seq.data.sources import chosen_rows, load_splits, paths_of, places_of, row_number
from hf_seq2seq.errors import InputError

pytestmark = pytest.mark.usefixtures("forked")


def csv(rows: list[str]) -> str:
    return "source,target\n" + "".join(f"{row},{row.upper()}\n" for row in rows)


def sources_of(rows: Dataset) -> list[str]:
    return list(rows["source"])


def test_rows_drawn_by_a_seed_are_nested(write):
    file = write("a.csv", csv([chr(97 + row) for row in range(20)]))
    drawn = {
        (size, seed): sources_of(
            load_splits(PairData(train_file=file, max_train_samples=size, train_samples_seed=seed))["train"]
        )
        for size in (5, 10)
        for seed in (1, 2)
    }
    assert [len(rows) for rows in drawn.values()] == [5, 5, 10, 10]
    assert set(drawn[5, 1]) < set(drawn[10, 1])
    assert drawn[10, 1] == sorted(drawn[10, 1])
    assert drawn[5, 1] != drawn[5, 2] != ["a", "b", "c", "d", "e"]


def test_each_file_is_a_split(write):
    data = PairData(
        train_file=write("a.csv", csv(["a", "b"])),
        validation_file=write("v.jsonl", '{"source": "v", "target": "w"}\n'),
        test_file=write("t.tsv.gz", "source\ttarget\nx\ty\n"),
    )
    splits = load_splits(data)
    assert {split: rows.to_list()[0] for split, rows in splits.items()} == {
        "train": {"source": "a", "target": "A"},
        "validation": {"source": "v", "target": "w"},
        "test": {"source": "x", "target": "y"},
    }
    assert list(splits) == ["train", "validation", "test"]


def test_a_test_file_needs_no_training_file(write):
    assert list(load_splits(PairData(test_file=write("a.csv", csv(["a"]))))) == ["test"]


def test_caps_keep_the_first_rows_of_each_split(write):
    path = write("a.csv", csv(list("abcdef")))
    data = Sources(
        train_file=path,
        validation_file=path,
        test_file=path,
        max_train_samples=3,
        max_eval_samples=2,
        max_predict_samples=99,
    )
    assert [sources_of(rows) for rows in load_splits(data).values()] == [list("abc"), list("ab"), list("abcdef")]


def test_repeats_are_equal_in_every_column_and_only_training_rows_lose_them(write, caplog):
    rows = "source,target\na,b\na,c\na,b\nb,a\na,c\n"
    path = write("a.csv", rows)
    splits = load_splits(Sources(train_file=path, test_file=path, deduplicate=True))
    assert [tuple(row.values()) for row in splits["train"].to_list()] == [("a", "b"), ("a", "c"), ("b", "a")]
    assert len(splits["test"]) == 5
    assert "a.csv: 2 of 5 rows repeat an earlier one and are skipped" in caplog.text


def test_repeats_are_found_in_lists_objects_numbers_and_nulls(write):
    rows = ['{"t": {"a": "x"}, "r": ["p"], "n": 1}', '{"t": {"a": "x"}, "r": ["p"], "n": null}']
    rows += ['{"t": {"a": "x"}, "r": ["p", "q"], "n": 1}', '{"t": {"a": "y"}, "r": ["p"], "n": 1}']
    path = write("a.jsonl", "\n".join([*rows, *rows]) + "\n")
    assert len(load_splits(Sources(train_file=path, deduplicate=True))["train"]) == 4


def test_held_out_rows_are_random_disjoint_and_the_same_each_time(write):
    rows = [f"row{index}" for index in range(1000)]
    data = Sources(train_file=write("a.csv", csv(rows)), validation_split_percentage=5)
    first, again = load_splits(data), load_splits(data)
    train, validation = (sources_of(first[split]) for split in ("train", "validation"))
    assert len(validation) == 50
    assert sorted(train + validation) == sorted(rows)
    assert validation == sources_of(again["validation"])
    assert train == sorted(train, key=rows.index)
    assert validation not in (rows[:50], rows[-50:])


def test_no_row_is_held_out_where_there_are_validation_rows(write, caplog):
    path = write("a.csv", csv(list("ab")))
    splits = load_splits(Sources(train_file=path, validation_file=path, validation_split_percentage=50))
    assert [len(rows) for rows in splits.values()] == [2, 2]
    assert "--validation-split-percentage: ignored, because validation rows are given" in caplog.text


def test_repeats_cannot_leak_into_the_held_out_rows(write):
    data = Sources(train_file=write("a.csv", csv(["a", "b"] * 50)), validation_split_percentage=50, deduplicate=True)
    assert sorted(s for rows in load_splits(data).values() for s in sources_of(rows)) == ["a", "b"]


def test_one_row_cannot_be_held_out(write):
    with pytest.raises(InputError, match=r"a\.csv: has one row"):
        load_splits(Sources(train_file=write("a.csv", csv(["a"])), validation_split_percentage=5))


def test_rows_keep_their_numbers_whatever_happens_to_them(write):
    rows = [f"row{number}" for number in range(1, 21)]
    data = Sources(
        train_file=write("a.csv", csv(["row1", *rows])),  # row 2 repeats row 1
        deduplicate=True,
        validation_split_percentage=5,
        max_train_samples=15,
    )
    for split in load_splits(data).values():
        for index, source in enumerate(sources_of(split)):
            number = int(source.removeprefix("row"))
            assert row_number(split, index) == str(1 if number == 1 else number + 1)


def test_numbered_columns_and_parallel_stems(write, tmp_path):
    headerless = PairData(train_file=write("a.tsv", "aa\tb b\n"), source_column="1", target_column="2")
    assert load_splits(headerless)["train"].to_list() == [{"1": "aa", "2": "b b"}]
    labelled = LabelledData(train_file=write("b.csv", "x,yes\n"), label_column="2")
    assert load_splits(labelled)["train"].to_list() == [{"1": "x", "2": "yes"}]
    write("train.de", "eins\n")
    write("train.en", "one\n")
    stem = PairData(train_file=str(tmp_path / "train"), source_lang="de", target_lang="en")
    assert load_splits(stem)["train"].to_list() == [{"de": "eins", "en": "one"}]


def test_class_labels_survive_in_parquet(tmp_path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    Dataset.from_dict({"text": ["a"], "label": [1]}, features=features).to_parquet(tmp_path / "a.parquet")
    rows = load_splits(Sources(train_file=str(tmp_path / "a.parquet")))["train"]
    assert rows.features["label"].names == ["no", "yes"]


def test_a_column_that_cannot_be_stored_is_refused_where_it_is_needed(write):
    path = write("a.jsonl", '{"source": "a", "target": "b"}\n\n{"source": 5, "target": "b"}\n')
    message = r"a\.jsonl:3, column 'source': number 5 among cells that are text; a column needs cells of one kind"
    with pytest.raises(InputError, match=message):
        load_splits(PairData(train_file=path))


def test_half_a_character_is_called_so(write):
    path = write("a.jsonl", '{"source": "a", "target": "b"}\n{"source": "a \\ud800", "target": "b"}\n')
    with pytest.raises(InputError, match=r"a\.jsonl:2, column 'source': 'a .ud800' contains half a character$"):
        load_splits(PairData(train_file=path))


def test_a_translation_of_another_kind_is_refused(write):
    path = write("a.jsonl", '{"translation": {"de": "a", "en": "b"}}\n{"translation": {"de": "a", "en": 5}}\n')
    with pytest.raises(InputError, match=r"a\.jsonl:2, column 'translation': object .*'en': 5} with parts of another"):
        load_splits(PairData(train_file=path, source_lang="de", target_lang="en"))


@pytest.mark.parametrize(
    ("options", "meta"), [({}, '{"x": %s}'), ({"source_column": "source", "target_column": "target"}, "%s")]
)
def test_a_column_that_cannot_be_stored_is_left_out_where_it_is_not_needed(write, caplog, options, meta):
    rows = [f'{{"source": "a", "target": "b", "meta": {meta % value}}}\n' for value in ("1", '"x"')]
    rows = load_splits(PairData(train_file=write("a.jsonl", "".join(rows)), **options))["train"]
    assert rows.column_names == ["source", "target"]
    assert "a.jsonl:2, column 'meta'" in caplog.text


def test_a_file_whose_only_column_cannot_be_stored_is_not_called_empty(write):
    path = write("a.jsonl", '{"messages": ["a"]}\n{"messages": [[1]]}\n')
    with pytest.raises(InputError, match=r"^[^:]*a\.jsonl:2, column 'messages': list .*needs cells of one kind$"):
        load_splits(PairData(train_file=path))


def test_a_column_of_a_type_that_datasets_lacks_is_left_out(tmp_path, caplog):
    table = pa.table({"source": ["a"], "m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    assert load_splits(Sources(train_file=str(tmp_path / "a.parquet")))["train"].to_list() == [{"source": "a"}]
    assert "column 'm' is skipped" in caplog.text


def test_folders_of_save_to_disk(tmp_path):
    train, dev = Dataset.from_dict({"source": ["a"]}), Dataset.from_dict({"source": ["v"]})
    DatasetDict({"train": train, "dev": dev, "extra": dev}).save_to_disk(tmp_path / "several")
    train.save_to_disk(tmp_path / "one")
    several, one = str(tmp_path / "several"), str(tmp_path / "one")
    assert {s: sources_of(r) for s, r in load_splits(Sources(dataset_name=several)).items()} == {
        "train": ["a"],
        "validation": ["v"],
    }
    chosen = Sources(dataset_name=several, train_split="dev", validation_split="train", test_split="extra")
    assert {s: sources_of(r) for s, r in load_splits(chosen).items()} == {
        "train": ["v"],
        "validation": ["a"],
        "test": ["v"],
    }
    assert sources_of(load_splits(Sources(dataset_name=one))["train"]) == ["a"]
    assert sources_of(load_splits(Sources(train_file=one))["train"]) == ["a"]
    with pytest.raises(InputError, match="contains the splits train, dev, extra; use --dataset-name"):
        load_splits(Sources(train_file=several))


def test_a_file_may_stand_in_for_a_split_of_a_named_data_set(tmp_path, write):
    Dataset.from_dict({"source": ["a"]}).save_to_disk(tmp_path / "one")
    data = Sources(dataset_name=str(tmp_path / "one"), test_file=write("t.csv", csv(["t"])))
    assert {split: sources_of(rows) for split, rows in load_splits(data).items()} == {"train": ["a"], "test": ["t"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no data: give --train-file or --dataset-name"),
        ({"train_file": "a.csv", "dataset_name": "b"}, "--train-file and --dataset-name: give only one of them"),
        ({"train_file": "a.csv", "streaming": True}, "--streaming: of files only pairs are streamed"),
        ({"dataset_name": "a/b", "streaming": True}, "--streaming.* set their number with --max-train-samples"),
        ({"train_file": "nothing/a.csv"}, "nothing/a.csv: no such file"),
    ],
)
def test_options_that_cannot_be_followed_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        load_splits(Sources(**options))


def test_places_name_the_file_or_the_split():
    files = Sources(train_file="a.csv", test_file="t.csv")
    assert list(places_of(files, ("train", "validation", "test")).values()) == ["a.csv", "a.csv", "t.csv"]
    named = Sources(dataset_name="x/y", train_split="big")
    assert list(places_of(named, ("train", "test")).values()) == ["x/y, split big", "x/y, split test"]


def test_nothing_but_the_rows_is_left_behind(write, tmp_path):
    path = write("a.csv", csv(list("abc")))
    script = (
        "from hf_seq2seq.configs import Sources; from hf_seq2seq.data.sources import load_splits;"
        f"load_splits(Sources(train_file={path!r}, validation_split_percentage=30, deduplicate=True))"
    )
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    before = sorted(cache.rglob("*")) if cache.exists() else []
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", f"{path}: 0 of 3 rows repeat an earlier one and are skipped\n")
    assert (sorted(cache.rglob("*")) if cache.exists() else []) == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_samples_that_the_package_ships():
    splits = load_splits(
        Sources(train_file="sample:cmudict.train.tsv.gz", test_file="sample:cmudict.test.jsonl.gz", max_train_samples=7)
    )
    assert len(splits["train"]) == 7
    assert splits["train"].column_names == splits["test"].column_names == ["word", "phonemes"]
    with pytest.raises(InputError, match=r"no sample is named 'cmudict.trian.tsv.gz'; did you mean 'cmudict.train"):
        load_splits(Sources(train_file="sample:cmudict.trian.tsv.gz"))


def test_rows_of_several_files_follow_each_other_and_are_named(write, tmp_path, caplog):
    for name, rows in (("b", ["b1", "b2"]), ("a", ["a1", "a2", "a3"]), ("c", ["c1"])):
        write(f"d/{name}.csv", csv(rows))
    data = Sources(train_file=str(tmp_path / "d" / "*.csv"), validation_split_percentage=0)
    train = load_splits(data)["train"]
    assert sources_of(train) == ["a1", "a2", "a3", "b1", "b2", "c1"]
    assert f"d/*.csv: 3 files, in this order: {tmp_path}/d/a.csv, {tmp_path}/d/b.csv" in caplog.text
    assert row_number(train, 0) == f"1 of {tmp_path}/d/a.csv"
    assert row_number(chosen_rows(train, np.array([4, 5])), 0) == f"2 of {tmp_path}/d/b.csv"
    assert [path.name for path in paths_of(data)] == ["a.csv", "b.csv", "c.csv"]


def test_cells_of_several_kinds_in_several_files(write, tmp_path):
    write("d/a.jsonl", '{"source": "a", "n": 1}\n')
    write("d/b.jsonl", '{"source": "b", "n": "one"}\n')
    with pytest.raises(InputError, match=r"d: a column has cells of different kinds: .*\bn\b"):
        load_splits(Sources(train_file=str(tmp_path / "d")))


def test_a_header_below_rows_without_one_is_told(write, caplog):
    train = write("train.csv", "cat,k æ t\nbee,b iː\nsea,s iː\n")
    test = write("test.csv", "spelling,sounds\n" + "dog,d ɒ g\nant,æ n t\nowl,aʊ l\n")
    load_splits(PairData(train_file=train, test_file=test))
    assert "test.csv: the first row (spelling | sounds) looks like names of columns" in caplog.text
    caplog.clear()
    load_splits(PairData(train_file=train, test_file=write("b.csv", "dog,d ɒ g\nant,æ n t\n")))
    load_splits(PairData(test_file=test, source_column="1", target_column="2"))
    assert "looks like" not in caplog.text
