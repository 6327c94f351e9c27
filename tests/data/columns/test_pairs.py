import pytest

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.columns.conventions import PAIRS
from hf_seq2seq.data.columns.pairs import find_pair_columns, find_source_column
from hf_seq2seq.errors import InputError


def find(row: dict, find=find_pair_columns, **options):
    return find(list(row), [row], PairData(**options), "train.csv")


@pytest.mark.parametrize("pair", PAIRS)
def test_usual_names_are_known(pair):
    assert find({"id": "1", "notes": "x", pair[1]: "b", pair[0]: "a"}) == pair


def test_capitals_do_not_matter():
    assert find({"n": "1", "Target": "b", "x": "c", "SOURCE": "a"}) == ("SOURCE", "Target")


@pytest.mark.parametrize(
    ("row", "options", "found"),
    [
        ({"source": "a", "target": "b", "x": "c"}, {"source_column": "x"}, ("x", "target")),
        ({"source": "a", "target": "b", "x": "c"}, {"target_column": "x"}, ("source", "x")),
        ({"source": "a", "target": "b"}, {"source_column": "target", "target_column": "source"}, ("target", "source")),
        ({"q": "a", "w": "b"}, {"source_column": "w"}, ("w", "q")),
        ({"title": "a", "source": ["x"], "target": ["b"], "n": "c"}, {"source_column": "title"}, ("title", "target")),
        ({"a": {"x": "1"}, "b": "c", "z": "d"}, {"source_column": "a.x", "target_column": "b"}, ("a.x", "b")),
    ],
)
def test_a_flag_decides_and_the_other_side_follows(row, options, found):
    assert find(row, **options) == found


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"german": "a", "english": "b"}, ("german", "english")),
        ({"id": "7", "german": "a", "english": "b", "n": 3}, ("german", "english")),
        ({"german": "a", "score": "0.5", "english": "b"}, ("german", "english")),
        ({"sum": "1", "is": "2"}, ("sum", "is")),
        ({"references": ["b"], "german": "a"}, ("german", "references")),
        ({"summary": "S", "story": "a", "n": 3}, ("story", "summary")),
    ],
)
def test_the_only_text_columns_left_are_taken_in_order(row, found):
    assert find(row) == found


@pytest.mark.parametrize(
    ("row", "options", "found"),
    [
        ({"translation": {"de": "a", "en": "b"}}, {"source_lang": "en", "target_lang": "de"}, ("en", "de")),
        ({"translation": {"de": "a", "en": "b"}}, {"source_lang": "en_XX", "target_lang": "de_DE"}, ("en", "de")),
    ],
)
def test_languages_are_keys_of_an_object(row, options, found):
    assert find(row, **options) == tuple(f"translation.{language}" for language in found)


def test_languages_are_columns():
    row = {"fr": "c", "de": "a", "en": "b"}
    assert find(row, source_lang="en", target_lang="de") == ("en", "de")


def test_languages_that_name_no_column_do_not_stand_in_the_way():
    assert find({"source": "a", "target": "b"}, source_lang="en", target_lang="de") == ("source", "target")


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        ({"a": "x", "b": "y", "c": "z"}, {}, "name the columns by --source-column and --target-column; .* a, b, c"),
        ({"a": "x", "b": "y", "c": "z"}, {"source_column": "a"}, "name the columns by --target-column; "),
        ({"instruction": "x", "input": "y", "output": "z"}, {}, "name the columns by --source-column and"),
        ({"translation": {"de": "a", "en": "b"}}, {}, "'translation' has de, en; give --source-lang and --target-"),
        (
            {"translation": {"de": "a", "en": "b"}},
            {"source_lang": "fr"},
            "no language 'fr' .*; its languages are de, en",
        ),
        ({"ein": "x", "one": "y", "un": "z"}, {}, "give them by number, as in --source-column 1 --target-column 2"),
        ({"text": "a"}, {}, "plain text has no targets"),
        ({"text": "a\tb"}, {}, "tabs in it; give --source-column 1 --target-column 2"),
        ({"source": "a", "target": "b"}, {"target_column": "traget"}, "no column 'traget' .*did you mean 'target'"),
        ({"aa": "a", "ɑ ɑ": "ɑ"}, {}, "looks like data"),
    ],
)
def test_what_is_unclear_is_asked(row, options, message):
    with pytest.raises(InputError, match=f"^train.csv: .*{message}"):
        find(row, **options)


NUMBERED = [{"1": f"{number} hi", "2": "hello"} for number in (1, 2, 4, 5, 6, 1, 2, 3)]


def test_lines_of_dialogues_are_no_pairs_unless_columns_are_named():
    with pytest.raises(InputError, match=r"^d\.txt: .*\(1, 2, 4, …\) .*--objective dialogue .*--source-column 1$"):
        find_pair_columns(["1", "2"], NUMBERED, PairData(), "d.txt")
    assert find_pair_columns(["1", "2"], NUMBERED, PairData(source_column="1"), "d.txt") == ("1", "2")


@pytest.mark.parametrize("counts", [(3, 1, 12, 5, 2), (1, 2, 3)])
def test_amounts_or_few_rows_are_no_dialogues(counts):
    rows = [{"1": f"{count} apples", "2": f"{count} Äpfel"} for count in counts]
    assert find_pair_columns(["1", "2"], rows, PairData(), "d.txt") == ("1", "2")


def test_numbered_columns_are_no_data_in_place_of_a_header():
    assert find({"1": "1", "2": "2"}, source_column="1") == ("1", "2")


@pytest.mark.parametrize(
    ("row", "options", "source"),
    [
        ({"anything": "a"}, {}, "anything"),
        ({"source": "a", "target": "b"}, {}, "source"),
        ({"document": "a", "notes": "b"}, {}, "document"),
        ({"article": "a", "text": "b", "highlights": "c"}, {}, "article"),
        ({"x": "a", "y": "b"}, {"source_column": "y", "target_column": "absent"}, "y"),
        ({"translation": {"de": "a"}}, {"source_lang": "de", "target_lang": "en"}, "translation.de"),
        ({"source": 123, "target": "a b"}, {}, "source"),
        ({"source": ["x"], "target": "a b"}, {}, "source"),
        ({"source": None, "target": "a b"}, {}, "source"),
        ({"document": {"body": "D"}, "summary": "S"}, {}, "document"),
        ({"id": 7, "target": "a b"}, {}, "target"),
        ({"mine": "a", "summary": "S"}, {}, "mine"),
    ],
)
def test_a_source_is_found_without_a_target(row, options, source):
    assert find(row, find_source_column, **options) == source


def test_a_target_is_no_source_because_nothing_else_is_text():
    with pytest.raises(InputError, match="name the columns by --source-column; its columns are mine, summary"):
        find({"mine": 5, "summary": "S"}, find_source_column)


def test_an_unclear_source_is_asked():
    with pytest.raises(InputError, match="name the columns by --source-column; its columns are x, y"):
        find({"x": "a", "y": "b"}, find_source_column)


def test_conversations_are_not_taken_for_pairs():
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    message = "^train.csv: column 'messages' has conversations, which --objective dialogue reads$"
    for finder in (find_pair_columns, find_source_column):
        with pytest.raises(InputError, match=message):
            find(row, finder)
