"""Each rule of cleaning on rows planted for it, and on sound rows that resemble them."""

import sys

import pytest

from hf_seq2seq.data.cleaning.cleaner import Cleaner, describe
from hf_seq2seq.data.cleaning.encodings import broken_part
from hf_seq2seq.data.cleaning.normal_form import hash_of, normal_form
from hf_seq2seq.data.cleaning.options import RULES, Cleaning
from hf_seq2seq.data.cleaning.rules import Pair, are_spaced, count_words, empty
from hf_seq2seq.errors import InputError

SOUND = Pair("Ein Hund schläft.", "A dog sleeps.")


def verdicts(*pairs: tuple[str, str], against: dict[str, list[str]] | None = None, **options) -> list[str | None]:
    seen = against and {side: frozenset(map(hash_of, texts)) for side, texts in against.items()}
    cleaner = Cleaner(Cleaning(**options), {"source": None, "target": None}, seen)
    return [found and found[0] for found in (cleaner(Pair(*pair)) for pair in pairs)]


@pytest.mark.parametrize(
    ("rule", "pair", "options"),
    [
        ("empty", ("", "A dog sleeps."), {}),
        ("empty", ("Ein Hund", " \u3000\t"), {}),
        ("broken_encoding", ("Ein Hund schlÃ¤ft.", "A dog sleeps."), {}),
        ("broken_encoding", ("Ein Hund schl\ufffdft.", "A dog sleeps."), {}),
        ("broken_encoding", ("Ein Hund schläft.", "A dog\x00 sleeps."), {}),
        ("identical", ("Berlin  (AP)", "Berlin (AP)"), {}),
        ("length", ("Ein Hund", "A dog sleeps there."), {"max_words": 3}),
        ("length", ("Hund", "A dog"), {"min_words": 2}),
        ("length", ("狗在睡觉", "A dog"), {"max_words": 3}),
        ("length_ratio", ("@@", "Front stroke swimming race"), {}),
        ("length_ratio", ("Ein Hund schläft.", "Dog"), {"length_ratio": 3}),
        ("script", ("Ein Hund schläft.", "Собака спит."), {"target_script": "Latn"}),
        ("script", ("犬が寝ている", "A dog"), {"source_script": "Hang"}),
        (
            "overlap",
            ("ein hund SCHLÄFT", "Something else."),
            {"against": {"source": ["Ein Hund schläft."], "target": []}},
        ),
        ("overlap", ("Etwas", "A dog  sleeps!"), {"against": {"source": [], "target": ["A dog sleeps."]}}),
    ],
)
def test_a_planted_row_is_dropped_by_its_rule(rule: str, pair: tuple[str, str], options: dict) -> None:
    assert verdicts(SOUND, pair, **{"length_ratio": 9} | options if rule != "overlap" else options)[-1] == rule
    if rule != "overlap":
        options = {name: value for name, value in options.items() if name != "against"}
        assert verdicts(pair, skip_rules=(rule,), **options)[0] != rule


@pytest.mark.parametrize(
    ("pair", "options"),
    [
        (SOUND, {"source_script": "latin", "target_script": "Latn", "min_words": 3, "max_words": 3}),
        (("„Das macht Spaß“, sagt er.", "“That’s fun”, he says."), {}),
        (("« CAFÉ» – 3 m² à 5 °C…", "“CAFÉ” - 3 m² at 5 °C"), {}),
        (("«IRMÃ»", "SISTER"), {}),
        (("Łódź, Ñandú, Ångström", "Lodz, nandu, angstrom"), {}),
        (("3 + 4 = 7", "3 + 4 is 7"), {"target_script": "Latn"}),
        (("ABC の犬が寝ている", "The dog sleeps"), {"source_script": "Jpan"}),
    ],
)
def test_a_sound_row_is_kept(pair: tuple[str, str], options: dict) -> None:
    assert verdicts(pair, **options) == [None]


def test_mojibake_of_every_language_is_found_and_its_meaning_told() -> None:
    for text in ("für", "cœur", "naïve", "она", "είναι", "犬が", "it’s", "„so“", "25 °C", "Łódź", "🙂"):
        broken = "".join(
            bytes([byte]).decode("cp1252") if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else chr(byte)
            for byte in text.encode()
        )
        assert broken_part(text) is None, text
        assert broken_part(broken) is not None, text
    assert broken_part("fÃ¼r") == "'Ã¼' seems to be 'ü' in the wrong encoding"


