"""Modifiers of pairs: what each does, and that a seed decides it."""

import random

import pytest

from hf_seq2seq.data.modifiers import (
    MODIFIERS,
    Modifier,
    tagged,
    title_case,
    typos,
    upper_case,
    with_terms,
    without_punctuation,
)
from hf_seq2seq.metrics.error_rate import edit_distance

TEXT = "Ein kleiner Hund läuft über den grünen Rasen und frisst 12 Äpfel."


def test_case_and_punctuation() -> None:
    assert upper_case("heLLo wörld", "ça va ?") == ("HELLO WÖRLD", "ÇA VA ?")
    assert title_case("heLLo  wörld", "l'eau d'ici") == ("Hello  Wörld", "L'eau D'ici")
    assert without_punctuation("Hello, you!", "Wie geht es ?") == ("Hello, you", "Wie geht es")
    assert without_punctuation("...", "你好。") == ("...", "你好")


@pytest.mark.parametrize("seed", range(30))
def test_a_typo_is_one_or_two_edits_in_each_chosen_word(seed: int) -> None:
    found = typos(TEXT, 1.0, random.Random(seed))
    assert found == typos(TEXT, 1.0, random.Random(seed))
    for word, typed in zip(TEXT.split(), found.split(), strict=True):
        assert edit_distance(word, typed) <= 2
        assert word != "12" or typed == "12"
    assert found != TEXT
    once = typos(TEXT, 0.0, random.Random(seed))
    assert sum(a != b for a, b in zip(TEXT.split(), once.split(), strict=True)) <= 1


def test_a_text_without_words_has_no_typo() -> None:
    assert typos("1 2 !", 1.0, random.Random(0)) == "1 2 !"
    assert len(typos("ab", 1.0, random.Random(0))) in (1, 2, 3)


def test_tags_and_terms() -> None:
    assert tagged("guten Tag", "<bt>") == "<bt> guten Tag"
    terms = {"Hund": "dog", "Rasen": "grass", "un": "x"}
    source = with_terms(TEXT, "A small dog on the lawn", terms, "{src} <{trg}>", random.Random(1))
    assert source == TEXT.replace("Hund", "Hund <dog>")  # no grass in the target, and no word "un"
    assert with_terms(TEXT, "nothing of it", terms, "{src} {trg}", random.Random(1)) == TEXT


def test_every_modifier_is_a_function_of_its_seed() -> None:
    options = {"tag": "<t>", "share": "0.5"}
    for name in MODIFIERS:
        modifier = Modifier(name, 1.0, options, {"Hund": "dog"})
        found = [modifier(TEXT, "The dog runs.", random.Random(5)) for _ in range(2)]
        assert found[0] == found[1] != (TEXT, "The dog runs.")
