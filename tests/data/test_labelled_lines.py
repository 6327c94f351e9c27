import pytest

from hf_seq2seq.configs import LabelledData
from hf_seq2seq.data.labelled_sources import load_labelled_splits
from hf_seq2seq.data.labels import read_labelled
from hf_seq2seq.errors import InputError


def read(problem: str = "single_label", names: tuple[str, ...] = (), **files: str):
    data = LabelledData(**files)
    return read_labelled(load_labelled_splits(data, problem, names), data, problem, names)


@pytest.mark.parametrize("form", ["__label__{} {}\n", "{} {}\n", "{}\t{}\n"])
def test_a_label_before_each_text(write, caplog, form):
    rows = [("ham", "see you at noon"), ("spam", "win a prize"), ("ham", "call me"), ("spam", "free now")] * 3
    rows = [(label, f"{text} {number}") for number, (label, text) in enumerate(rows)]
    train = write("train.txt", "".join(form.format(*row) for row in rows) + "\n")
    test = write("test.txt", form.format("spam", "win more") + form.format("ham", "hello there, you"))
    sets, names = read(train_file=train, test_file=test)
    assert names == ("ham", "spam")
    assert sets["train"].texts == [text for _, text in rows]
    assert sets["train"].labels.tolist() == [int(label == "spam") for label, _ in rows]
    assert (sets["test"].texts, sets["test"].labels.tolist()) == (["win more", "hello there, you"], [1, 0])
    assert "read as" in caplog.text


def test_the_labels_of_a_model_tell_those_of_a_few_rows(write):
    sets, _ = read(test_file=write("test.txt", "spam win more\n"), names=("ham", "spam"))
    assert (sets["test"].texts, sets["test"].labels.tolist()) == (["win more"], [1])


def test_numbers_where_a_model_has_names_are_refused_by_them(write):
    path = write("test.txt", "ham see you\n0 win more\n1 hello there\n")
    told = r"test\.txt: row 2: label '0', its first word, is none of the known ones \(ham, spam\)"
    with pytest.raises(InputError, match=told):
        read(test_file=path, names=("ham", "spam"))


def test_several_labels_of_fasttext(write):
    path = write("train.txt", "__label__a __label__b one two\n__label__b three\n")
    sets, names = read("multi_label", train_file=path)
    assert (names, sets["train"].texts) == (("a", "b"), ["one two", "three"])
    assert sets["train"].labels.tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize("form", ["{1} __label__{0}\n", "__label__{0}\t{1}\n", "win __label__{0} more\n"])
def test_a_label_of_fasttext_may_stand_anywhere(write, form):
    path = write("train.txt", form.format("spam", "win  more") + "\n" + form.format("ham", "win  more"))
    sets, names = read(train_file=path)
    assert (names, sets["train"].labels.tolist()) == (("ham", "spam"), [1, 0])
    assert [text.split() for text in sets["train"].texts] == [["win", "more"]] * 2


def test_a_line_without_a_label_among_others_is_refused(write):
    lines = [f"__label__{'ham' if row % 2 else 'spam'} call me {row}\n" for row in range(9)]
    path = write("train.txt", "".join([*lines[:5], "\n", "win more\n", *lines[5:]]))
    with pytest.raises(InputError, match=r"train\.txt:7: 'win more' has no label, such as __label__spam, but other"):
        read(train_file=path)


def test_prose_has_no_labels(write):
    with pytest.raises(InputError, match="plain text has no labels"):
        read(train_file=write("train.txt", "The dog runs.\nA cat sleeps.\nThe bird sings.\n"))
