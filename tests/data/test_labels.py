import json
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from hf_seq2seq.configs import LabelledData
from hf_seq2seq.data.labelled_texts import Labelled
from hf_seq2seq.data.labels import read_labelled
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.errors import InputError


def read(problem: str = "single_label", names: tuple[str, ...] = (), **options):
    data = LabelledData(**options)
    return read_labelled(load_splits(data), data, problem, names)


def jsonl(*labels: object) -> str:
    return "".join(json.dumps({"text": "t", "label": label}) + "\n" for label in labels)


def csv(*labels: str) -> str:
    return "text,label\n" + "".join(f"t,{label}\n" for label in labels)


@pytest.mark.parametrize(
    ("labels", "names", "ids"),
    [
        (["ham", "spam", "ham"], ("ham", "spam"), [0, 1, 0]),
        (["b", "a", "Ü", "B"], ("B", "a", "b", "Ü"), [2, 1, 3, 0]),
        ([10, 2, 10, -1], ("-1", "2", "10"), [2, 1, 2, 0]),
        (["10", "2", "x"], ("10", "2", "x"), [0, 1, 2]),
        ([1.0, 0.0, 2], ("0", "1", "2"), [1, 0, 2]),
        ([True, False], ("false", "true"), [1, 0]),
        (["1.0", "0.0", "1"], ("0.0", "1"), [1, 0, 1]),
        ([" a", "a ", "b"], ("a", "b"), [0, 0, 1]),
    ],
)
def test_names_keep_an_order_that_people_expect(write, labels, names, ids):
    splits, found = read(train_file=write("a.jsonl", jsonl(*labels)))
    assert found == names
    assert splits["train"].labels.dtype == np.int64
    assert splits["train"].labels.tolist() == ids


def test_numbers_in_csv_are_sorted_as_numbers(write):
    splits, names = read(train_file=write("a.csv", csv("10", "2", "1")), test_file=write("t.csv", csv("2", "10")))
    assert names == ("1", "2", "10")
    assert splits["test"].labels.tolist() == [1, 2]


def test_texts_second_texts_and_columns(write):
    path = write("a.csv", "premise,hypothesis,label\na,b,0\nc,d,1\n")
    rows = read(train_file=path)[0]["train"]
    assert (rows.texts, rows.pairs) == (["a", "c"], ["b", "d"])
    assert rows.columns == {"text": "premise", "text_pair": "hypothesis", "label": "label"}
    assert len(rows) == 2
    assert read(train_file=path, text_column="premise", label_column="label")[0]["train"].pairs is None


def saved(folder: Path, label: object, **splits: list) -> str:
    features = Features({"text": Value("string"), "label": label})
    sets = {
        split: Dataset.from_dict({"text": [f"t{i}" for i in range(len(labels))], "label": labels}, features=features)
        for split, labels in splits.items()
    }
    DatasetDict(sets).save_to_disk(folder)
    return str(folder)


NAMES = ClassLabel(names=["zebra", "ape", "newt"])


def test_class_labels_keep_their_names_and_order(tmp_path):
    splits, names = read(dataset_name=saved(tmp_path / "d", NAMES, train=[1, 0, 1], test=[2, 0]))
    assert names == ("zebra", "ape", "newt")
    assert splits["train"].labels.tolist() == [1, 0, 1]
    assert splits["test"].labels.tolist() == [2, 0]


def test_class_labels_and_names_in_a_file_go_together(tmp_path, write):
    splits, _ = read(
        dataset_name=saved(tmp_path / "d", NAMES, train=[1, 0]), test_file=write("t.csv", csv("newt", "zebra"))
    )
    assert splits["test"].labels.tolist() == [2, 0]


def test_rows_marked_as_not_labelled_are_left_out(tmp_path, caplog):
    folder = saved(tmp_path / "d", NAMES, train=[1, -1, 0], validation=[-1, 2], test=[-1, -1])
    splits, _ = read(dataset_name=folder)
    assert {split: (rows.texts, rows.labels.tolist()) for split, rows in splits.items()} == {
        "train": (["t0", "t2"], [1, 0]),
        "validation": (["t1"], [2]),
    }
    assert "split test: rows without a label (-1) are skipped: 2" in caplog.text
    with pytest.raises(InputError, match="split train: no row has a label"):
        read(dataset_name=saved(tmp_path / "e", NAMES, train=[-1, -1], test=[1, 0]))


def test_the_names_of_a_trained_model_fix_the_ids(write):
    path = write("t.csv", csv("b", "b"))
    splits, names = read(names=("c", "b", "a"), test_file=path)
    assert (splits["test"].labels.tolist(), names) == ([1, 1], ("c", "b", "a"))
    with pytest.raises(InputError, match="row 1 after the header, column 'label': label 'b' was not seen in training"):
        read(names=("x", "y"), test_file=path)


