import pytest

from hf_seq2seq.configs import LabelledData
from hf_seq2seq.data.columns.labels import find_label_columns, find_text_columns
from hf_seq2seq.errors import InputError


def find(rows: list[dict] | dict, find=find_label_columns, **options):
    sample = rows if isinstance(rows, list) else [rows]
    return find(list(sample[0]), sample, LabelledData(**options), "train.csv")


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"idx": 1, "sentence": "a", "label": 0}, ("sentence", None, "label")),
        ({"Label": "ham", "SMS": "b"}, ("SMS", None, "Label")),
        ({"premise": "a", "hypothesis": "b", "label": 0}, ("premise", "hypothesis", "label")),
        ({"question": "a", "sentence": "b", "label": 0}, ("question", "sentence", "label")),
        ({"text": "a", "labels": "0"}, ("text", None, "labels")),
        ({"text": "a", "verdict": 1, "id": "x"}, ("text", None, "verdict")),
        ({"headline": "a", "label": "0"}, ("headline", None, "label")),
        ({"title": "x", "text": "a", "label": 0, "label_text": "no"}, ("text", None, "label")),
    ],
)
def test_usual_names_and_what_is_left(row, found):
    assert find(row) == found


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"text_column": "b"}, ("b", None, "label")),
        ({"text_column": "b", "label_column": "a"}, ("b", None, "a")),
        ({"text_column": "b", "text_pair_column": "text", "label_column": "a"}, ("b", "text", "a")),
        ({"label_column": "text", "text_column": "a"}, ("a", None, "text")),
    ],
)
def test_flags_decide(options, found):
    assert find({"text": "x", "a": "y", "b": "z", "label": "w"}, **options) == found


def test_of_two_columns_the_one_that_repeats_is_the_label():
    rows = [{"tag": t, "said": s} for t, s in zip("xyxy", ["a", "b", "c", "d"], strict=True)]
    assert find(rows) == ("said", None, "tag")


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"a": "x", "b": "y"}], {}, "name the columns by --text-column and --label-column; its columns are a, b"),
        ([{"a": "x", "b": "y", "text": "z"}], {}, "name the columns by --label-column; "),
        ([{"a": "x", "b": "y", "label": "z"}], {}, "name the columns by --text-column; "),
        ([{"text": "x"}], {}, "plain text has no labels; give two parallel files"),
        ([{"text": "x", "label": "y"}], {"label_column": "lable"}, "no column 'lable' .*did you mean 'label'"),
        ([{"ham": t, "Hi": s} for t, s in (("spam", "a"), ("ham", "b"), ("ham", "c"), ("ham", "d"))], {}, "like data"),
    ],
)
def test_what_is_unclear_is_asked(rows, options, message):
    with pytest.raises(InputError, match=f"^train.csv: .*{message}"):
        find(rows, **options)


def test_a_label_is_no_text_because_nothing_else_is():
    with pytest.raises(InputError, match="name the column by --text-column; its columns are remark, label"):
        find({"remark": 5, "label": "good"}, find_text_columns)
    assert find({"text": 5, "label": "good"}, find_text_columns) == ("text", None)
    assert find({"idx": 5, "label": "good"}, find_text_columns) == ("label", None)
    assert find({"remark": "a", "label": "good"}, find_text_columns) == ("remark", None)


def test_text_alone_is_found_by_name_or_as_the_only_one():
    assert find({"sentence1": "a", "sentence2": "b"}, find_text_columns) == ("sentence1", "sentence2")
    assert find({"anything": "a", "n": 1}, find_text_columns) == ("anything", None)
    with pytest.raises(InputError, match="name the column by --text-column; its columns are a, b"):
        find({"a": "x", "b": "y"}, find_text_columns)
