"""The most central of several outputs."""

import pytest

from hf_seq2seq.decoding.minimum_bayes_risk import choose_output, most_central, utility_of
from hf_seq2seq.errors import InputError


def test_the_candidate_nearest_to_all_wins() -> None:
    def utility(candidate: str, reference: str) -> float:
        return len(set(candidate) & set(reference))

    assert most_central(["ab", "cdef", "cdeg", "xyz"], utility) in (1, 2)
    assert most_central(["xyz", "ab", "xyz", "abc"], utility) == 0  # drawn twice, it counts twice
    assert most_central(["one"], utility) == 0


def test_errors_are_to_be_small_and_scores_great() -> None:
    texts = ["a dog runs", "the dog runs fast", "the dog runs"]
    assert most_central(texts, utility_of("token_error_rate")) == 2
    assert most_central(texts, utility_of("chrf")) in (1, 2)


def test_bleu_is_that_of_sentences() -> None:
    assert choose_output(["c d", "a b", "a b", "a b"], "", "bleu") == 1
    assert utility_of("bleu")("a b", "a b") == pytest.approx(100)
    with pytest.raises(InputError, match="metric cider: weights n-grams by all rows"):
        choose_output(["a b", "c d"], "", "cider")


def test_an_error_rate_is_not_asked_of_an_empty_reference() -> None:
    assert choose_output(["", "a b", "a b c", "a b"], "", "phoneme_error_rate") == 1
    assert choose_output(["", ""], "", "phoneme_error_rate") == 0


def test_an_unknown_metric() -> None:
    with pytest.raises(InputError, match="did you mean 'chrf'"):
        utility_of("chfr")
