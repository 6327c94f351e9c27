"""Named sets of rows: how an option names them, and what is read from each."""

from pathlib import Path

import pytest

from hf_seq2seq.configs import LabelledData, PairData
from hf_seq2seq.data.evaluation_sets import kind_of, name_of, named_files, sets_of, split_of, title_of
from hf_seq2seq.data.labels import read_labelled
from hf_seq2seq.data.pairs import read_pairs
from hf_seq2seq.data.sources import load_splits, places_of
from hf_seq2seq.errors import InputError


@pytest.mark.parametrize(
    ("value", "sets"),
    [
        ("test.tsv", {"": "test.tsv"}),
        ("test.de,test.en", {"": "test.de,test.en"}),
        ("a=x.tsv", {"a": "x.tsv"}),
        ("english=en.tsv, italian=it.tsv", {"english": "en.tsv", "italian": "it.tsv"}),
        ("a=x.de,x.en,zh-CN=y.de,y.en", {"a": "x.de,x.en", "zh-CN": "y.de,y.en"}),
        ("a=runs/lr=3/x.tsv", {"a": "runs/lr=3/x.tsv"}),
        ("runs/lr=3/x.tsv", {"": "runs/lr=3/x.tsv"}),
    ],
)
def test_names_stand_before_the_first_file_of_a_set(value: str, sets: dict[str, str]) -> None:
    assert named_files("test_file", value) == sets


def test_a_path_that_exists_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a=1.tsv", "b=2.tsv"):
        Path(name).write_text("")
    assert named_files("test_file", "a=1.tsv") == {"": "a=1.tsv"}
    assert named_files("test_file", "a=1.tsv,b=2.tsv") == {"": "a=1.tsv,b=2.tsv"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("test.tsv,italian=it.tsv", r"--test-file: 'test.tsv' has no name, but 'italian' does"),
        ("a=x.tsv,a=y.tsv", "the name 'a' occurs twice"),
        ("a=,b=y.tsv", "no file after 'a='"),
        (" ", "--test-file: ' ' has an empty name of a file"),
        ("a.tsv,", "--test-file: 'a.tsv,' has an empty name of a file"),
    ],
)
def test_half_named_sets_are_refused(value: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        named_files("test_file", value)


def test_splits_of_names() -> None:
    splits = ["train", "validation", split_of("test", "de"), split_of("test", "de_AT")]
    assert sets_of(splits, "test") == ["test_de", "test_de_AT"]
    assert [name_of(split) for split in splits] == ["", "", "de", "de_AT"]
    assert kind_of("test_de_AT") == "test"
    assert title_of("test_de_AT") == "test de_AT"


def test_a_mapping_is_the_same_as_text() -> None:
    assert PairData(test_file={"a": "x.tsv", "b": ["y.de", "y.en"]}).test_file == "a=x.tsv,b=y.de,y.en"
    with pytest.raises(InputError, match=r"--train-file: 'a=x.tsv' names sets; only"):
        load_splits(PairData(train_file={"a": "x.tsv"}))


def test_every_set_is_read_and_capped(tmp_path: Path) -> None:
    files = {}
    for name, rows in (("train", 5), ("one", 4), ("two", 3)):
        for side in ("de", "en"):
            (tmp_path / f"{name}.{side}").write_text("".join(f"{name} {side} {n}\n" for n in range(rows)))
        files[name] = f"{tmp_path}/{name}.de,{tmp_path}/{name}.en"
    tests = f"one={files['one']},two={files['two']}"
    data = PairData(train_file=files["train"], test_file=tests, max_predict_samples=3, validation_file=files["one"])
    pairs = read_pairs(load_splits(data), data)
    assert {split: len(found) for split, found in pairs.items()} == {
        "train": 5, "validation": 4, "test_one": 3, "test_two": 3
    }  # fmt: skip
    assert pairs["test_two"].sources[0] == "two de 0"
    assert pairs["test_two"].targets[0] == "two en 0"
    assert places_of(data, ["test_two"])["test_two"] == files["two"]


def test_a_label_unseen_in_training_is_named_with_its_set(tmp_path: Path) -> None:
    for name, labels in (("train", "01"), ("right", "10"), ("wrong", "02")):
        (tmp_path / f"{name}_text.txt").write_text("a text\nand another\n")
        (tmp_path / f"{name}_labels.txt").write_text("\n".join(labels) + "\n")
    files = {name: f"{tmp_path}/{name}_text.txt,{tmp_path}/{name}_labels.txt" for name in ("train", "right", "wrong")}
    data = LabelledData(train_file=files["train"], test_file={"right": files["right"], "wrong": files["wrong"]})
    with pytest.raises(InputError, match=r"wrong_text.*: row 2, column 'labels': label '2' was not seen in"):
        read_labelled(load_splits(data), data, "single_label")
    data = LabelledData(train_file=files["train"], test_file={"right": files["right"]})
    splits, names = read_labelled(load_splits(data), data, "single_label")
    assert names == ("0", "1")
    assert splits["test_right"].labels.tolist() == [1, 0]
    assert splits["test_right"].columns == {"text": "text", "label": "labels"}


def test_a_folder_may_have_an_equals_sign_in_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "lang=de"
    folder.mkdir()
    for name in ("x.csv", "t.de", "t.en"):
        (folder / name).write_text("x\n")
    for value in ("lang=de/x.csv", "lang=de/t", "lang=de/absent.csv", "lang=de/t.de,lang=de/t.en"):
        assert named_files("test_file", value) == {"": value}
    assert named_files("test_file", "de=lang=de/x.csv,all=x.csv") == {"de": "lang=de/x.csv", "all": "x.csv"}
    assert named_files("test_file", "fr=lang/x.csv") == {"fr": "lang/x.csv"}
