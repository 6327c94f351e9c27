"""Label metrics against scikit-learn and SciPy, to 1e-12."""

from collections import Counter

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from hf_seq2seq.metrics import LABEL_METRICS
from hf_seq2seq.metrics.classification import confusion_matrix, one_hot

TOLERANCE = 1e-12


def score(name, logits, labels):
    result = LABEL_METRICS[name].compute(logits, labels)
    assert set(result) == set(LABEL_METRICS[name].keys)
    return result[name]


@pytest.mark.parametrize("classes", [2, 3, 12])
@pytest.mark.parametrize("seed", range(4))
def test_one_label_a_row(classes, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes - (classes > 2), size=200)  # the last class is never true
    logits = random.normal(size=(200, classes)) + 1.5 * np.eye(classes)[labels]
    logits[:, -1] -= 3 * (seed % 2) * (classes > 2)  # and on odd seeds hardly ever predicted
    predicted = logits.argmax(axis=1)
    accuracy = sklearn_metrics.accuracy_score(labels, predicted)
    f1 = sklearn_metrics.f1_score(labels, predicted, average="macro", zero_division=0)
    assert score("accuracy", logits, labels) / 100 == pytest.approx(accuracy, abs=TOLERANCE)
    assert score("macro_f1", logits, labels) / 100 == pytest.approx(f1, abs=TOLERANCE)
    matthews = sklearn_metrics.matthews_corrcoef(labels, predicted)
    assert score("matthews", logits, labels) == pytest.approx(matthews, abs=TOLERANCE)
    expected = sklearn_metrics.confusion_matrix(labels, predicted, labels=range(classes))
    assert np.array_equal(confusion_matrix(logits, labels), expected)


def test_one_class_only_gives_no_correlation_and_no_warning():
    logits, labels = np.array([[2.0, 1.0], [3.0, 0.0]]), np.array([0, 1])
    assert score("matthews", logits, labels) == 0.0
    assert score("accuracy", logits, labels) == 50.0


@pytest.mark.parametrize("seed", range(4))
def test_several_labels_a_row(seed):
    random = np.random.default_rng(seed)
    labels = (random.random((150, 6)) < 0.3).astype(np.float32)
    logits = (random.normal(size=(150, 6)) + 1.2 * (labels - 0.5)).astype(np.float32)
    labels[:, 5], logits[:, 5] = 0, -1  # never true, never predicted
    predicted = logits > 0
    for name, average in (("micro_f1", "micro"), ("macro_f1", "macro")):
        expected = sklearn_metrics.f1_score(labels, predicted, average=average, zero_division=0)
        assert score(name, logits, labels) / 100 == pytest.approx(expected, abs=TOLERANCE)
    subset = sklearn_metrics.accuracy_score(labels, predicted)
    assert score("accuracy", logits, labels) / 100 == pytest.approx(subset, abs=TOLERANCE)


@pytest.mark.parametrize("seed", range(4))
def test_numbers(seed):
    random = np.random.default_rng(seed)
    labels = np.round(random.normal(size=120), 1)  # rounding makes ties
    predictions = np.round(labels + random.normal(size=120), 1)[:, None]
    flat = predictions[:, 0]
    assert score("pearson", predictions, labels) == pytest.approx(stats.pearsonr(flat, labels)[0], abs=TOLERANCE)
    assert score("spearman", predictions, labels) == pytest.approx(stats.spearmanr(flat, labels)[0], abs=TOLERANCE)
    mse = sklearn_metrics.mean_squared_error(labels, flat)
    assert score("mse", predictions, labels) == pytest.approx(mse, abs=TOLERANCE)


def test_a_constant_prediction_correlates_with_nothing():
    assert score("pearson", np.ones((3, 1)), np.arange(3.0)) == 0.0
    assert score("spearman", np.ones(3), np.arange(3.0)) == 0.0


def test_numbers_far_from_zero_keep_their_digits():
    random = np.random.default_rng(0)
    labels = random.normal(size=50)
    predictions = labels + random.normal(size=50)
    expected = score("pearson", predictions, labels)
    assert score("pearson", predictions + 1e6, labels - 1e6) == pytest.approx(expected, abs=1e-8)


def test_on_real_labels(shared_data):
    """Question types, guessed by the type that the first word most often has in the training set."""
    sets = []
    for part in ("train", "test"):
        lines = (shared_data / "classification" / f"TREC.{part}.all").read_text(encoding="latin-1").splitlines()
        sets.append([(line.split()[0].split(":")[0], line.split()[1].lower()) for line in lines])
    names = sorted({name for rows in sets for name, _ in rows})
    counts = Counter(sets[0])
    true = [name for name, _ in sets[1]]
    said = [max(names, key=lambda name: counts[name, word]) for _, word in sets[1]]
    logits, labels = one_hot(said, names), one_hot(true, names).argmax(axis=1)
    for name, expected in (
        ("accuracy", 100 * sklearn_metrics.accuracy_score(true, said)),
        ("macro_f1", 100 * sklearn_metrics.f1_score(true, said, average="macro")),
        ("matthews", sklearn_metrics.matthews_corrcoef(true, said)),
    ):
        assert score(name, logits, labels) == pytest.approx(expected, abs=1e-9)
        assert 0.2 < expected < 90
    found = confusion_matrix(logits, labels)
    assert found.tolist() == sklearn_metrics.confusion_matrix(true, said, labels=names).tolist()
