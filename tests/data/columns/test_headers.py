import pytest

from hf_seq2seq.data.columns.headers import Header, names_columns

WORDS = [["abacus", "AE B AH K AH S"], ["abandon", "AH B AE N D AH N"], ["ability", "AH B IH L AH T IY"]]
IPA = [["abacus", "æbəkəs"], ["abandon", "əbændən"], ["ability", "əbɪlɪti"]]
SENTENCES = [["Ein Hund läuft.", "A dog runs."], ["Eine Katze schläft", "A cat sleeps"]]
LABELS = [[label, f"said {i}"] for i, label in enumerate(["ham", "spam"] * 6)]


@pytest.mark.parametrize(
    "rows",
    [
        [["source", "target"], *WORDS],
        [["word", "phonemes"]],
        [["word", "pron"], *IPA],
        [["", "prose", "tag"], ["0", "a b", "x"]],
        [["orth", "phon"], *WORDS],
        [["German", "English"], *SENTENCES],
        [["verdict", "wording"], *LABELS],
        [["number", "wording"], ["1", "a"], ["2", "b"]],
        [["my_text"], ["a"], ["b"]],
        [["text"], ["a"], ["b"]],
        [["Prediction"], ["a"], ["b"]],
        [["a", "b", "c"], ["x", "y", "z"]],
        [["source", "source"], ["a", "b"]],
    ],
)
def test_names_above_data(rows):
    assert names_columns(rows)


@pytest.mark.parametrize(
    "rows",
    [
        WORDS,
        WORDS[:1],
        WORDS[:2],
        IPA,
        SENTENCES,
        LABELS,
        [["word", "W ER D"], ["ward", "W AO R D"], ["er", "ER"], ["d", "D IY"]],
        [["aa", "aa"], ["ab", "ap"]],
        [["Hello"], ["How are you"], ["I am fine, thanks"]],
        [["abacus"]],
        [["3", "a b"], ["4", "c d"]],
        [["abacus", "abaci", "N;PL"], ["dog", "dogs", "N;PL"]],
    ],
)
def test_data_alone(rows):
    assert not names_columns(rows)


def test_a_given_name_is_a_name():
    assert names_columns([["orthography", "transcription"], *IPA], frozenset({"transcription"}))
    assert names_columns([["de"], ["Hallo"]], frozenset({"de"}))
    assert not names_columns([["orthography", "transcription"], *IPA])


def test_numbers_stand_for_columns_of_a_file_without_header():
    assert [Header.of("1", None).known, Header.of(None, "source").known, Header.of().known] == [False, None, None]


def test_one_file_tells_of_the_next():
    assert Header().after(["orthography", "ipa"]) == Header(None, frozenset({"orthography", "ipa"}))
    assert Header().after(["1", "2"]) == Header(False, numbered=True)
    assert Header(False).after(["a", "b"]) == Header(False)
