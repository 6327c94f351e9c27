import pytest

from hf_seq2seq.data.columns.finding import cell, check_header, named_column
from hf_seq2seq.errors import InputError

FLAGS = ("--source-column", "--target-column")


def test_a_dotted_name_reaches_into_objects():
    row = {"translation": {"de": "a"}, "x.y": "b", "n": None}
    found = [cell(row, c) for c in ("translation.de", "x.y", "translation.fr", "n.a", "q")]
    assert found == ["a", "b", None, None, None]


def test_a_named_column_must_be_there():
    sample = [{"german": "a", "english": "b"}]
    assert named_column(["german", "english"], sample, "source_column", "german", "x") == "german"
    with pytest.raises(InputError) as error:
        named_column(["german", "english"], sample, "source_column", "gemran", "train.csv")
    assert str(error.value) == (
        "train.csv: no column 'gemran' (--source-column); its columns are german, english; did you mean 'german'?"
    )


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("ham", ["spam", "ham"]),
        ("ɑ ɑ", ["æ ɑ", "b"]),
        ("Va !", ["Cours !"]),
        ("Geh weg.", ["Lauf."]),
        ("word " * 20, ["a"]),
    ],
)
def test_data_in_place_of_a_name_is_refused(name, cells):
    with pytest.raises(InputError, match=r"looks like data; .* --source-column 1 --target-column 2"):
        check_header([name], [{name: c} for c in cells], "x.tsv", FLAGS)


@pytest.mark.parametrize(
    ("name", "cells"),
    [("label", ["label", "b"]), ("german", ["ein german", "b"]), ("two words", ["two", "b"]), ("de", ["Il parle de"])],
)
def test_a_name_is_let_through(name, cells):
    check_header([name], [{name: c} for c in cells], "x.tsv", FLAGS)
