"""Metrics as modules of the `evaluate` library."""

import evaluate
import numpy as np
import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import LABEL_METRICS, TEXT_METRICS
from hf_seq2seq.metrics.modules import load

PREDICTIONS = ["a small dog runs", "two men sit", "a cat"]
REFERENCES = [["the small dog runs", "a dog runs"], ["two men sit down"], ["a dog"]]


@pytest.mark.parametrize("name", sorted(TEXT_METRICS))
def test_texts(name):
    module = load(name)
    assert isinstance(module, evaluate.Metric)
    found = module.compute(predictions=PREDICTIONS, references=REFERENCES)
    assert found == TEXT_METRICS[name].compute(PREDICTIONS, REFERENCES)
    first = [row[0] for row in REFERENCES]
    assert module.compute(predictions=PREDICTIONS, references=first) == TEXT_METRICS[name].compute(
        PREDICTIONS, [[text] for text in first]
    )


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "matthews"])
def test_labels(name):
    predictions, labels = [0, 1, 2, 1, 0], [0, 2, 2, 1, 1]
    found = load(name).compute(predictions=predictions, references=labels)
    assert found == LABEL_METRICS[name].compute(np.eye(3)[predictions], np.array(labels))


def test_numbers_and_pieces():
    module = load("mse")
    for said, true in ((1.0, 2.0), (2.0, 2.0)):
        module.add(predictions=said, references=true)
    assert module.compute() == {"mse": 0.5}


def test_made_metrics_and_refusals():
    assert load("aer:0-1").compute(predictions=["0-0 1-1"], references=["1-1 2p2"]) == {"aer": 0}
    with pytest.raises(InputError, match="'blue'; did you mean 'bleu'"):
        load("blue")


@pytest.mark.parametrize("name", ["micro_f1", "accuracy", "macro_f1"])
def test_several_labels_a_row(name):
    predictions, labels = [[1, 0, 1], [0, 0, 1], [1, 1, 0]], [[1, 1, 1], [0, 0, 1], [0, 1, 0]]
    found = load(name).compute(predictions=predictions, references=labels)
    assert found == LABEL_METRICS[name].compute(np.array(predictions) - 0.5, np.array(labels))
    expected = {"micro_f1": 100 * 2 * 4 / (5 + 5), "accuracy": 100 / 3, "macro_f1": 100 * (2 / 3 + 2 / 3 + 1) / 3}
    assert found[name] == pytest.approx(expected[name])
