from pathlib import Path

import pytest

from hf_seq2seq.data.files.lines import column_names, line_rows, rejoined, split_paths
from hf_seq2seq.errors import InputError


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ("train.de,train.en", ["de", "en"]),
        ("d/test_2016.de.gz,d/test_2016.en.gz", ["de", "en"]),
        ("train.de.gz,train.en", ["de", "en"]),
        ("x/train_text.txt,x/train_labels.txt", ["text", "labels"]),
        ("src-train.txt,tgt-train.txt", ["src", "tgt"]),
        ("de/train.txt,en/train.txt", ["de", "en"]),
        ("europarl.de-en.de,europarl.de-en.en", ["de", "en"]),
        ("train.txt,train.de.txt", ["source", "target"]),
        ("a.de,a.en,a.fr", ["de", "en", "fr"]),
        ("a.txt", ["text"]),
    ],
)
def test_columns_are_called_by_what_sets_the_files_apart(paths, names):
    assert column_names(tuple(map(Path, paths.split(",")))) == names


def test_lines_go_together_and_empty_ones_count(write):
    paths = (Path(write("a.de", "eins\r\n\ndrei")), Path(write("a.en.gz", "one\ntwo\nthree\n")))
    assert list(line_rows(paths, "utf-8")) == [("eins", "one"), ("", "two"), ("drei", "three")]


@pytest.mark.parametrize(("first", "second"), [(5, 3), (3, 5), (0, 2)])
def test_unequal_files_are_refused_with_both_counts(write, first, second):
    paths = (Path(write("a.de", "x\n" * first)), Path(write("a.en", "x\n" * second)))
    with pytest.raises(InputError, match=rf"a\.de has {first}, .*a\.en has {second}$"):
        list(line_rows(paths, "utf-8"))


def test_an_undecodable_line_is_laid_to_its_own_file(write):
    paths = (Path(write("a.de", b"K\xe4se\n")), Path(write("a.en", "cheese\n")))
    with pytest.raises(InputError, match=r"a\.de:1"):
        list(line_rows(paths, "utf-8"))


def test_a_stem_and_two_languages_name_two_files(write, tmp_path):
    stem = str(tmp_path / "train")
    write("train.de.gz", "a\n")
    write("train.en.gz", "b\n")
    assert split_paths(stem, ("de", "en")) == (Path(f"{stem}.de.gz"), Path(f"{stem}.en.gz"))
    assert split_paths(stem, ("de", "fr")) == (Path(stem),)


def test_a_comma_may_be_part_of_a_name(write):
    path = write("a,b.txt", "x\n")
    assert split_paths(path) == (Path(path),)
    assert len(split_paths(path.replace("a,b", "c,d"))) == 2


def test_a_comma_may_be_part_of_one_name_of_several(write, tmp_path, monkeypatch):
    for name in ("t,1.de", "t,1.en", "b"):
        write(name, "x\n")
    monkeypatch.chdir(tmp_path)
    assert split_paths("t,1.de,t,1.en") == (Path("t,1.de"), Path("t,1.en"))
    assert rejoined(["b", "t", "1.de", "none", "b"]) == ("b", "t,1.de", "none", "b")
    assert rejoined([]) == ()