@pytest.mark.parametrize("labels", [[["b", "a"], [], ["c"]], ["b, a", "", "c"], [["b", "a", "a"], [], ["c"]]])
def test_several_labels_a_row(write, labels):
    splits, names = read("multi_label", train_file=write("a.jsonl", jsonl(*labels)))
    assert names == ("a", "b", "c")
    assert splits["train"].labels.dtype == np.float32
    assert splits["train"].labels.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    "cells",
    [
        ["['b', 'a']", "[]", '["c"]'],
        ["['b' 'a']", "[ ]", "['c']"],
        ["[b, a]", "", "[c]"],
        ["('b', 'a')", "", "{'c'}"],
        ["b|a", "", "c"],
        ["b; a", "", "c"],
    ],
)
def test_lists_written_in_csv_cells_are_lists(write, cells):
    path = write("a.csv", "text,label\n" + "".join('t,"{}"\n'.format(cell.replace('"', '""')) for cell in cells))
    splits, names = read("multi_label", train_file=path)
    assert names == ("a", "b", "c")
    assert splits["train"].labels.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    "labels",
    [
        [[1, 0, 0], [0, 0, 0], [1, 0, 1]],
        [[True, False, False], [False, False, False], [True, False, True]],
        [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]],
        ["[1, 0, 0]", "[0, 0, 0]", "[1, 0, 1]"],
        ["[1 0 0]", "[0 0 0]", "[1 0 1]"],
        ["1 0 0", "0 0 0", "1 0 1"],
        ["[True, False, False]", "[False, False, False]", "[True, False, True]"],
    ],
)
def test_zeros_and_ones_are_a_class_each(write, labels):
    path = write("a.jsonl", jsonl(*labels))
    expected = [[1, 0, 0], [0, 0, 0], [1, 0, 1]]
    splits, names = read("multi_label", train_file=path)
    assert names == ("0", "1", "2")
    assert splits["train"].labels.tolist() == expected
    splits, names = read("multi_label", ("toxic", "rude", "fine"), test_file=path)
    assert names == ("toxic", "rude", "fine")
    assert splits["test"].labels.tolist() == expected


@pytest.mark.parametrize(("labels", "told"), [(["a b", "b"], True), (["a/b", "b"], True), (["a,b", "b"], False)])
def test_labels_that_nothing_divides_are_reported(write, caplog, labels, told):
    read("multi_label", train_file=write("a.jsonl", jsonl(*labels)))
    assert ("no row has several labels" in caplog.text) == told


def test_numbers_of_classes_are_no_zeros_and_ones(write):
    splits, names = read("multi_label", train_file=write("a.jsonl", jsonl([0, 1], [1], [], [2])))
    assert names == ("0", "1", "2")
    assert splits["train"].labels.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_zeros_and_ones_are_as_many_in_every_split(write):
    files = {"train_file": write("a.jsonl", jsonl([1, 0, 0])), "test_file": write("t.jsonl", jsonl([1, 0]))}
    with pytest.raises(InputError, match=r"t\.jsonl: row 1, column 'label': .*1, 0.* instead of 3 zeros and ones"):
        read("multi_label", **files)


@pytest.mark.parametrize("cell", ["['a'", "[['a'], ['b']]", "['a', {'b': 1}]"])
def test_what_only_looks_like_a_list_is_refused_or_a_name(write, cell):
    path = write("a.jsonl", jsonl(cell, "x"))
    if cell.endswith("]"):
        with pytest.raises(InputError, match=r"row 1, column 'label': .* is not a list of labels"):
            read("multi_label", train_file=path)
    else:
        assert read("multi_label", train_file=path)[1] == ("['a'", "x")


def test_a_written_list_is_no_single_label(write):
    with pytest.raises(InputError, match=r"row 1, .*: list .* is not a label; lists need --problem-type multi_label"):
        read(train_file=write("a.jsonl", jsonl("['a', 'b']", "['a']")))
    assert read(train_file=write("a.jsonl", jsonl("[other]", "x")))[1] == ("[other]", "x")


@pytest.mark.parametrize("written", [("true", "false"), ("True", "False"), (True, False)])
@pytest.mark.parametrize("tested", [("true", "false"), ("TRUE", "FALSE"), (True, False)])
def test_truth_has_one_name(write, written, tested):
    splits, names = read(train_file=write("a.jsonl", jsonl(*written)), test_file=write("t.jsonl", jsonl(*tested)))
    assert [name.lower() for name in names] == ["false", "true"]
    assert splits["test"].labels.tolist() == splits["train"].labels.tolist() == [1, 0]


