"""The n-gram language model: a probability for every text, and none of them hidden."""

import math

import numpy as np
import pytest

from hf_seq2seq.baselines.kneser_ney import FIRST, UNKNOWN, fit
from hf_seq2seq.baselines.ngram_lm import CODE_POINTS, Options, text_of, train, words_of

LINES = ["the dog runs", "the cat runs", "a dog sleeps", "the dog sleeps near a cat", "a zebra runs", "the gnu sleeps"]


@pytest.mark.parametrize("text", ["", "a", " a  b ", "a\nb", "\n", "a \n\n b\tc\n", "x y"])
def test_words_are_the_whole_text(text: str) -> None:
    assert text_of(words_of(text)) == text


def test_an_unknown_word_costs_its_token_and_its_spelling() -> None:
    """`zebra` and `gnu`, seen once, are unknown in training; so is `yak`, whose y and k no rare word has."""
    read = train(LINES, Options(ngram_order=2))
    vocabulary = [" a", " cat", " dog", " runs", " sleeps", " the"]
    ids = {word: number for number, word in enumerate(vocabulary, FIRST)}
    documents = [np.array([ids.get(word, UNKNOWN) for word in words_of(line)]) for line in LINES]
    words = fit(documents, 2, FIRST + len(ids))
    letters = {letter: number for number, letter in enumerate(sorted(set(" zebragnunear")), FIRST)}
    rare = [np.array([letters[letter] for letter in word]) for word in (" gnu", " near", " zebra")]
    spelling = fit(rare, 6, FIRST + len(letters))
    (tokens,) = words.probabilities([np.array([ids[" the"], UNKNOWN, ids[" runs"]])])
    (spelled,) = spelling.probabilities([np.array([letters[" "], UNKNOWN, letters["a"], UNKNOWN])])
    expected = np.log(tokens).sum() + np.log(spelled).sum() - 2 * math.log(CODE_POINTS)
    assert read(["the yak runs"]).tolist() == [[pytest.approx(expected), 4]]


def test_characters_are_spelled_by_code_points() -> None:
    read = train(["abab", "aba"], Options(units="characters", ngram_order=2))
    model = fit([np.array([3, 4, 3, 4]), np.array([3, 4, 3])], 2, 5)
    (found,) = model.probabilities([np.array([3, UNKNOWN])])
    assert read(["a☃"]).tolist() == [[pytest.approx(np.log(found).sum() - math.log(CODE_POINTS)), 3]]


def test_all_words_together_are_not_likelier_than_one() -> None:
    """What all one-letter texts have together stays below 1."""
    read = train(["a b", "b a", "c"], Options(units="characters", ngram_order=3))
    letters = [chr(code) for code in range(32, 127)]
    assert 0.1 < np.exp(read(letters)[:, 0]).sum() < 1


def test_what_is_unknown_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    read = train(LINES, Options())
    read(["the yak runs", "a dog"])
    assert "ngram_lm: 1 of 7 tokens are unknown; spelling them out is" in capsys.readouterr().err
    read(["the dog"])
    assert not capsys.readouterr().err
