"""Edit distance against the textbook table; error rates on worked examples."""

import random
import time

import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.error_rate import edit_distance, phoneme_error_rate, token_error_rate, word_error_rate


def textbook_distance(left, right):
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        corner, row[0] = row[0], i
        for j, b in enumerate(right, start=1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (a != b))
    return row[-1]


def test_edit_distance_equals_the_textbook_table():
    generator = random.Random(7)
    for _ in range(3000):
        alphabet = "abcdefgh"[: generator.randint(1, 8)]
        left, right = ("".join(generator.choices(alphabet, k=generator.randint(0, 90))) for _ in range(2))
        right = left[: generator.randint(0, 90)] + right if generator.random() < 0.5 else right
        left, right = left[:90], right[:90]
        if generator.random() < 0.9:
            left, right = left[:12], right[:12]
        assert edit_distance(left, right) == textbook_distance(left, right), (left, right)


def test_edit_distance_of_a_known_pair_and_of_long_sequences():
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance(["AH0", "B"], []) == 2
    assert edit_distance("x" * 1000, "x" * 400 + "y" + "x" * 599) == 1


def test_a_thousand_words_take_less_than_a_second():
    generator = random.Random(1)
    phonemes = [f"P{i}" for i in range(40)]
    words = [" ".join(generator.choices(phonemes, k=generator.randint(3, 12))) for _ in range(1000)]
    start = time.process_time()
    phoneme_error_rate(words, [[words[(i * 7) % 1000]] for i in range(1000)])
    assert time.process_time() - start < 1


def test_phoneme_error_rate_pools_the_corpus_and_takes_the_nearest_reference():
    predictions = ["K AE T", "D AO G Z", ""]
    references = [["K AE T S", "K AA T"], ["D AO G", "D AA G Z Z"], ["AH0"]]
    # edits 1 (of 4: the longer of two equally near), 1 (of 3), 1 (of 1)
    assert phoneme_error_rate(predictions, references) == {"phoneme_error_rate": 100 * 3 / 8}
    assert token_error_rate(predictions, references) == {"token_error_rate": 100 * 3 / 8}
    turned = [row[::-1] for row in references]
    assert phoneme_error_rate(predictions, turned) == phoneme_error_rate(predictions, references)


def test_word_error_rate_is_the_share_of_words_not_wholly_right():
    predictions = ["K AE  T ", "D AO G", "", "Z UW"]
    references = [["K AE T"], ["D AA G", "D AO G"], ["AH0"], ["Z UW1"]]
    assert word_error_rate(predictions, references) == {"word_error_rate": 50.0}


def test_insertions_can_exceed_a_hundred_percent():
    assert phoneme_error_rate(["A B C D"], [["X"]])["phoneme_error_rate"] == 400


def test_references_without_any_token_are_refused():
    with pytest.raises(InputError, match="at least one token"):
        phoneme_error_rate(["A"], [[" "]])