def test_one_class_in_several_spellings(write):
    splits, names = read(train_file=write("a.csv", csv("True", "FALSE", "true", "False")))
    assert (names, splits["train"].labels.tolist()) == (("false", "true"), [1, 0, 1, 0])


def test_whole_numbers_have_one_name(write):
    splits, _ = read(train_file=write("a.csv", csv("1.0", "0.0")), test_file=write("t.jsonl", jsonl(1, 0)))
    assert splits["test"].labels.tolist() == [1, 0]


def test_several_class_labels_a_row(tmp_path):
    splits, names = read("multi_label", dataset_name=saved(tmp_path / "d", List(NAMES), train=[[1, 2], []]))
    assert names == ("zebra", "ape", "newt")
    assert splits["train"].labels.tolist() == [[0, 1, 1], [0, 0, 0]]


def test_numbers_for_regression(write):
    splits, names = read("regression", train_file=write("a.csv", csv("0.5", "-2", "1e3")))
    assert names == ()
    assert splits["train"].labels.dtype == np.float32
    assert splits["train"].labels.tolist() == [0.5, -2.0, 1000.0]


@pytest.mark.parametrize(
    ("problem", "labels", "message"),
    [
        (
            "single_label",
            ["a", None, "b"],
            "row 2, column 'label': no label; fill it in, or give --skip-empty",
        ),
        ("single_label", ["a", " ", "b"], "row 2, column 'label': no label"),
        ("single_label", [0.5, 1.5], "row 1, column 'label': number 0.5 is not a label; .*--problem-type regression"),
        ("single_label", [["a"], ["b"]], "row 1, column 'label': list .* is not a label; .*--problem-type multi_label"),
        ("single_label", ["a", "a"], "column 'label': all labels are 'a'; a classifier needs at least two classes"),
        ("multi_label", [[], []], "column 'label': there is no label"),
        ("multi_label", [["a", None]], "row 1, column 'label': no label"),
        ("regression", ["1", "x"], "row 2, column 'label': text 'x' is not a number"),
        ("regression", [1, None], "row 2, column 'label': no number; regression needs one"),
        ("regression", ["1", "nan"], "row 2, column 'label': no number"),
        ("regression", [True, False], "row 1, column 'label': true or false True is not a number"),
    ],
)
def test_a_label_that_is_none_is_refused_with_its_place(write, problem, labels, message):
    with pytest.raises(InputError, match=rf"a\.jsonl: {message}"):
        read(problem, train_file=write("a.jsonl", jsonl(*labels)))


@pytest.mark.parametrize("problem", ["single_label", "multi_label"])
def test_a_label_that_training_never_saw_is_refused(write, problem):
    with pytest.raises(InputError) as error:
        read(problem, train_file=write("a.csv", csv("ham", "spam")), test_file=write("t.csv", csv("ham", "spm")))
    place = "t.csv: row 2 after the header, column 'label': "
    assert f"{place}label 'spm' was not seen in training; did you mean 'spam'?" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"), [(None, "null"), ("", "empty text"), (5, "number 5 instead of text"), (["a"], "list")]
)
def test_texts_are_checked(write, text, message):
    rows = [json.dumps({"text": text, "label": label}) + "\n" for label in "ab"]
    with pytest.raises(InputError, match=rf"a\.jsonl: row 1, column 'text': {message}"):
        read(train_file=write("a.jsonl", "".join(rows)))


def test_a_text_file_and_a_label_file_line_up(write):
    value = ",".join([write("train_text.txt", "good\nbad\n"), write("train_labels.txt", "1\n0\n")])
    splits, names = read(train_file=value)
    assert names == ("0", "1")
    assert splits["train"].texts == ["good", "bad"]
    assert splits["train"].labels.tolist() == [1, 0]


def test_every_split_must_have_the_columns(write):
    with pytest.raises(InputError, match=r"t\.csv: no column 'label' \(--label-column\); its columns are text, tag"):
        read(train_file=write("a.csv", csv("x", "y")), test_file=write("t.csv", "text,tag\na,x\n"))


def test_no_splits_have_no_labels():
    assert read_labelled({}, LabelledData(), "single_label") == ({}, ())
    assert len(Labelled([], None, np.zeros(0), {})) == 0


def test_rows_with_an_empty_cell_are_left_out_on_request(write, caplog):
    path = write("a.csv", "text,label,note\na,x,\n,x,n\nb,,n\nc,y,n\n")
    data = LabelledData(train_file=path, skip_empty=True)
    rows, names = read_labelled(load_splits(data), data, "single_label")
    assert (rows["train"].texts, rows["train"].labels.tolist(), names) == (["a", "c"], [0, 1], ("x", "y"))
    assert "2 of 4 rows have an empty cell and are skipped" in caplog.text