def test_duplicates_are_of_the_normal_form_and_of_kept_rows_alone() -> None:
    again = ("ein HUND schläft", "a dog sleeps")
    other = ("Ein Hund schläft.", "The dog is asleep.")
    assert verdicts(SOUND, again, other) == [None, "duplicate", None]
    assert verdicts(SOUND, other, unique=("source",)) == [None, "duplicate"]
    assert verdicts(SOUND, other, unique=("target",)) == [None, None]
    assert verdicts(SOUND, SOUND, unique=()) == [None, None]
    # The first row is dropped by another rule, so the second is not a repetition of it.
    assert verdicts(("Hund", "A dog sleeps"), ("Ein Hund", "A dog sleeps"), unique=("target",), min_words=2) == [
        "length",
        None,
    ]


def test_normal_forms() -> None:
    assert normal_form("“A\u00a0dog”,  it’s ＡＢＣ!") == "a dog it s abc"
    assert normal_form("Cafe\u0301") == normal_form("CAFÉ")
    assert normal_form("...") == "..."  # a text of punctuation alone keeps it
    assert normal_form("कि") != normal_form("की")  # vowel signs are not punctuation
    assert hash_of("a", "b c") != hash_of("a b", "c")


def test_words_are_counted_with_ideograms() -> None:
    assert count_words("A dog sleeps.") == 3
    assert count_words("我有 iPhone 手机") == 5


def test_counts_add_up() -> None:
    cleaner = Cleaner(Cleaning(), {"source": None, "target": None})
    for pair in (SOUND, SOUND, ("", "x"), ("x", "x")):
        cleaner(Pair(*pair))
    cleaner.refuse()
    counts = cleaner.counts
    assert counts["rows"] == 5
    assert counts["kept"] == 1
    assert {name: count for name, count in counts["dropped"].items() if count} == {
        "duplicate": 1,
        "empty": 1,
        "identical": 1,
        "not_text": 1,
    }
    assert "1 of 5 rows are kept (20.0 %), 4 dropped" in describe(counts, "x.tsv")


def test_rules_that_cannot_apply_do_not() -> None:
    assert list(Cleaner(Cleaning(), {}).rules) == [
        name for name in RULES if name not in ("script", "language", "overlap")
    ]


def test_bad_options() -> None:
    for options, words in (
        ({"min_words": 5, "max_words": 3}, "--min-words: 5 is more than --max-words 3"),
        ({"source_script": "Latm"}, "--source-script: unknown script 'Latm'; did you mean 'Latn'"),
        ({"check_language": True}, "--check-language: give --source-lang, --target-lang or both"),
    ):
        with pytest.raises(InputError, match=words):
            Cleaner(Cleaning(**options), {"source": None, "target": None})


def test_languages() -> None:
    pytest.importorskip("py3langid")
    cleaner = Cleaner(Cleaning(check_language=True), {"source": "de_DE", "target": "en"})
    right = ("Ein kleiner Hund schläft unter dem Tisch.", "A small dog is sleeping under the table.")
    assert cleaner(Pair(*right)) is None
    found = cleaner(Pair(*reversed(right)))
    assert found is not None
    assert found[0] == "language"
    with pytest.raises(InputError, match="--target-lang: --check-language cannot identify 'xx'"):
        Cleaner(Cleaning(check_language=True), {"target": "xx"})


def test_without_a_package_for_languages_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("lingua", "py3langid", "py3langid.langid"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        InputError, match=r"^--check-language: needs one more package: pip install 'hf-seq2seq\[langid\]'$"
    ):
        Cleaner(Cleaning(check_language=True), {"source": "de", "target": None})


def test_a_missing_text_that_pandas_wrote_is_empty_among_sentences_and_a_word_among_words() -> None:
    sentences, words = ["a man", "nan", "two dogs"], ["nan", "dog", "cat house", "x"]
    assert (are_spaced(sentences), are_spaced(words), are_spaced(["nan"])) == (True, False, False)
    why = empty(frozenset({"target"}))
    assert why(Pair("ein Mann", " NaN ")) == "the target is 'NaN', which stands for a missing text"
    assert why(Pair("nan", "n a n")) is None
    assert why(Pair("ein Mann", "nan bread")) is None
    assert empty()(Pair("ein Mann", "nan")) is None
