"""Nearest neighbours against a plain distance and scikit-learn's vectors."""

import random

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from hf_seq2seq.baselines.nearest import EditDistances, Options, TfIdf, train
from hf_seq2seq.metrics.words import words

SENTENCES = [
    "a dog runs over the green field",
    "two dogs run over a field",
    "the man in the red shirt sings",
    "a man sings",
    "children play in the snow , near a house",
    "the snow is green",
]


def distance(a: str, b: str) -> int:
    rows = [list(range(len(b) + 1))] + [[i + 1] + [0] * len(b) for i in range(len(a))]
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (x != y))
    return rows[-1][-1]


def test_edit_distance_finds_the_first_of_the_nearest() -> None:
    draw = random.Random(1)
    texts = ["".join(draw.choices("abc", k=draw.randint(0, 7))) for _ in range(150)]
    index = EditDistances(texts)
    for _ in range(100):
        text = "".join(draw.choices("abcd", k=draw.randint(0, 9)))
        found = index.nearest(text)
        distances = [distance(text, other) for other in texts]
        assert distances[found] == min(distances)
        assert found == distances.index(min(distances))


def test_tf_idf_equals_scikit_learn() -> None:
    vectorizer = TfidfVectorizer(tokenizer=words, token_pattern=None, lowercase=False)
    vectors = vectorizer.fit_transform(SENTENCES)
    queries = ["the dog runs in the snow", "a house , a man and two dogs", "unheard of words"]
    expected = (vectorizer.transform(queries) @ vectors.T).toarray()
    index = TfIdf(SENTENCES)
    assert np.array([index.similarities(text) for text in queries]) == pytest.approx(expected)


def test_the_similarity_follows_the_length_and_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert train(["walk", "talk"], ["1", "2"], Options())(["walked", "stalk"]) == ["1", "2"]
    assert "similarity edit_distance" in capsys.readouterr().err
    long = [f"{text} {text}" for text in SENTENCES]
    assert train(long, list("abcdef"), Options())(["snow"]) == ["f"]
    assert "similarity tf_idf" in capsys.readouterr().err
