"""Near duplicates: the index against comparing every pair."""

import random

import pytest

from hf_seq2seq.analysis.near_duplicates import NearDuplicates, similarity, trigrams


@pytest.mark.parametrize("least", [0.3, 0.8, 1.0])
def test_the_index_misses_nothing(least: float) -> None:
    draw = random.Random(1)
    words = ["dog", "dogs", "a", "the", "runs", "ran", "Über", "x"]
    texts = [" ".join(draw.choices(words, k=draw.randint(1, 6))) for _ in range(150)]
    index = NearDuplicates(texts[:100], least)
    found = 0
    for text in texts[50:]:
        right = [(n, similarity(trigrams(text), trigrams(other))) for n, other in enumerate(texts[:100])]
        assert index.like(text) == [(number, alike) for number, alike in right if alike >= least]
        found += len(index.like(text))
    assert found > 50


def test_case_punctuation_and_spaces_make_no_difference() -> None:
    assert NearDuplicates(["What are the twin cities ?", "!?", ""]).like("what are  the Twin Cities?") == [(0, 1.0)]
    assert NearDuplicates(["!?"]).like("!?") == [(0, 1.0)]
