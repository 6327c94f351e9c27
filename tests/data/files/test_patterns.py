from pathlib import Path

import pytest

from hf_seq2seq.data.files.patterns import shards
from hf_seq2seq.data.files.readers import iterate_rows
from hf_seq2seq.errors import InputError

HEAD = "source\ttarget\n"


def names(value: str, languages: tuple[str | None, ...] = ()) -> list[str]:
    return [",".join(path.name for path in paths) for paths in shards(value, languages)]


@pytest.fixture
def folder(write, tmp_path, monkeypatch) -> Path:
    for name in ("d/b.tsv", "d/a.tsv", "d/c.tsv.zst", "d/deep/a2.tsv", "d/.hidden.tsv", "d/_SUCCESS", "d/notes.txt"):
        write(name, HEAD + f"{name}\tx\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("d/*.tsv", ["a.tsv", "b.tsv"]),
        ("d/[bc].*", ["b.tsv", "c.tsv.zst"]),
        ("d/**/*.tsv", ["a.tsv", "b.tsv", "a2.tsv"]),
        ("d", ["a.tsv", "b.tsv", "c.tsv.zst", "a2.tsv"]),
        ("d/", ["a.tsv", "b.tsv", "c.tsv.zst", "a2.tsv"]),
        ("d/b.tsv,d/a.tsv", ["b.tsv", "a.tsv"]),
        ("d/b.tsv, d/deep", ["b.tsv", "a2.tsv"]),
        ("d/b.tsv", ["b.tsv"]),
        ("d/missing.tsv", ["missing.tsv"]),
    ],
)
def test_files_of_an_option_in_the_order_of_their_names(folder, value, found):
    assert names(value) == found


def test_a_folder_of_plain_text(write, tmp_path):
    write("t/b.txt", "b\n")
    write("t/a.txt", "a\n")
    assert list(iterate_rows(tmp_path / "t")) == [{"text": "a"}, {"text": "b"}]


def test_parallel_patterns(write, tmp_path, monkeypatch):
    for name in ("1.de", "2.de", "1.en", "2.en", "train.de", "train.en"):
        write(name, f"{name}\n")
    monkeypatch.chdir(tmp_path)
    assert names("[12].de,[12].en") == ["1.de,1.en", "2.de,2.en"]
    assert list(iterate_rows("[12].de,[12].en"))[1] == {"de": "2.de", "en": "2.en"}
    assert names("train", ("de", "en")) == names("train.de,train.en") == ["train.de,train.en"]
    with pytest.raises(InputError, match=r"same number of files: '\[12\]\.de' matches 2, '1\.\*n' matches 1"):
        shards("[12].de,1.*n")
    Path("2.en").rename("3.en")
    with pytest.raises(InputError, match=r"must match alike; 2\.de is not parallel to 3\.en"):
        shards("[0-9].de,[0-9].en")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("d/*.csv", r"^d/\*\.csv: no file matches; the nearest name is 'd/[abc]\.tsv"),
        ("e/*.tsv", r"^e/\*\.tsv: no file matches; there is no folder 'e'$"),
        (",", "^',': names no file$"),
        ("d/a.tsv,d/x*.tsv", r"^d/x\*\.tsv: no file matches; the nearest name is 'd/[ab]\.tsv'$"),
    ],
)
def test_a_pattern_without_files(folder, value, said):
    with pytest.raises(InputError, match=said):
        shards(value)


def test_a_folder_without_data_or_of_several_splits(write, tmp_path):
    write("x/readme.md", "")
    with pytest.raises(InputError, match=r"x: is a folder without data files; they end in \.csv, "):
        shards(str(tmp_path / "x"))
    for name in ("y/train-0.tsv", "y/train-1.tsv", "y/test.tsv", "y/more.tsv"):
        write(name, HEAD)
    with pytest.raises(InputError, match=r"y: has files of several splits: 1 of test, 2 of train; .*y/test\*'$"):
        shards(str(tmp_path / "y"))


def test_files_of_other_columns_are_named(write, tmp_path):
    write("z/a.tsv", HEAD + "a\tb\n")
    write("z/b.tsv", "source\tanswer\na\tb\n")
    with pytest.raises(InputError, match=r"z/b\.tsv: has the columns source, answer, but the first file has source, t"):
        list(iterate_rows(tmp_path / "z"))


def test_later_files_are_read_as_the_first_one(write, tmp_path):
    write("n/a.tsv", "walk\twalked\ngo\twent\n")
    write("n/b.tsv", "x_y\tz_y\nsee\tsaw\n")
    assert [row["1"] for row in iterate_rows(tmp_path / "n")] == ["walk", "go", "x_y", "see"]
