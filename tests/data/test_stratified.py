"""Shares and caps of labelled rows."""

from collections import Counter

import numpy as np
import pytest

from hf_seq2seq.configs import LabelledData
from hf_seq2seq.data.labelled_sources import load_labelled_splits
from hf_seq2seq.data.labels import read_labelled
from hf_seq2seq.data.stratified import draw_stratified
from hf_seq2seq.errors import InputError


def sorted_file(write, **counts: int) -> str:
    return write("a.csv", "text,label\n" + "".join(f"t{i},{n}\n" for n, c in counts.items() for i in range(c)))


def labels(rows) -> Counter:
    return Counter(rows["label"])


def test_a_cap_draws_over_a_sorted_file(write):
    data = LabelledData(train_file=sorted_file(write, a=300, b=100, c=2), max_train_samples=40)
    rows = load_labelled_splits(data, "single_label")["train"]
    assert labels(rows) == {"a": 29, "b": 10, "c": 1}
    places = [int(text[1:]) for text, label in zip(rows["text"], rows["label"], strict=True) if label == "a"]
    assert places == sorted(places)
    assert max(places) > 150
    assert load_labelled_splits(data, "single_label")["train"]["text"] == rows["text"]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_caps_of_other_sets_draw_too(write, split):
    path = sorted_file(write, a=30, b=10)
    cap = {"validation": "max_eval_samples", "test": "max_predict_samples"}[split]
    rows = load_labelled_splits(LabelledData(**{f"{split}_file": path, cap: 8}), "single_label")[split]
    assert labels(rows) == {"a": 6, "b": 2}


def test_held_out_rows_have_every_class_and_leave_every_class(write):
    path = sorted_file(write, a=70, b=20, c=9, d=1)
    splits = load_labelled_splits(LabelledData(train_file=path, validation_split_percentage=10), "single_label")
    assert labels(splits["validation"]) == {"a": 7, "b": 2, "c": 1}
    assert labels(splits["train"]) == {"a": 63, "b": 18, "c": 8, "d": 1}


def test_rare_classes_never_end_in_an_error(write):
    """Each of 40 classes has two rows: what is held out has only classes that are trained, too."""
    path = write("a.csv", "text,label\n" + "".join(f"t,n{i // 2}\n" for i in range(80)))
    data = LabelledData(train_file=path, validation_split_percentage=50)
    splits, names = read_labelled(load_labelled_splits(data, "single_label"), data, "single_label")
    assert (len(names), len(splits["train"]), len(splits["validation"])) == (40, 40, 40)


def test_classes_of_one_row_cannot_be_held_out(write):
    data = LabelledData(train_file=sorted_file(write, a=1, b=1), validation_split_percentage=50)
    with pytest.raises(
        InputError, match=r"a\.csv: no class has two rows; none can be held out.* --validation-split-percentage 0"
    ):
        load_labelled_splits(data, "single_label")


@pytest.mark.parametrize("cells", ["[1, 0, {}]", "['x', 'y{}']", "x,y{}"])
def test_several_labels_a_row(write, cells):
    rows = [cells.replace("{}", str(int(i % 20 == 0))) for i in range(100)]
    path = write("a.csv", "text,label\n" + "".join(f't,"{row}"\n' for row in rows))
    splits = load_labelled_splits(LabelledData(train_file=path, validation_split_percentage=20), "multi_label")
    assert len(splits["validation"]) == 20
    assert labels(splits["validation"])[cells.replace("{}", "1")] == 1


def test_no_class_is_drawn_whole():
    """Classes that stand in no row as the rarest one."""
    rows = [["a", "b"], ["a"], ["b"], ["a", "b"], ["c", "a"], ["c", "b"]] * 3
    for seed in range(20):
        drawn = set(draw_stratified(rows, 9, seed, leave_one=True).tolist())
        left = {name for row, names in enumerate(rows) if row not in drawn for name in names}
        assert left == {"a", "b", "c"}


def test_numbers_are_drawn_over_the_file(write):
    path = write("a.csv", "text,label\n" + "".join(f"t,{i}\n" for i in range(100)))
    found = load_labelled_splits(LabelledData(train_file=path, max_train_samples=20), "regression")["train"]["label"]
    assert 30 < np.mean([float(number) for number in found]) < 70
