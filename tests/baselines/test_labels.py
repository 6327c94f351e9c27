"""Linear models and naive Bayes on texts, against counts made by hand."""

import sys
from collections import Counter
from math import exp, log

import numpy as np
import pytest

from hf_seq2seq.baselines import BASELINES
from hf_seq2seq.baselines.baseline import LabelledTexts
from hf_seq2seq.baselines.features import Features, TextFeatures
from hf_seq2seq.errors import InputError

TEXTS = ["good good film", "bad film", "a good time", "bad bad bad", "a film"]
LABELS = np.array([1, 0, 1, 0, 2])


def rows(labels: np.ndarray, problem: str = "single_label", classes: int = 3) -> LabelledTexts:
    return LabelledTexts(TEXTS, None, labels, classes, problem)


def options(name: str, **given: object) -> Features:
    return BASELINES[name].options(**{"ngram_order": 1} | given)  # type: ignore[return-value]


def test_naive_bayes_is_counting() -> None:
    classify = BASELINES["naive_bayes"].train(rows(LABELS), options("naive_bayes"))
    vocabulary = {word for text in TEXTS for word in text.split()}
    scores = []
    for label in range(3):
        own = [text for text, other in zip(TEXTS, LABELS, strict=True) if other == label]
        counts = Counter(word for text in own for word in text.split())
        total = sum(counts.values()) + len(vocabulary)
        scores.append(log(len(own) / len(TEXTS)) + sum(log((counts[w] + 1) / total) for w in ("good", "bad", "film")))
    expected = [score - log(sum(map(exp, scores))) for score in scores]
    assert classify(["good bad unheard film"], None)[0] == pytest.approx(expected)


@pytest.mark.parametrize(("kind", "row"), [("counts", [0, 0, 1, 2, 0]), ("one_hot", [0, 0, 1, 1, 0])])
def test_features_are_counts_or_presence(kind: str, row: list[int]) -> None:
    features = TextFeatures(Features(features=kind, ngram_order=1), TEXTS, None)
    assert features.training.toarray()[0].tolist() == row  # a, bad, film, good, time
    assert (features(TEXTS, None) != features.training).nnz == 0


def test_a_second_text_has_features_of_its_own() -> None:
    features = TextFeatures(Features(ngram_order=1), ["a b", "b"], ["b", "c"])
    assert features(["a b"], ["b"]).toarray().tolist() == [[1, 1, 1, 0]]


@pytest.mark.parametrize("name", ["majority", "logistic_regression", "naive_bayes"])
def test_a_class_without_rows_is_never_said(name: str) -> None:
    labels = np.array([1, 0, 1, 0, 1])
    chosen = BASELINES[name].options() if name == "majority" else options(name)
    found = BASELINES[name].train(rows(labels, classes=4), chosen)(["good", "bad bad", "?"], None)
    assert found.shape == (3, 4)
    assert set(found.argmax(axis=1)) <= {0, 1}
    assert name == "majority" or found.argmax(axis=1)[:2].tolist() == [1, 0]


@pytest.mark.parametrize("name", ["majority", "logistic_regression", "naive_bayes"])
def test_several_labels_a_row(name: str) -> None:
    labels = np.array([[1, 0, 1], [0, 1, 1], [1, 0, 1], [0, 1, 1], [0, 0, 1]], dtype=np.float32)
    chosen = BASELINES[name].options() if name == "majority" else options(name)
    found = BASELINES[name].train(rows(labels, "multi_label"), chosen)(["good good time", "bad bad"], None)
    assert np.isfinite(found).all()
    expected = [[0, 0, 1], [0, 0, 1]] if name == "majority" else [[1, 0, 1], [0, 1, 1]]
    assert (found > 0).astype(int).tolist() == expected


def test_numbers() -> None:
    numbers = np.array([2.0, -2.0, 1.0, -3.0, 0.0])
    ridge = BASELINES["logistic_regression"].train(rows(numbers, "regression", 1), options("logistic_regression"))
    good, bad = ridge(["good", "bad"], None)[:, 0]
    assert good > 0.3 > -0.3 > bad
    mean = BASELINES["majority"].train(rows(numbers, "regression", 1), BASELINES["majority"].options())
    assert mean(["x"], None).tolist() == [[pytest.approx(-0.4)]]


def test_what_is_missing_or_empty_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="--min-count 9: no n-gram"):
        TextFeatures(Features(min_count=9), TEXTS, None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    for name in ("naive_bayes", "logistic_regression"):
        with pytest.raises(InputError, match=rf"{name}: needs scikit-learn: pip install 'hf-seq2seq\[baselines\]'"):
            BASELINES[name].train(rows(LABELS), options(name))
