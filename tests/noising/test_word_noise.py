"""Noise on words: the rates and the distance that the papers give, the same for the same seed and number."""

import numpy as np
import pytest

from hf_seq2seq.noising.word_noise import WordNoise

TEXT = " ".join(map(str, range(30)))


def test_nothing_changes_without_noise() -> None:
    assert WordNoise(1, 0, 0, 0)("a  b c", 5) == "a b c"


def test_the_same_seed_and_number_give_the_same_noise() -> None:
    noise = WordNoise(1)
    assert noise(TEXT, 3) == noise(TEXT, 3)
    assert len({noise(TEXT, number) for number in range(20)}) == 20
    assert noise(TEXT, 3) != WordNoise(2)(TEXT, 3)


def test_words_move_by_at_most_the_distance_and_do_move() -> None:
    moves = [
        np.array(list(map(int, WordNoise(0, 0, 0, 3)(TEXT, number).split()))) - np.arange(30) for number in range(300)
    ]
    assert np.abs(moves).max() == 3
    assert sorted(np.arange(30) + moves[0]) == list(range(30))
    assert np.mean(np.array(moves) != 0) > 0.5


def test_shares_of_deleted_and_of_blanked_words() -> None:
    noised = [WordNoise(7, 0.1, 0.2, 0, "<x>")(TEXT, number).split() for number in range(500)]
    words = sum(map(len, noised))
    assert words / (500 * 30) == pytest.approx(0.9, abs=0.01)
    assert sum(text.count("<x>") for text in noised) / words == pytest.approx(0.2, abs=0.01)


def test_one_word_is_left_and_an_empty_text_stays_empty() -> None:
    assert all(len(WordNoise(0, 1, 0, 3)("a b c", number).split()) == 1 for number in range(20))
    assert WordNoise(0)("", 1) == ""


def test_text_without_spaces_is_noised_by_characters() -> None:
    found = WordNoise(0, 0, 0, 3)("犬が庭で寝ている", 1)
    assert found != "犬が庭で寝ている"
    assert sorted(found) == sorted("犬が庭で寝ている")
